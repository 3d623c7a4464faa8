//! Asks the plugin host, and turns what it says into effects. Whatever goes wrong costs one discount, never the quote.

use std::{collections::BTreeMap, path::PathBuf};

use bodega_domain::{
    Currency, Timestamp,
    id::MerchantId,
    market::Market,
    promotion::{Discount, Effect, PricedLine, Target},
    quote::{PluginOutcome, PluginRun, Source},
    token::sha256_hex,
};
use bodega_platform::Context;
use bodega_plugin_host::{
    client::{Options, Pool},
    limits::CALLS_MAX,
    protocol::{self, Batch, Call, Cart, Line, Outcome},
};

use crate::active::ActivePlugin;

/// The plugin host of the configuration, or the one beside this executable.
pub(crate) fn pool(context: &Context) -> Pool {
    let config = &context.config().pricing;
    let beside = || std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("bodega-plugin-host")));
    let program = if config.plugin_host.as_os_str().is_empty() {
        beside().unwrap_or_else(|| PathBuf::from("bodega-plugin-host"))
    } else {
        config.plugin_host.clone()
    };
    let cache = Some(config.artefacts.clone()).filter(|path| !path.as_os_str().is_empty());
    Pool::new(Options { cache, processes: config.plugin_hosts.max(1), ..Options::new(program) })
}

/// What every plugin sees of a cart.
pub(crate) struct Seen<'a> {
    pub(crate) lines: &'a [PricedLine],
    pub(crate) currency: Currency,
    pub(crate) market: &'a Market,
    pub(crate) codes: &'a [String],
    pub(crate) issued: Timestamp,
}

impl Seen<'_> {
    fn cart(&self, plugin: &ActivePlugin) -> Cart {
        let lines: Vec<Line> = self
            .lines
            .iter()
            .zip(0_u32..)
            .filter(|(line, _)| plugin.merchant.is_none_or(|merchant| merchant == line.sku.merchant))
            .map(|(line, index)| seen_line(line, index))
            .collect();
        Cart {
            currency: self.currency.to_string(),
            minor_digits: self.currency.exponent(),
            market: self.market.country.to_owned(),
            subtotal: lines.iter().map(|line| line.total).sum(),
            lines,
            codes: self.codes.iter().map(|code| code.to_uppercase()).collect(),
            customer_group: None,
            issued_at: Some(self.issued.unix_ms() / 1000),
        }
    }
}

fn seen_line(line: &PricedLine, index: u32) -> Line {
    let unit_price = line.unit_price.amount();
    Line {
        index,
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

/// Runs all plugins on a cart: their effects in the order of the plugins, and how each run ended.
pub(crate) async fn run(pool: &Pool, plugins: &[ActivePlugin], seen: &Seen<'_>) -> (Vec<Effect>, Vec<PluginRun>) {
    let (mut effects, mut runs) = (Vec::new(), Vec::new());
    for plugins in plugins.chunks(CALLS_MAX) {
        // One cart a merchant, and the whole one: many plugins share it.
        let mut carts: Vec<Cart> = Vec::new();
        let mut positions: BTreeMap<Option<MerchantId>, usize> = BTreeMap::new();
        let asked: Vec<(&ActivePlugin, usize)> = plugins
            .iter()
            .map(|plugin| {
                let position = *positions.entry(plugin.merchant).or_insert_with(|| {
                    carts.push(seen.cart(plugin));
                    carts.len() - 1
                });
                (plugin, position)
            })
            .collect();
        // A plugin whose merchant has nothing in this cart is not asked.
        let asked: Vec<_> = asked.into_iter().filter(|(_, cart)| !carts[*cart].lines.is_empty()).collect();
        let calls = asked
            .iter()
            .map(|(plugin, cart)| Call {
                plugin: plugin.hash,
                cart: *cart,
                configuration: plugin.configuration.clone(),
                fuel: None,
            })
            .collect();
        let verdicts = match pool.run(&Batch { carts, calls }).await {
            Ok(verdicts) => verdicts,
            Err(error) => {
                tracing::warn!(%error, "the plugin host did not answer; the quote goes on without plugins");
                Vec::new()
            }
        };
        let mut verdicts = verdicts.into_iter();
        for (plugin, _) in asked {
            let (outcome, fuel) = match verdicts.next() {
                Some(verdict) => {
                    let outcome = PluginOutcome::from(&verdict.outcome);
                    note(plugin, &verdict.outcome);
                    if let Outcome::Ok(found) = verdict.outcome {
                        let alone = found.len() == 1;
                        effects.extend(found.into_iter().filter_map(|effect| translate(plugin, seen, alone, effect)));
                    }
                    (outcome, verdict.fuel)
                }
                None => (PluginOutcome::Unavailable, 0),
            };
            runs.push(PluginRun {
                promotion: plugin.promotion.clone(),
                hash: plugin.hash.to_string(),
                config_hash: sha256_hex(plugin.configuration.as_bytes()),
                fuel,
                outcome,
            });
        }
    }
    (effects, runs)
}

fn note(plugin: &ActivePlugin, outcome: &Outcome) {
    if !matches!(outcome, Outcome::Ok(_)) {
        tracing::warn!(promotion = plugin.promotion, ?outcome, "a plugin gave no discount");
    }
}

/// A plugin's effect as pricing applies it: a merchant's plugin reaches its own lines only, and never shipping.
fn translate(plugin: &ActivePlugin, seen: &Seen<'_>, alone: bool, effect: protocol::Effect) -> Option<Effect> {
    let own = |index: usize| {
        let line = seen.lines.get(index)?;
        plugin.merchant.is_none_or(|merchant| merchant == line.sku.merchant).then_some(index)
    };
    let target = match effect.target {
        protocol::Target::Order => Target::Order((0..seen.lines.len()).filter_map(own).collect()),
        protocol::Target::Shipping if plugin.merchant.is_none() => Target::Shipping,
        protocol::Target::Shipping => return None,
        protocol::Target::Lines(units) => Target::Lines(
            units.into_iter().filter_map(|unit| Some((own(usize::try_from(unit.index).ok()?)?, unit.units))).collect(),
        ),
    };
    let discount = match effect.discount {
        protocol::Discount::PercentageBp(bp) => Discount::Bp(bp),
        protocol::Discount::Amount(amount) => Discount::Amount(amount),
    };
    let source = Source::Plugin { promotion: plugin.promotion.clone(), hash: plugin.hash.to_string() };
    // The merchant's words, and the plugin's beside them where there are several effects to tell apart.
    let label = if alone { plugin.label.clone() } else { format!("{}: {}", plugin.label, effect.label) };
    // A plugin's words become part of the order: a control character in them must not stop it from being written.
    let label = label.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(Effect { source, label, funded_by: plugin.merchant, target, discount })
}
