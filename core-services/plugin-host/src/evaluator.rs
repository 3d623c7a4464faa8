//! From a priced cart to the effects of every active plugin.
//!
//! A plugin of a merchant sees that merchant's lines, one of the marketplace sees all; who sees nothing is not asked.
//! Whatever goes wrong is the outcome of a run, never an error: a plugin's failure costs the shopper a discount, and
//! never the quote.

use crate::{
    client::Pool,
    limits::{CALLS_MAX, STRIKES_MAX, SUSPENSION},
    protocol::{self, Batch, Call, Cart, Hash, Line, Outcome, Verdict},
};
use bodega_domain::{
    Currency,
    id::{MerchantId, PromotionId},
    promotion::{Discount, Effect, PricedLine, Target},
    quote::{PluginOutcome, PluginRun, Source},
    time::Timestamp,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// A plugin that takes part in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// The promotion that activated it.
    pub promotion: PromotionId,
    /// Who funds it and whose lines it sees; `None` is the marketplace and all lines.
    pub merchant: Option<MerchantId>,
    /// What shoppers read; blank leaves the word to the plugin.
    pub label: String,
    /// Its component.
    pub plugin: Hash,
    /// Its configuration, JSON.
    pub configuration: String,
}

/// The cart that plugins are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The lines in the quote's order.
    pub lines: &'a [PricedLine],
    /// The price list.
    pub currency: Currency,
    /// The market's country, two letters.
    pub market: &'a str,
    /// Codes on the cart.
    pub codes: &'a [String],
    /// When the quote is issued.
    pub issued: Timestamp,
}

/// What the plugins say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// Their effects, in the order of the active plugins.
    pub effects: Vec<Effect>,
    /// Every plugin that was asked, whatever came of it.
    pub runs: Vec<PluginRun>,
}

/// Asks plugins. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Evaluator {
    pool: Pool,
    strikes: Arc<Mutex<HashMap<Hash, Strikes>>>,
}

/// A plugin's recent waste of time.
#[derive(Debug, Clone, Copy)]
struct Strikes {
    in_a_row: u32,
    last: Instant,
}

impl Evaluator {
    /// Asks through this pool, in which the components of active plugins are to be registered.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool, strikes: Arc::default() }
    }

    /// The pool.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Asks all of `active` that see a line.
    pub async fn evaluate(&self, question: &Question<'_>, active: &[Active]) -> Evaluated {
        let mut evaluated = Evaluated::default();
        let asked: Vec<(&Active, Vec<usize>)> = active
            .iter()
            .map(|active| (active, visible(question.lines, active.merchant)))
            .filter(|(_, lines)| !lines.is_empty())
            .collect();
        for asked in asked.chunks(CALLS_MAX) {
            let verdicts = self.ask(question, asked).await;
            for ((active, lines), verdict) in asked.iter().zip(verdicts) {
                evaluated.runs.push(run(active, &verdict));
                if let Outcome::Ok(effects) = verdict.outcome {
                    evaluated.effects.extend(taken_over(active, lines, effects));
                }
            }
        }
        evaluated
    }

    /// A verdict for each, in order; those who wasted too much time are not asked.
    async fn ask(&self, question: &Question<'_>, asked: &[(&Active, Vec<usize>)]) -> Vec<Verdict> {
        let mut batch = Batch::default();
        let mut carts: HashMap<Option<MerchantId>, usize> = HashMap::new();
        let mut positions = Vec::with_capacity(asked.len());
        for (active, lines) in asked {
            positions.push((!self.suspended(&active.plugin)).then_some(batch.calls.len()));
            if positions.last() == Some(&None) {
                continue;
            }
            let cart = *carts.entry(active.merchant).or_insert_with(|| {
                batch.carts.push(cart(question, lines));
                batch.carts.len() - 1
            });
            let configuration = active.configuration.clone();
            batch.calls.push(Call { plugin: active.plugin, cart, configuration, fuel: None });
        }
        let verdicts = match self.pool.run(&batch).await {
            Ok(verdicts) => {
                for (call, verdict) in batch.calls.iter().zip(&verdicts) {
                    self.count(&call.plugin, &verdict.outcome);
                }
                verdicts
            }
            // Nobody's fault among the plugins, so nobody's strike.
            Err(error) => {
                tracing::warn!(%error, calls = batch.calls.len(), "no plugin could be asked");
                vec![lost(&error.to_string()); batch.calls.len()]
            }
        };
        positions
            .into_iter()
            .map(|position| position.map_or_else(|| lost("suspended for wasting time"), |at| verdicts[at].clone()))
            .collect()
    }

    fn suspended(&self, plugin: &Hash) -> bool {
        let strikes = self.strikes();
        strikes
            .get(plugin)
            .is_some_and(|strikes| strikes.in_a_row >= STRIKES_MAX && strikes.last.elapsed() < SUSPENSION)
    }

    fn count(&self, plugin: &Hash, outcome: &Outcome) {
        let mut strikes = self.strikes();
        if matches!(outcome, Outcome::TimedOut | Outcome::HostLost { .. }) {
            let entry = strikes.entry(*plugin).or_insert(Strikes { in_a_row: 0, last: Instant::now() });
            *entry = Strikes { in_a_row: entry.in_a_row.saturating_add(1), last: Instant::now() };
            if entry.in_a_row == STRIKES_MAX {
                tracing::warn!(%plugin, "the plugin wastes time and is left out for a while");
            }
        } else {
            strikes.remove(plugin);
        }
    }

    fn strikes(&self) -> MutexGuard<'_, HashMap<Hash, Strikes>> {
        self.strikes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Positions of the lines that a plugin of this merchant sees.
fn visible(lines: &[PricedLine], merchant: Option<MerchantId>) -> Vec<usize> {
    let sees = |line: &PricedLine| merchant.is_none_or(|merchant| merchant == line.sku.merchant);
    (0..lines.len()).filter(|&position| sees(&lines[position])).collect()
}

fn cart(question: &Question<'_>, visible: &[usize]) -> Cart {
    let lines: Vec<Line> = visible.iter().map(|&position| line(position, &question.lines[position])).collect();
    Cart {
        currency: question.currency.code().to_owned(),
        minor_digits: question.currency.exponent(),
        market: question.market.to_owned(),
        subtotal: lines.iter().fold(0, |sum: i64, line| sum.saturating_add(line.total)),
        lines,
        codes: question.codes.iter().map(|code| code.to_ascii_uppercase()).collect(),
        customer_group: None,
        issued_at: Some(question.issued.unix_ms() / 1000),
    }
}

fn line(position: usize, line: &PricedLine) -> Line {
    let unit_price = line.unit_price.amount();
    Line {
        // A cart has 200 lines at most.
        index: u32::try_from(position).unwrap_or(u32::MAX),
        sku: line.sku.sku.clone(),
        product: line.sku.product.clone(),
        merchant: line.sku.merchant.to_string(),
        categories: vec![line.sku.category.clone()],
        tags: Vec::new(),
        attributes: Vec::new(),
        quantity: line.quantity,
        unit_price,
        total: unit_price.saturating_mul(i64::from(line.quantity)),
    }
}

fn run(active: &Active, verdict: &Verdict) -> PluginRun {
    if !matches!(verdict.outcome, Outcome::Ok(_)) {
        tracing::info!(promotion = %active.promotion, plugin = %active.plugin, outcome = ?verdict.outcome, "no discount");
    }
    PluginRun {
        promotion: active.promotion.to_string(),
        hash: active.plugin.to_string(),
        config_hash: Hash::of(active.configuration.as_bytes()).to_string(),
        fuel: verdict.fuel,
        outcome: PluginOutcome::from(&verdict.outcome),
    }
}

/// The effects as the quote takes them over. The plugin host has checked them against the cart.
fn taken_over(active: &Active, visible: &[usize], effects: Vec<protocol::Effect>) -> Vec<Effect> {
    let alone = effects.len() == 1;
    effects
        .into_iter()
        // Shipping is the marketplace's to give away.
        .filter(|effect| effect.target != protocol::Target::Shipping || active.merchant.is_none())
        .map(|effect| Effect {
            source: Source::Plugin { promotion: active.promotion.to_string(), hash: active.plugin.to_string() },
            label: label(&active.label, effect.label, alone),
            funded_by: active.merchant,
            target: match effect.target {
                protocol::Target::Order => Target::Order(visible.to_vec()),
                protocol::Target::Shipping => Target::Shipping,
                protocol::Target::Lines(lines) => Target::Lines(
                    lines
                        .into_iter()
                        .filter_map(|line| Some((usize::try_from(line.index).ok()?, line.units)))
                        .collect(),
                ),
            },
            discount: match effect.discount {
                protocol::Discount::PercentageBp(bp) => Discount::Bp(bp),
                protocol::Discount::Amount(amount) => Discount::Amount(amount),
            },
        })
        .collect()
}

/// What the shopper reads: the merchant's words, and the plugin's beside them where there are several to tell apart.
fn label(merchant: &str, plugin: String, alone: bool) -> String {
    match (merchant.trim().is_empty(), alone) {
        (true, _) => plugin,
        (false, true) => merchant.to_owned(),
        (false, false) => format!("{merchant}: {plugin}"),
    }
}

fn lost(detail: &str) -> Verdict {
    Verdict { outcome: Outcome::HostLost { detail: detail.to_owned() }, fuel: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Options;

    #[test]
    fn a_plugin_that_wastes_time_again_and_again_is_left_out_until_it_answers() {
        let evaluator = Evaluator::new(Pool::new(Options::new("bodega-plugin-host")));
        let (slow, other) = (Hash::of(b"slow"), Hash::of(b"other"));
        for strike in 1..=STRIKES_MAX {
            assert!(!evaluator.suspended(&slow), "before strike {strike}");
            let outcome = if strike % 2 == 0 { Outcome::TimedOut } else { Outcome::HostLost { detail: String::new() } };
            evaluator.count(&slow, &outcome);
        }
        assert!(evaluator.suspended(&slow));
        assert!(!evaluator.suspended(&other));
        evaluator.count(&slow, &Outcome::Ok(Vec::new()));
        assert!(!evaluator.suspended(&slow));
    }

    #[test]
    fn what_is_the_same_on_every_machine_is_no_strike() {
        let evaluator = Evaluator::new(Pool::new(Options::new("bodega-plugin-host")));
        let plugin = Hash::of(b"plugin");
        for _ in 0..STRIKES_MAX * 2 {
            evaluator.count(&plugin, &Outcome::OutOfFuel);
        }
        assert!(!evaluator.suspended(&plugin));
    }
}
