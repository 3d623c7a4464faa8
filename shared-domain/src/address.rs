//! Where goods go and whom they belong to: the personal data of an order, checked once at the border.

use serde::{Deserialize, Serialize};

use crate::{
    failure::Validation,
    limits::{EMAIL_BYTES_MAX, TEXT_LINE_BYTES_MAX},
    token::{KeyRing, base64url},
};

/// A postal address. Personal data: it lives in `order.contact` and `identity.profile` only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Recipient.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// Flat, floor, company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// City or town.
    pub city: String,
    /// State, province or prefecture, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Postal code as the country writes it.
    pub postal_code: String,
    /// ISO 3166-1 alpha-2.
    pub country: Country,
}

impl core::fmt::Debug for Address {
    /// Masked: an address never reaches a log.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Address(***, {})", self.country)
    }
}

impl Address {
    /// What decides tax and shipping, without name and street.
    #[must_use]
    pub fn destination(&self) -> Destination {
        Destination {
            country: self.country,
            region: self.region.as_deref().map(str::trim).filter(|r| !r.is_empty()).map(str::to_owned),
            postal_code: self.postal_code.trim().to_uppercase(),
        }
    }

    /// Notes what is wrong, under the pointer of the address itself (for instance `/shipping_address`).
    pub fn validate(&self, at: &str, v: &mut Validation) {
        line(v, &format!("{at}/name"), &self.name, true);
        line(v, &format!("{at}/line1"), &self.line1, true);
        line(v, &format!("{at}/line2"), self.line2.as_deref().unwrap_or(""), false);
        line(v, &format!("{at}/city"), &self.city, true);
        line(v, &format!("{at}/region"), self.region.as_deref().unwrap_or(""), false);
        line(v, &format!("{at}/postal_code"), &self.postal_code, true);
    }
}

/// Notes what is wrong with one line of text.
pub fn line(v: &mut Validation, pointer: &str, text: &str, required: bool) {
    if required && text.trim().is_empty() {
        v.wrong(pointer, "required", "This field is needed.");
    } else if text.len() > TEXT_LINE_BYTES_MAX {
        v.wrong(pointer, "too_long", "At most 200 bytes.");
    } else if text.chars().any(char::is_control) {
        v.wrong(pointer, "control_character", "Control characters are not allowed.");
    }
}

/// What decides tax and shipping: the part of an address that a quote may carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// ISO 3166-1 alpha-2.
    pub country: Country,
    /// State, province or prefecture.
    pub region: Option<String>,
    /// Trimmed, in upper case.
    pub postal_code: String,
}

/// Who ordered. Personal data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// Where mail goes.
    pub email: String,
    /// How to address them.
    pub name: String,
}

impl core::fmt::Debug for Contact {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Contact(***)")
    }
}

impl Contact {
    /// Notes what is wrong.
    pub fn validate(&self, at: &str, v: &mut Validation) {
        line(v, &format!("{at}/name"), &self.name, true);
        v.check(is_email(&self.email), &format!("{at}/email"), "email", "This is not an e-mail address.");
    }
}

/// Whether a text can be an e-mail address: one `@` with something on both sides, a dot in the domain, no white space.
/// Whether it exists, only a mail can tell.
#[must_use]
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty()
        && text.len() <= EMAIL_BYTES_MAX
        && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '<' || c == '>' || c == ',')
        && !local.contains('@')
        && domain.split('.').count() >= 2
        && domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
}

/// E-mails that read the same so are the same: without regard to case and to white space around them.
#[must_use]
pub fn normal_email(text: &str) -> String {
    text.trim().to_lowercase()
}

/// What two services compare instead of an e-mail: a keyed digest of its normal form, base64url. `None` when the ring has
/// no key.
#[must_use]
pub fn email_digest(ring: &KeyRing, email: &str) -> Option<String> {
    ring.digest("email", normal_email(email).as_bytes()).map(|digest| base64url(&digest))
}

/// Two letters of ISO 3166-1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// The two letters.
    #[must_use]
    pub fn code(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl core::str::FromStr for Country {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Self([*a, *b])),
            _ => Err("expected two capital letters of ISO 3166-1"),
        }
    }
}

impl core::fmt::Display for Country {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.code())
    }
}

impl core::fmt::Debug for Country {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Country {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn email_addresses_are_told_from_other_text() {
        for good in ["a@b.co", "o'neil+shop@mail.example.org", "ünïcode@exämple.de"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "a", "@b.co", "a@b", "a@b..c", "a b@c.d", "a@b.c\n", "a@@b.c", "<a@b.c>", "a@-b.c"] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }

    #[test]
    fn every_wrong_line_of_an_address_is_named() {
        let address = Address {
            name: String::new(),
            line1: "x".repeat(201),
            line2: Some("tab\there".into()),
            city: "東京".into(),
            region: None,
            postal_code: " ".into(),
            country: "JP".parse().unwrap(),
        };
        let mut v = Validation::new();
        address.validate("/shipping_address", &mut v);
        let named: Vec<_> = v.finish().unwrap_err().fields.into_iter().map(|f| f.pointer).collect();
        assert_eq!(
            named,
            [
                "/shipping_address/name",
                "/shipping_address/line1",
                "/shipping_address/line2",
                "/shipping_address/postal_code"
            ]
        );
    }

    #[test]
    fn debug_output_never_shows_a_person() {
        let contact = Contact { email: "ada@example.org".into(), name: "Ada".into() };
        assert!(!format!("{contact:?}").contains("Ada"));
    }
}
