//! Pieces of an order by article: which are still in the house, and number fields for some of them.

use std::collections::BTreeMap;

use bodega_domain::{
    id::MerchantId,
    order::{OrderLine, OrderStatus, OrderView},
};
use maud::{Markup, html};

/// An article with pieces that can still be sent or called off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Article<'a> {
    pub(super) sku: &'a str,
    pub(super) title: &'a str,
    pub(super) pieces: u32,
}

impl Article<'_> {
    /// A field for some of its open pieces.
    pub(super) fn field(&self, form: &str, of: &str, count: u32) -> Markup {
        let label = html! { (self.title) " " code { (self.sku) } ", " (self.pieces) " open" };
        field(form, of, self.sku, &label, count, self.pieces)
    }
}

/// The articles of a paid order of which pieces are still in the house, by merchant: a parcel is one merchant's.
pub(super) fn open(order: &OrderView) -> BTreeMap<MerchantId, Vec<Article<'_>>> {
    let is_paid = matches!(order.status, OrderStatus::Paid | OrderStatus::InFulfilment);
    if is_paid { open_lines(&order.lines) } else { BTreeMap::new() }
}

fn open_lines(lines: &[OrderLine]) -> BTreeMap<MerchantId, Vec<Article<'_>>> {
    let mut open: BTreeMap<MerchantId, Vec<Article<'_>>> = BTreeMap::new();
    for line in lines.iter().filter(|line| left(line) > 0) {
        let articles = open.entry(line.merchant).or_default();
        // An article may stand in several lines, and is named once.
        match articles.iter_mut().find(|article| article.sku == line.sku) {
            Some(article) => article.pieces += left(line),
            None => articles.push(Article { sku: &line.sku, title: &line.title, pieces: left(line) }),
        }
    }
    open
}

fn left(line: &OrderLine) -> u32 {
    let gone = [line.units.cancelled, line.units.preparing, line.units.shipped];
    gone.into_iter().fold(line.quantity, u32::saturating_sub)
}

/// A field `of.SKU` for a number of pieces, read by [`super::form::Form::pieces`]. `form` is what tells apart the forms of
/// a page.
pub(super) fn field(form: &str, of: &str, sku: &str, label: &Markup, count: u32, most: u32) -> Markup {
    let id = format!("{form}-{of}-{sku}");
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) name={ (of) "." (sku) } type="number" min="0" max=(most) step="1" value=(count);
        }
    }
}

/// `2 × RYE-1, 1 × LAMP`.
pub(super) fn goods(lines: &[(String, u32)]) -> Markup {
    html! {
        span {
            @for (index, (sku, count)) in lines.iter().enumerate() {
                @if index > 0 { ", " }
                (count) " × " code { (sku) }
            }
        }
    }
}

/// `1 piece`, `3 pieces`.
pub(super) fn counted<'a>(counts: impl IntoIterator<Item = &'a u32>) -> String {
    match counts.into_iter().map(|count| u64::from(*count)).sum() {
        1 => "1 piece".to_owned(),
        sum => format!("{sum} pieces"),
    }
}

#[cfg(test)]
mod tests {
    use bodega_domain::{Currency, Money, fulfilment::Units, quote::QuoteLine};

    use super::*;

    fn line(sku: &str, merchant: u128, quantity: u32, units: Units) -> OrderLine {
        let zero = Money::zero(Currency::EUR);
        let quoted = QuoteLine {
            sku_no: 1,
            sku: sku.to_owned(),
            title: sku.to_lowercase(),
            merchant: MerchantId::from_u128(merchant),
            quantity,
            unit_price: zero,
            subtotal: zero,
            discount: zero,
            tax_rate_bp: 0,
            tax: zero,
            total: zero,
        };
        OrderLine { quoted, units }
    }

    #[test]
    fn what_is_neither_called_off_nor_on_its_way_is_open_and_stands_with_its_merchant() {
        let gone = Units { cancelled: 1, preparing: 1, shipped: 2, ..Units::default() };
        let lines = [
            line("A", 1, 5, gone),
            line("B", 2, 4, gone),
            line("C", 2, 3, Units::default()),
            line("A", 1, 2, Units::default()),
        ];
        let open = open_lines(&lines);
        let seller = |n: u128| &open[&MerchantId::from_u128(n)];
        assert_eq!(*seller(1), [Article { sku: "A", title: "a", pieces: 3 }], "of both lines");
        assert_eq!(*seller(2), [Article { sku: "C", title: "c", pieces: 3 }]);
    }

    #[test]
    fn goods_are_written_and_counted() {
        let lines = [("RYE-1".to_owned(), 2), ("LAMP".to_owned(), 1)];
        assert_eq!(goods(&lines).into_string(), "<span>2 × <code>RYE-1</code>, 1 × <code>LAMP</code></span>");
        assert_eq!((counted(&[1]), counted(&[0, u32::MAX, 1])), ("1 piece".to_owned(), "4294967296 pieces".to_owned()));
    }
}
