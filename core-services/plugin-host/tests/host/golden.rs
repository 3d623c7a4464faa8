//! The examples through the built component: the same carts and answers as in their own tests.

use crate::support::{batch, call, cart, effects, plugin, pool};
use bodega_plugin_build::workspace;
use bodega_plugin_host::{
    limits,
    protocol::{Batch, Call, Cart, Effect, Outcome, Refusal},
};
use serde::Deserialize;
use std::{fs, path::PathBuf};

#[derive(Deserialize)]
struct Golden {
    about: String,
    cart: Cart,
    configuration: serde_json::Value,
    effects: Option<Vec<Effect>>,
    refusal: Option<Refusal>,
}

fn folder() -> PathBuf {
    workspace().join("wasm-plugins/examples")
}

/// Every example there is: one that is added is tried by these tests without being named here.
fn examples() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("examples").map(|entry| entry.expect("a folder"));
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().expect("a name in UTF-8"))
        .collect();
    names.sort();
    assert!(names.len() >= 3, "{names:?}");
    names
}

/// A call of each example with its `every_cart.json`, a configuration with one effect on every cart of [`cart`].
fn calls(examples: &[String]) -> Vec<Call> {
    let configuration = |name: &String| {
        fs::read_to_string(folder().join(name).join("every_cart.json"))
            .unwrap_or_else(|error| panic!("{name}/every_cart.json: {error}"))
    };
    examples.iter().map(|name| call(plugin(name).hash(), &configuration(name))).collect()
}

fn golden(name: &str) -> Vec<Golden> {
    let folder = folder().join(name).join("golden");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("golden carts").map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| {
            let text = fs::read_to_string(file).expect("a golden cart");
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        })
        .collect()
}

#[tokio::test]
async fn every_golden_cart_gives_the_same_answer_through_the_component() {
    let examples = examples();
    let names: Vec<&str> = examples.iter().map(String::as_str).collect();
    let (pool, _folder) = pool(1, &names);
    for name in names {
        let cases = golden(name);
        assert!(cases.len() >= 4, "{name} has {} golden carts", cases.len());
        let calls = cases
            .iter()
            .enumerate()
            .map(|(cart, case)| Call { cart, ..call(plugin(name).hash(), &case.configuration.to_string()) });
        let batch = Batch { carts: cases.iter().map(|case| case.cart.clone()).collect(), calls: calls.collect() };
        let verdicts = pool.run(&batch).await.expect("verdicts");
        for (case, verdict) in cases.into_iter().zip(verdicts) {
            let expected = match (case.effects, case.refusal) {
                (Some(effects), None) => Outcome::Ok(effects),
                (None, Some(refusal)) => Outcome::Refused(refusal),
                _ => panic!("{}: either effects or a refusal", case.about),
            };
            assert_eq!(verdict.outcome, expected, "{name}: {}", case.about);
        }
    }
}

#[tokio::test]
async fn the_same_input_gives_the_same_bytes_in_every_process() {
    let examples = examples();
    let hostile = ["giant-output", "endless-loop", "panicking"];
    let every: Vec<&str> = examples.iter().map(String::as_str).chain(hostile).collect();
    let mut calls = calls(&examples);
    // What breaks does so at the same instruction too: fuel is part of the bytes.
    calls.push(call(plugin("giant-output").hash(), r#""effects""#));
    calls.push(call(plugin("endless-loop").hash(), r#""add""#));
    calls.push(call(plugin("panicking").hash(), "{}"));
    let batch = batch(cart(120), calls);

    let mut answers = Vec::new();
    for _process in 0..3 {
        let (pool, _folder) = pool(1, &every);
        for _run in 0..5 {
            let verdicts = pool.run(&batch).await.expect("verdicts");
            answers.push(serde_json::to_string(&verdicts).expect("JSON"));
        }
        assert_eq!(pool.started(), 1);
    }
    assert!(answers[0].contains("percentage_bp") && answers[0].contains("out_of_fuel"), "{}", answers[0]);
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
}

#[tokio::test]
async fn a_plugin_learns_nothing_about_the_machine_the_process_or_the_calls_before() {
    let asks = batch(cart(1), vec![call(plugin("machine-reader").hash(), "{}"); 3]);
    let mut labels = Vec::new();
    for _process in 0..3 {
        let (pool, _folder) = pool(1, &["machine-reader"]);
        let verdicts = pool.run(&asks).await.expect("verdicts");
        labels.extend(verdicts.iter().map(|verdict| effects(verdict)[0].label.clone()));
    }
    // The one "not a number" that there is on every processor; on this one it would begin with f by itself.
    assert!(labels[0].starts_with("7ff8000000000000 7fc00000 ") && labels[0].ends_with(" 0"), "{}", labels[0]);
    labels.dedup();
    assert_eq!(labels.len(), 1, "{labels:#?}");
}

#[tokio::test]
async fn the_largest_cart_stays_far_below_its_fuel() {
    let examples = examples();
    let names: Vec<&str> = examples.iter().map(String::as_str).collect();
    let (pool, _folder) = pool(1, &names);
    for lines in [1, 10, 200] {
        let verdicts = pool.run(&batch(cart(lines), calls(&examples))).await.expect("verdicts");
        let given = limits::fuel(usize::try_from(lines).expect("a small number"));
        for (name, verdict) in examples.iter().zip(verdicts) {
            let found = effects(&verdict).len();
            assert_eq!(found, 1, "{name} on {lines} lines");
            assert!(verdict.fuel > 0 && verdict.fuel * 5 < given, "{name}: {} of {given} for {lines}", verdict.fuel);
        }
    }
}

#[tokio::test]
async fn a_plugin_of_a_merchant_is_judged_by_the_lines_that_it_saw() {
    let (pool, _folder) = pool(1, &["buy-x-get-y"]);
    let whole = cart(6);
    let mut own = whole.clone();
    own.lines.retain(|line| line.index % 2 == 1);
    own.subtotal = own.lines.iter().map(|line| line.total).sum();
    let configured =
        |cart| Call { cart, ..call(plugin("buy-x-get-y").hash(), r#"{"buy": 1, "get": 1, "groups_max": 1}"#) };
    let batch = Batch { carts: vec![whole, own], calls: vec![configured(0), configured(1)] };
    let verdicts = pool.run(&batch).await.expect("verdicts");
    let cheapest = |position: usize| match &effects(&verdicts[position])[0].target {
        bodega_plugin_host::protocol::Target::Lines(lines) => lines[0].index,
        other => panic!("no lines but {other:?}"),
    };
    assert_eq!((cheapest(0), cheapest(1)), (0, 1));
}
