//! Whatever a plugin does is an outcome of its own, and of no other.

use crate::support::{batch, call, cart, effects, plugin, pool, run};
use bodega_plugin_host::{
    limits,
    protocol::{Call, Outcome, Refusal},
};

#[tokio::test]
async fn an_endless_loop_ends_with_its_fuel() {
    let verdict = run("endless-loop", r#""add""#).await;
    assert_eq!(verdict.outcome, Outcome::OutOfFuel);
    assert_eq!(verdict.fuel, limits::fuel(3));
}

#[tokio::test]
async fn more_fuel_and_less_fuel_are_used_up_alike() {
    let (pool, _folder) = pool(1, &["endless-loop"]);
    let with = |fuel| Call { fuel: Some(fuel), ..call(plugin("endless-loop").hash(), r#""add""#) };
    let verdicts = pool.run(&batch(cart(1), vec![with(0), with(50_000), with(9_000_000)])).await.expect("verdicts");
    assert!(verdicts.iter().all(|verdict| verdict.outcome == Outcome::OutOfFuel), "{verdicts:?}");
    assert_eq!(verdicts.iter().map(|verdict| verdict.fuel).collect::<Vec<_>>(), [0, 50_000, 9_000_000]);
}

#[tokio::test]
async fn block_copies_that_cost_little_fuel_are_ended_by_the_clock() {
    let (pool, _folder) = pool(1, &["endless-loop"]);
    let patient = Call { fuel: Some(u64::MAX), ..call(plugin("endless-loop").hash(), r#""copy""#) };
    let verdicts = pool.run(&batch(cart(1), vec![patient])).await.expect("verdicts");
    assert_eq!(verdicts[0].outcome, Outcome::TimedOut);
}

#[tokio::test]
async fn recursion_ends_with_the_stack() {
    let (pool, _folder) = pool(1, &["endless-loop"]);
    let generous = Call { fuel: Some(1 << 40), ..call(plugin("endless-loop").hash(), r#""recurse""#) };
    let verdicts = pool.run(&batch(cart(1), vec![generous])).await.expect("verdicts");
    assert!(matches!(verdicts[0].outcome, Outcome::Trapped { .. }), "{verdicts:?}");
}

#[tokio::test]
async fn a_memory_bomb_hits_the_limit_slowly_or_at_once() {
    for way in [r#""hoard""#, r#""gulp""#] {
        assert_eq!(run("memory-bomb", way).await.outcome, Outcome::OutOfMemory, "{way}");
    }
}

#[tokio::test]
async fn a_plugin_that_takes_no_for_an_answer_goes_on() {
    assert_eq!(effects(&run("memory-bomb", r#""polite""#).await).len(), 1);
}

#[tokio::test]
async fn every_kind_of_giant_output_is_too_large() {
    for kind in [r#""effects""#, r#""label""#, r#""refusal""#, r#""slightly_too_many""#, r#""lines""#] {
        let (pool, _folder) = pool(1, &["giant-output"]);
        // Fuel enough to make it: what is asked here is what becomes of it.
        let generous = Call { fuel: Some(1 << 30), ..call(plugin("giant-output").hash(), kind) };
        let verdicts = pool.run(&batch(cart(3), vec![generous])).await.expect("verdicts");
        assert_eq!(verdicts[0].outcome, Outcome::OutputTooLarge, "{kind}");
    }
}

#[tokio::test]
async fn an_effect_that_makes_no_sense_is_invalid() {
    let kinds = ["foreign_line", "surcharge", "more_than_everything", "too_many_pieces", "control_characters"];
    for kind in kinds {
        let verdict = run("giant-output", &format!("{kind:?}")).await;
        assert!(matches!(verdict.outcome, Outcome::InvalidOutput { .. }), "{kind}: {verdict:?}");
    }
}

#[tokio::test]
async fn a_panic_is_a_trap() {
    assert!(matches!(run("panicking", "{}").await.outcome, Outcome::Trapped { .. }));
}

#[tokio::test]
async fn a_configuration_that_is_no_json_is_refused_by_the_plugin() {
    let verdict = run("buy-x-get-y", "}{").await;
    assert!(matches!(verdict.outcome, Outcome::Refused(Refusal::Configuration(_))), "{verdict:?}");
}

#[tokio::test]
async fn hostile_plugins_cost_only_their_own_discount() {
    let names = ["endless-loop", "memory-bomb", "giant-output", "panicking", "buy-x-get-y"];
    let (pool, _folder) = pool(1, &names);
    let good = call(plugin("buy-x-get-y").hash(), r#"{"buy": 1, "get": 1}"#);
    let calls = vec![
        good.clone(),
        call(plugin("endless-loop").hash(), r#""add""#),
        good.clone(),
        call(plugin("memory-bomb").hash(), r#""hoard""#),
        good.clone(),
        call(plugin("giant-output").hash(), r#""label""#),
        call(plugin("panicking").hash(), "{}"),
        good,
    ];
    let verdicts = pool.run(&batch(cart(4), calls)).await.expect("verdicts");
    let alone = effects(&verdicts[0]);
    assert_eq!(alone.len(), 1);
    for good in [2, 4, 7] {
        assert_eq!(effects(&verdicts[good]), alone, "call {good}");
    }
    assert_eq!(verdicts[1].outcome, Outcome::OutOfFuel);
    assert_eq!(verdicts[3].outcome, Outcome::OutOfMemory);
    assert_eq!(verdicts[5].outcome, Outcome::OutputTooLarge);
    assert!(matches!(verdicts[6].outcome, Outcome::Trapped { .. }));
    assert_eq!(pool.started(), 1, "no process was lost over it");
}
