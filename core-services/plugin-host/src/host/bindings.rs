//! What `wasmtime` makes of `promotion.wit`, and the way between its types and those of the protocol.

use bodega_plugin_host::protocol::{self, Description, Discount, Effect, LineUnits, Target};
use exports::bodega::promotion::evaluator as wit;

#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]
mod generated {
    wasmtime::component::bindgen!({ path: "../../wasm-plugins/wit", world: "promotion" });
}

pub(super) use generated::{Promotion, PromotionPre, exports};

/// The only thing that a plugin exports.
pub(crate) const EVALUATOR: &str = "bodega:promotion/evaluator@1.0.0";

pub(super) fn cart(cart: &protocol::Cart, configuration: &str) -> wit::Cart {
    wit::Cart {
        currency: cart.currency.clone(),
        minor_digits: cart.minor_digits,
        market: cart.market.clone(),
        lines: cart.lines.iter().map(line).collect(),
        subtotal: cart.subtotal,
        codes: cart.codes.clone(),
        customer_group: cart.customer_group.clone(),
        issued_at: cart.issued_at,
        configuration: configuration.to_owned(),
    }
}

fn line(line: &protocol::Line) -> wit::Line {
    let attribute = |(key, value): &(String, String)| wit::Attribute { key: key.clone(), value: value.clone() };
    wit::Line {
        index: line.index,
        sku: line.sku.clone(),
        product: line.product.clone(),
        merchant: line.merchant.clone(),
        categories: line.categories.clone(),
        tags: line.tags.clone(),
        attributes: line.attributes.iter().map(attribute).collect(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        total: line.total,
    }
}

pub(super) fn effect(effect: wit::Effect) -> Effect {
    let target = match effect.target {
        wit::Target::Order => Target::Order,
        wit::Target::Shipping => Target::Shipping,
        wit::Target::Lines(lines) => {
            Target::Lines(lines.into_iter().map(|line| LineUnits { index: line.index, units: line.units }).collect())
        }
    };
    let discount = match effect.discount {
        wit::Discount::PercentageBp(bp) => Discount::PercentageBp(bp),
        wit::Discount::Amount(amount) => Discount::Amount(amount),
    };
    Effect { target, discount, label: effect.label }
}

pub(super) fn refusal(refusal: wit::Refusal) -> protocol::Refusal {
    match refusal {
        wit::Refusal::Configuration(text) => protocol::Refusal::Configuration(text),
        wit::Refusal::Other(text) => protocol::Refusal::Other(text),
    }
}

pub(super) fn description(description: wit::Description) -> Description {
    Description {
        name: description.name,
        version: description.version,
        summary: description.summary,
        example_configuration: description.example_configuration,
    }
}
