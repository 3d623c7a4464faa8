//! Golden carts: a cart, a configuration and the answer, in a JSON file beside the plugin.
//!
//! The same file is checked natively by the plugin's own tests and, through the built component, by the plugin
//! host's, so that what is tested is what runs. The JSON is that of the plugin host's protocol.

use crate::{Attribute, Cart, Discount, Effect, Line, LineUnits, Promotion, Refusal, Target, evaluate};
use serde::Deserialize;

/// Evaluates the cart of a golden file and compares the answer with the file's.
///
/// # Panics
/// With both answers when they differ, and with the reason when the file cannot be read: it is for tests.
pub fn check<P: Promotion>(file: &str) {
    let golden: Golden = serde_json::from_str(file).expect("a golden file is a cart with its effects or its refusal");
    let about = golden.about.clone();
    let (cart, expected) = golden.into_parts();
    assert_eq!(evaluate::<P>(&cart), expected, "{about}");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    about: String,
    cart: GoldenCart,
    configuration: serde_json::Value,
    effects: Option<Vec<GoldenEffect>>,
    refusal: Option<GoldenRefusal>,
}

impl Golden {
    fn into_parts(self) -> (Cart, Result<Vec<Effect>, Refusal>) {
        let expected = match (self.effects, self.refusal) {
            (Some(effects), None) => Ok(effects.into_iter().map(Effect::from).collect()),
            (None, Some(GoldenRefusal::Configuration(text))) => Err(Refusal::Configuration(text)),
            (None, Some(GoldenRefusal::Other(text))) => Err(Refusal::Other(text)),
            _ => panic!("{}: either effects or a refusal", self.about),
        };
        (self.cart.with(self.configuration.to_string()), expected)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum GoldenRefusal {
    Configuration(String),
    Other(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoldenCart {
    currency: String,
    minor_digits: u8,
    market: String,
    lines: Vec<GoldenLine>,
    subtotal: i64,
    #[serde(default)]
    codes: Vec<String>,
    customer_group: Option<String>,
    issued_at: Option<i64>,
}

impl GoldenCart {
    fn with(self, configuration: String) -> Cart {
        Cart {
            currency: self.currency,
            minor_digits: self.minor_digits,
            market: self.market,
            lines: self.lines.into_iter().map(Line::from).collect(),
            subtotal: self.subtotal,
            codes: self.codes,
            customer_group: self.customer_group,
            issued_at: self.issued_at,
            configuration,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoldenLine {
    index: u32,
    sku: String,
    product: String,
    merchant: String,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    attributes: Vec<(String, String)>,
    quantity: u32,
    unit_price: i64,
    total: i64,
}

impl From<GoldenLine> for Line {
    fn from(line: GoldenLine) -> Self {
        Self {
            index: line.index,
            sku: line.sku,
            product: line.product,
            merchant: line.merchant,
            categories: line.categories,
            tags: line.tags,
            attributes: line.attributes.into_iter().map(|(key, value)| Attribute { key, value }).collect(),
            quantity: line.quantity,
            unit_price: line.unit_price,
            total: line.total,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoldenEffect {
    target: GoldenTarget,
    discount: GoldenDiscount,
    label: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum GoldenTarget {
    Order,
    Shipping,
    Lines(Vec<GoldenUnits>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoldenUnits {
    index: u32,
    units: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum GoldenDiscount {
    PercentageBp(u32),
    Amount(i64),
}

impl From<GoldenEffect> for Effect {
    fn from(effect: GoldenEffect) -> Self {
        let target = match effect.target {
            GoldenTarget::Order => Target::Order,
            GoldenTarget::Shipping => Target::Shipping,
            GoldenTarget::Lines(lines) => Target::Lines(
                lines.into_iter().map(|line| LineUnits { index: line.index, units: line.units }).collect(),
            ),
        };
        let discount = match effect.discount {
            GoldenDiscount::PercentageBp(bp) => Discount::PercentageBp(bp),
            GoldenDiscount::Amount(amount) => Discount::Amount(amount),
        };
        Self { target, discount, label: effect.label }
    }
}
