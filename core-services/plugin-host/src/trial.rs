//! The trial of a plugin with a configuration: carts of every size and shape, and what may not happen on them.
//!
//! It shows that a plugin works at all, not that it always will: a plugin can behave here and misbehave later. Then it
//! costs its own discount, which is what the plugin host is for.

use crate::{
    client::{Error, Pool},
    protocol::{Batch, Call, Cart, Component, Line, Loaded, Outcome, Refusal, Verdict},
};
use serde::{Deserialize, Serialize};

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// A case for each cart.
    pub cases: Vec<Case>,
    /// The most fuel that one of them took.
    pub fuel_max: u64,
}

/// One cart of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Which cart.
    pub cart: String,
    /// How it ended, and with which effects.
    pub verdict: Verdict,
}

/// Why a plugin with this configuration may not become active.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// The plugin does not accept its configuration.
    #[error("the plugin refuses its configuration: {0}")]
    Configuration(String),
    /// It broke on a cart.
    #[error("on {cart} the plugin {how}")]
    Broke {
        /// Which cart.
        cart: String,
        /// What happened.
        how: String,
    },
}

impl Report {
    /// The first reason, if any, why this must not become active.
    #[must_use]
    pub fn objection(&self) -> Option<Objection> {
        self.cases.iter().find_map(|case| {
            let how = match &case.verdict.outcome {
                Outcome::Ok(_) | Outcome::Refused(Refusal::Other(_)) => return None,
                Outcome::Refused(Refusal::Configuration(reason)) => {
                    return Some(Objection::Configuration(reason.clone()));
                }
                Outcome::Trapped { detail } => format!("broke: {detail}"),
                Outcome::OutOfFuel => "used up its fuel".into(),
                Outcome::OutOfMemory => "wanted more memory than it may have".into(),
                Outcome::OutputTooLarge => "answered with more than it may".into(),
                Outcome::InvalidOutput { detail } => format!("answered with nonsense: {detail}"),
                Outcome::TimedOut => "took too long".into(),
                Outcome::NotLoaded | Outcome::Suspended => "was not run".into(),
                Outcome::HostLost { detail } => format!("took its process along: {detail}"),
            };
            Some(Objection::Broke { cart: case.cart.clone(), how })
        })
    }
}

/// Checks a component in a process of its own and runs it on the carts of [`carts`]. Without a configuration it runs
/// with the example that it offers itself.
///
/// # Errors
/// [`Error::Rejected`] when it is no plugin at all; else what kept the trial from taking place.
pub async fn run(pool: &Pool, component: &Component, configuration: Option<&str>) -> Result<(Loaded, Report), Error> {
    let example = match configuration {
        Some(_) => None,
        None => Some(pool.admit(component, &Batch::default()).await?.0.description.example_configuration),
    };
    let configuration = configuration.or(example.as_deref()).unwrap_or("null");
    let (names, carts): (Vec<String>, Vec<Cart>) = carts().into_iter().unzip();
    let calls = (0..carts.len())
        .map(|cart| Call { plugin: component.hash(), cart, configuration: configuration.into(), fuel: None })
        .collect();
    let (loaded, verdicts) = pool.admit(component, &Batch { carts, calls }).await?;
    let fuel_max = verdicts.iter().map(|verdict| verdict.fuel).max().unwrap_or(0);
    let cases = names.into_iter().zip(verdicts).map(|(cart, verdict)| Case { cart, verdict }).collect();
    Ok((loaded, Report { cases, fuel_max }))
}

/// Carts that plugins are tried on, each with a name for people.
#[must_use]
pub fn carts() -> Vec<(String, Cart)> {
    let line = |index: u32| -> Line {
        let quantity = index % 5 + 1;
        let unit_price = 99 + i64::from(index) * 50;
        Line {
            index,
            sku: format!("trial-{index}"),
            product: format!("trial-{index}"),
            merchant: "trial".into(),
            categories: vec![["drinks", "bakery", "household"][usize::try_from(index % 3).unwrap_or(0)].into()],
            tags: vec![],
            attributes: vec![],
            quantity,
            unit_price,
            total: unit_price * i64::from(quantity),
        }
    };
    let cart = |currency: &str, minor_digits, market: &str, lines: Vec<Line>| Cart {
        currency: currency.into(),
        minor_digits,
        market: market.into(),
        subtotal: lines.iter().map(|line| line.total).sum(),
        lines,
        codes: vec![],
        customer_group: None,
        issued_at: Some(1_800_000_000),
    };
    let gift = Line { unit_price: 0, total: 0, ..line(0) };
    let many = Line { quantity: 999, total: 99 * 999, ..line(0) };
    let told = |name: &str, cart: Cart| (name.to_owned(), cart);
    vec![
        told("one line", cart("EUR", 2, "DE", vec![line(0)])),
        told("three lines", cart("USD", 2, "US", (0..3).map(line).collect())),
        told("lines with gaps between them", cart("EUR", 2, "DE", [1, 4, 7].map(line).to_vec())),
        told("a currency without cents", cart("JPY", 0, "JP", (0..6).map(line).collect())),
        told("something for nothing", cart("EUR", 2, "DE", vec![gift])),
        told("999 pieces", cart("EUR", 2, "DE", vec![many])),
        told("200 lines", cart("EUR", 2, "DE", (0..200).map(line).collect())),
        told("a code", Cart { codes: vec!["WELCOME".into()], ..cart("EUR", 2, "DE", vec![line(0), line(1)]) }),
    ]
}
