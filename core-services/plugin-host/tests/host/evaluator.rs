//! From a priced cart to effects, and the trial before a plugin may take part.

use crate::support::{options, plugin, pool};
use bodega_domain::{
    Currency, Money,
    catalog::{Band, Prices, SkuView, TaxClass},
    id::{MerchantId, PromotionId},
    promotion::{Discount, PricedLine, Target},
    quote::{PluginOutcome, Source},
    time::Timestamp,
};
use bodega_plugin_host::{
    client::{Options, Pool},
    evaluator::{Active, Evaluated, Evaluator, Question},
    protocol::Hash,
    trial::{self, Objection},
};

const CORNER: MerchantId = MerchantId::from_u128(1);
const BAKERY: MerchantId = MerchantId::from_u128(2);

fn line(sku_no: u32, merchant: MerchantId, category: &str, price: i64, quantity: u32) -> PricedLine {
    let sku = SkuView {
        sku: format!("sku-{sku_no}"),
        sku_no,
        product: format!("product-{sku_no}"),
        title: format!("Product {sku_no}"),
        category: category.into(),
        merchant,
        tax_class: TaxClass::Standard,
        prices: Prices::default(),
        band: Band::InStock,
        picture: None,
    };
    PricedLine { sku, quantity, unit_price: Money::new(price, Currency::EUR).expect("a price") }
}

fn active(plugin: Hash, merchant: Option<MerchantId>, configuration: &str) -> Active {
    Active {
        promotion: PromotionId::from_u128(7),
        merchant,
        label: "Drinks: 3 for 2".into(),
        plugin,
        configuration: configuration.into(),
    }
}

async fn evaluate(evaluator: &Evaluator, lines: &[PricedLine], active: &[Active]) -> Evaluated {
    let question = Question {
        lines,
        currency: Currency::EUR,
        market: "DE",
        codes: &[],
        issued: Timestamp::from_unix_ms(1_795_000_000_000),
    };
    evaluator.evaluate(&question, active).await
}

#[tokio::test]
async fn a_merchants_plugin_takes_part_with_its_own_lines_by_their_place_in_the_quote() {
    let (pool, _folder) = pool(1, &["buy-x-get-y"]);
    let lines =
        [line(1, BAKERY, "bakery", 100, 9), line(2, CORNER, "drinks", 250, 1), line(3, CORNER, "drinks", 200, 2)];
    let configuration = r#"{"buy": 2, "get": 1}"#;
    let corner = active(plugin("buy-x-get-y").hash(), Some(CORNER), configuration);
    let evaluated = evaluate(&Evaluator::new(pool), &lines, std::slice::from_ref(&corner)).await;

    let effect = &evaluated.effects[0];
    assert_eq!(effect.target, Target::Lines(vec![(2, Some(1))]), "its own cheapest, not the bakery's");
    assert_eq!((effect.label.as_str(), effect.discount), ("Drinks: 3 for 2", Discount::Bp(10_000)));
    assert_eq!(effect.funded_by, Some(CORNER));
    let source = Source::Plugin { promotion: corner.promotion.to_string(), hash: corner.plugin.to_string() };
    assert_eq!(effect.source, source);

    let run = &evaluated.runs[0];
    assert_eq!((run.outcome, run.hash.clone()), (PluginOutcome::Ok, corner.plugin.to_string()));
    assert_eq!(run.config_hash, Hash::of(configuration.as_bytes()).to_string());
    assert!(run.fuel > 0);
}

#[tokio::test]
async fn who_sees_no_line_is_not_asked() {
    let (pool, _folder) = pool(1, &["buy-x-get-y"]);
    let bakery = active(plugin("buy-x-get-y").hash(), Some(BAKERY), r#"{"buy": 1, "get": 1}"#);
    let evaluated = evaluate(&Evaluator::new(pool.clone()), &[line(1, CORNER, "drinks", 250, 4)], &[bakery]).await;
    assert_eq!(evaluated, Evaluated::default());
    assert_eq!(pool.started(), 0);
}

#[tokio::test]
async fn several_effects_are_told_apart_by_the_plugins_own_words() {
    let (pool, _folder) = pool(1, &["tiered-discount"]);
    let tiers = r#"{"tiers": [{"pieces": 3, "percentage_bp": 500}, {"pieces": 6, "percentage_bp": 1000}]}"#;
    let household = Active { label: "Buy more".into(), ..active(plugin("tiered-discount").hash(), None, tiers) };
    let lines = [line(1, CORNER, "household", 100, 3), line(2, BAKERY, "household", 100, 6)];
    let evaluated = evaluate(&Evaluator::new(pool), &lines, &[household]).await;
    let labels: Vec<&str> = evaluated.effects.iter().map(|effect| effect.label.as_str()).collect();
    assert_eq!(labels, ["Buy more: 3 or more", "Buy more: 6 or more"]);
}

#[tokio::test]
async fn hostile_plugins_leave_the_discounts_of_others_and_a_trace_of_themselves() {
    let (pool, _folder) =
        pool(1, &["buy-x-get-y", "endless-loop", "memory-bomb", "giant-output", "panicking", "importer"]);
    let of = |name: &str, configuration: &str| active(plugin(name).hash(), None, configuration);
    let all = [
        of("endless-loop", r#""add""#),
        of("memory-bomb", r#""hoard""#),
        of("giant-output", r#""label""#),
        of("giant-output", r#""foreign_line""#),
        of("panicking", "{}"),
        of("importer", "{}"),
        of("buy-x-get-y", r#"{"buy": 0, "get": 1}"#),
        of("buy-x-get-y", r#"{"buy": 2, "get": 1}"#),
    ];
    let evaluated = evaluate(&Evaluator::new(pool), &[line(1, CORNER, "drinks", 250, 3)], &all).await;
    let outcomes: Vec<PluginOutcome> = evaluated.runs.iter().map(|run| run.outcome).collect();
    assert_eq!(
        outcomes,
        [
            PluginOutcome::OutOfFuel,
            PluginOutcome::OutOfMemory,
            PluginOutcome::OutputTooLarge,
            PluginOutcome::InvalidOutput,
            PluginOutcome::Trapped,
            PluginOutcome::Unavailable,
            PluginOutcome::Refused,
            PluginOutcome::Ok,
        ]
    );
    assert_eq!(evaluated.effects.len(), 1);
}

#[tokio::test]
async fn without_a_plugin_host_there_is_no_discount_and_no_error() {
    let evaluator = Evaluator::new(Pool::new(Options::new("/nonexistent/bodega-plugin-host")));
    let wanted = active(Hash::of(b"any"), None, "{}");
    let evaluated = evaluate(&evaluator, &[line(1, CORNER, "drinks", 250, 3)], &[wanted.clone(), wanted]).await;
    assert_eq!(evaluated.effects, []);
    let outcomes: Vec<PluginOutcome> = evaluated.runs.iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [PluginOutcome::Unavailable; 2]);
}

#[tokio::test]
async fn more_plugins_than_one_batch_holds_are_all_asked() {
    let (pool, _folder) = pool(1, &["buy-x-get-y"]);
    let all = vec![active(plugin("buy-x-get-y").hash(), None, r#"{"buy": 2, "get": 1}"#); 70];
    let evaluated = evaluate(&Evaluator::new(pool), &[line(1, CORNER, "drinks", 250, 3)], &all).await;
    assert_eq!((evaluated.runs.len(), evaluated.effects.len()), (70, 70));
}

#[tokio::test]
async fn every_example_passes_its_trial_with_its_own_configuration() {
    let pool = Pool::new(options());
    for name in ["buy-x-get-y", "tiered-discount", "bundle-discount"] {
        let (loaded, report) = trial::run(&pool, &plugin(name), None).await.expect("a plugin");
        assert_eq!(report.objection(), None, "{name}: {report:?}");
        assert_eq!((loaded.description.name.as_str(), report.cases.len()), (name, trial::carts().len()));
        assert!(report.fuel_max > 0);
    }
}

#[tokio::test]
async fn a_hostile_plugin_does_not_pass_its_trial() {
    let pool = Pool::new(options());
    let objections = [
        ("endless-loop", r#""add""#, "used up its fuel"),
        ("memory-bomb", r#""gulp""#, "memory"),
        ("giant-output", r#""refusal""#, "more than it may"),
        ("giant-output", r#""surcharge""#, "nonsense"),
        ("panicking", "{}", "broke"),
    ];
    for (name, configuration, reason) in objections {
        let (_, report) = trial::run(&pool, &plugin(name), Some(configuration)).await.expect("a plugin");
        let objection = report.objection().expect("an objection").to_string();
        assert!(objection.contains("on one line the plugin") && objection.contains(reason), "{name}: {objection}");
    }
}

#[tokio::test]
async fn a_configuration_that_the_plugin_refuses_is_an_objection_in_its_own_words() {
    let (_, report) = trial::run(&Pool::new(options()), &plugin("buy-x-get-y"), Some(r#"{"buy": 0, "get": 1}"#))
        .await
        .expect("a plugin");
    assert_eq!(report.objection(), Some(Objection::Configuration("buy and get must be at least 1".into())));
}
