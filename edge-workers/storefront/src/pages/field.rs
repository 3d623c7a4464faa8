//! Form fields with their label and what is wrong with them.

use bodega_domain::{address::Address, failure::FieldFailure, market::Market};
use maud::{Markup, html};

use crate::read::Form;

/// A text field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    /// Its name in the form.
    pub(crate) name: &'a str,
    /// What people read.
    pub(crate) label: &'a str,
    /// `text`, `email`, `password`.
    pub(crate) kind: &'a str,
    /// What browsers fill in.
    pub(crate) autocomplete: &'a str,
    /// Whether it may stay empty.
    pub(crate) optional: bool,
    /// What is in it.
    pub(crate) value: &'a str,
    /// What is wrong with it.
    pub(crate) wrong: Option<&'a str>,
}

/// The field with its label.
pub(crate) fn field(field: Field<'_>) -> Markup {
    let note = format!("{}-note", field.name);
    html! {
        div.field.wrong[field.wrong.is_some()] {
            label for=(field.name) { (field.label) @if field.optional { small { " (if you like)" } } }
            input id=(field.name) name=(field.name) type=(field.kind) value=[(field.kind != "password").then_some(field.value)]
                autocomplete=(field.autocomplete) required[!field.optional] maxlength="254" dir="auto"
                aria-invalid=[field.wrong.map(|_| "true")] aria-describedby=[field.wrong.map(|_| note.as_str())];
            @if let Some(wrong) = field.wrong { p.why #(note) { (wrong) } }
        }
    }
}

/// What is wrong with a member of the request, by its pointer.
pub(crate) fn wrong<'a>(fields: &'a [FieldFailure], pointer: &str) -> Option<&'a str> {
    fields.iter().find(|field| field.pointer == pointer).map(|field| field.detail.as_str())
}

/// Names of countries. Where the shop delivers, the domain's table of markets says.
const COUNTRIES: &[(&str, &str)] = &[
    ("AT", "Austria"),
    ("BE", "Belgium"),
    ("CA", "Canada"),
    ("FR", "France"),
    ("DE", "Germany"),
    ("IE", "Ireland"),
    ("IT", "Italy"),
    ("JP", "Japan"),
    ("NL", "Netherlands"),
    ("PL", "Poland"),
    ("PT", "Portugal"),
    ("ES", "Spain"),
    ("SE", "Sweden"),
    ("CH", "Switzerland"),
    ("GB", "United Kingdom"),
    ("US", "United States"),
];

/// The name of a country that is on the list, else its letters.
pub(crate) fn country_name(code: &str) -> &str {
    COUNTRIES.iter().find(|(c, _)| *c == code).map_or(code, |(_, name)| name)
}

/// What was typed into the address fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressText {
    pub(crate) name: String,
    pub(crate) line1: String,
    pub(crate) line2: String,
    pub(crate) city: String,
    pub(crate) region: String,
    pub(crate) postal_code: String,
    pub(crate) country: String,
}

impl AddressText {
    /// Out of a form.
    pub(crate) fn of_form(form: &Form) -> Self {
        let of = |name| form.get(name).to_owned();
        Self {
            name: of("name"),
            line1: of("line1"),
            line2: of("line2"),
            city: of("city"),
            region: of("region"),
            postal_code: of("postal_code"),
            country: of("country"),
        }
    }

    /// Out of an address that is known.
    pub(crate) fn of_address(address: &Address) -> Self {
        Self {
            name: address.name.clone(),
            line1: address.line1.clone(),
            line2: address.line2.clone().unwrap_or_default(),
            city: address.city.clone(),
            region: address.region.clone().unwrap_or_default(),
            postal_code: address.postal_code.clone(),
            country: address.country.to_string(),
        }
    }

    /// As an address, when the country is one.
    pub(crate) fn parse(&self) -> Option<Address> {
        let optional = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Some(Address {
            name: self.name.clone(),
            line1: self.line1.clone(),
            line2: optional(&self.line2),
            city: self.city.clone(),
            region: optional(&self.region),
            postal_code: self.postal_code.clone(),
            country: self.country.parse().ok()?,
        })
    }

    /// As hidden fields, for the step after.
    pub(crate) fn hidden(&self) -> Markup {
        html! {
            @for (name, value) in [
                ("name", &self.name), ("line1", &self.line1), ("line2", &self.line2), ("city", &self.city),
                ("region", &self.region), ("postal_code", &self.postal_code), ("country", &self.country),
            ] { input type="hidden" name=(name) value=(value); }
        }
    }

    /// As an envelope shows it.
    pub(crate) fn envelope(&self) -> Markup {
        html! {
            address.envelope dir="auto" {
                (self.name) br; (self.line1) br;
                @if !self.line2.is_empty() { (self.line2) br; }
                (self.postal_code) " " (self.city)
                @if !self.region.is_empty() { ", " (self.region) }
                br; (country_name(&self.country))
            }
        }
    }

    /// As fields; `at` is the pointer of the address in the request.
    pub(crate) fn fields(&self, at: &str, fields: &[FieldFailure]) -> Markup {
        let of = |name: &'static str, label, autocomplete, optional, value| {
            let pointer = format!("{at}/{name}");
            field(Field { name, label, kind: "text", autocomplete, optional, value, wrong: wrong(fields, &pointer) })
        };
        html! {
            (of("name", "Name", "shipping name", false, &self.name))
            (of("line1", "Street and number", "shipping address-line1", false, &self.line1))
            (of("line2", "Floor, flat, company", "shipping address-line2", true, &self.line2))
            div.pair {
                (of("postal_code", "Postal code", "shipping postal-code", false, &self.postal_code))
                (of("city", "City", "shipping address-level2", false, &self.city))
            }
            (of("region", "State or region", "shipping address-level1", true, &self.region))
            div.field {
                label for="country" { "Country" }
                select #country name="country" autocomplete="shipping country" required {
                    @for code in Market::countries() {
                        option value=(code) selected[code == self.country || (self.country.is_empty() && code == "DE")] { (country_name(code)) }
                    }
                }
                @if let Some(why) = wrong(fields, &format!("{at}/country")) { p.why { (why) } }
            }
        }
    }
}

/// The sum at the end of a list of prices.
pub(crate) fn totals(totals: &bodega_domain::quote::Totals, estimated: bool) -> Markup {
    use super::price::{money, text};
    html! {
        dl.sums {
            div { dt { "Goods" } dd { (money(totals.subtotal)) } }
            @if totals.discount.amount() > 0 { div.less { dt { "Discounts" } dd { "−" (text(totals.discount)) } } }
            div { dt { "Delivery" } dd { @if totals.shipping.amount() == 0 { "free" } @else { (money(totals.shipping)) } } }
            @if totals.tax.amount() > 0 || !estimated {
                div { dt { @if totals.tax_included { "Tax, included" } @else { "Tax" } } dd { (money(totals.tax)) } }
            }
            div.total { dt { @if estimated { "About" } @else { "Total" } } dd { (money(totals.total)) } }
        }
    }
}
