//! Plugins from the upload to the quote, on real servers and with the real plugin host.

mod shop;

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use bodega_domain::{
    Code, Failure,
    id::{MerchantId, PluginId},
    limits::PLUGIN_BYTES_MAX,
    message::pricing::{PluginActivate, PluginUpload, PluginView, Plugins, PromotionDeactivate, PromotionView},
    quote::{PluginOutcome, Source},
    token::base64url,
};
use bodega_plugin_build::built_for_tests;
use bodega_test_core::{code, fields, goods};
use serde_json::json;
use shop::{BAKER, Shop};

impl Shop {
    async fn upload(&self, by: MerchantId, name: &str, config: serde_json::Value) -> Result<PluginView, Failure> {
        self.upload_bytes(by, &component(name), config).await
    }

    async fn upload_bytes(
        &self,
        by: MerchantId,
        bytes: &[u8],
        config: serde_json::Value,
    ) -> Result<PluginView, Failure> {
        let upload = PluginUpload { name: "A plugin".into(), merchant: None, component: base64url(bytes), config };
        self.core.ask_as(Some(&self.merchant(by)), upload).await
    }

    async fn activate(
        &self,
        by: MerchantId,
        plugin: PluginId,
        label: &str,
        config: serde_json::Value,
    ) -> Result<PromotionView, Failure> {
        self.activate_once(by, None, plugin, label, config).await
    }

    async fn activate_once(
        &self,
        by: MerchantId,
        key: Option<&str>,
        plugin: PluginId,
        label: &str,
        config: serde_json::Value,
    ) -> Result<PromotionView, Failure> {
        let activate = PluginActivate { plugin, key: key.map(str::to_owned), label: label.into(), config };
        self.core.ask_as(Some(&self.merchant(by)), activate).await
    }
}

/// The bytes of a built plugin, an example or a hostile one.
fn component(name: &str) -> Vec<u8> {
    let folder = built_for_tests().expect("plugins build");
    let file = format!("{name}.wasm");
    fs::read(folder.join(&file))
        .or_else(|_| fs::read(folder.join("hostile").join(&file)))
        .expect("a plugin of this name")
}

fn breakfast() -> serde_json::Value {
    json!({
        "label": "Set", "off": { "percentage_bp": 2000 },
        "parts": [{ "of": { "skus": ["LOAF"] } }, { "of": { "skus": ["ROLL"] }, "pieces": 2 }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_uploads_and_activates_a_plugin_and_the_next_quote_shows_it_and_names_its_hash() {
    let shop = Shop::with_plugins().await;
    let cart = [("loaf", 1), ("roll", 3), ("tea", 1)];
    let before = shop.quote(&cart).await;
    assert_eq!((before.discounts.len(), before.plugins.len()), (0, 0));

    let view = shop.upload(BAKER, "bundle-discount", json!(null)).await.expect("a plugin");
    assert_eq!(view.merchant, Some(BAKER));
    assert_eq!(view.trial["description"]["name"], "bundle-discount");
    assert!(view.trial["trial"]["cases"].as_array().is_some_and(|cases| cases.len() >= 3), "{}", view.trial);
    let largest =
        view.trial["trial"]["cases"].as_array().and_then(|cases| cases.iter().find(|c| c["cart"] == "200 lines"));
    let largest = largest.expect("the largest cart");
    assert!(largest["outcome"] == "ok" && largest["effects"].is_u64() && largest["fuel"].is_u64(), "{largest}");
    let again = shop.upload(BAKER, "bundle-discount", json!(null)).await.expect("the same plugin");
    assert_eq!(again.id, view.id);
    assert_eq!(shop.quote(&cart).await.plugins, [], "uploaded is not active");

    let promotion = shop.activate(BAKER, view.id, "Breakfast set", breakfast()).await.expect("a promotion");
    assert_eq!(promotion.plugin_hash.as_deref(), Some(view.hash.as_str()));
    let quote = shop.quote(&cart).await;
    let discount = &quote.discounts[0];
    assert_eq!((discount.label.as_str(), discount.amount.amount()), ("Breakfast set", (400 + 2 * 60) / 5));
    assert_eq!(discount.funded_by, Some(BAKER));
    let source = Source::Plugin { promotion: promotion.id.to_string(), hash: view.hash.clone() };
    assert_eq!(discount.source, source);
    assert_eq!(quote.totals.total.amount(), before.totals.total.amount() - 104);
    let run = &quote.plugins[0];
    assert_eq!((run.outcome, &run.hash), (PluginOutcome::Ok, &view.hash));
    assert!(run.fuel > 0 && quote.token.is_some());

    let listed = shop.core.ask_as(Some(&shop.merchant(BAKER)), Plugins::default()).await.expect("plugins");
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.items[0].promotions, std::slice::from_ref(&promotion));
    let others = shop.core.ask_as(Some(&shop.merchant(goods::merchant().id)), Plugins::default()).await.expect("none");
    assert_eq!(others.items, []);

    let stop = PromotionDeactivate { promotion: promotion.id };
    shop.core.ask_as(Some(&shop.merchant(BAKER)), stop).await.expect("deactivated");
    assert_eq!(shop.quote(&cart).await.totals, before.totals);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_that_is_sent_twice_makes_one_promotion() {
    let shop = Shop::with_plugins().await;
    let view = shop.upload(BAKER, "bundle-discount", json!(null)).await.expect("a plugin");
    let click = || shop.activate_once(BAKER, Some("click"), view.id, "Breakfast set", breakfast());
    let (first, second) = tokio::join!(click(), click());
    let first = first.expect("a promotion");
    assert_eq!(second.expect("the same promotion").id, first.id);
    assert_eq!(click().await.expect("the same promotion").id, first.id);
    let cart = [("loaf", 1), ("roll", 2)];
    assert_eq!(shop.quote(&cart).await.discounts.len(), 1, "its discount counts once");
    let other = shop.activate_once(BAKER, Some("click"), view.id, "Another set", breakfast()).await;
    assert_eq!(code(&other), Some(Code::IdempotencyKeyReused));

    // Who sends no key means what is active already.
    let same = shop.activate(BAKER, view.id, "Breakfast set", breakfast()).await.expect("the same promotion");
    assert_eq!(same.id, first.id);
    let stop = PromotionDeactivate { promotion: first.id };
    shop.core.ask_as(Some(&shop.merchant(BAKER)), stop).await.expect("stopped");
    let late = click().await.expect("the promotion as it is now");
    assert_eq!((late.id, late.active), (first.id, false), "a late repetition does not start it again");
    let again = shop.activate(BAKER, view.id, "Breakfast set", breakfast()).await.expect("a promotion");
    assert_ne!(again.id, first.id);
    let listed = shop.core.ask_as(Some(&shop.merchant(BAKER)), Plugins::default()).await.expect("plugins");
    assert_eq!(listed.items[0].promotions, [again], "those that are over are not listed with the plugin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_cannot_be_stored_is_a_wrong_field_and_a_missing_plugin_host_no_fault_of_the_plugin() {
    let shop = Shop::with_plugins().await;
    let view = shop.upload(BAKER, "bundle-discount", json!(null)).await.expect("a plugin");
    let wrong = [("/config".to_owned(), "control_character".to_owned())];
    for config in [json!("\0"), json!({ "parts": [{ "of": { "a\0": 1 } }] }), json!([["x\0"]])] {
        assert_eq!(fields(&shop.activate(BAKER, view.id, "Set", config.clone()).await), wrong, "{config}");
        assert_eq!(fields(&shop.upload(BAKER, "bundle-discount", config).await), wrong);
    }
    let without = Shop::without_plugins().await;
    let answer = without.upload(BAKER, "bundle-discount", json!(null)).await;
    assert_eq!(code(&answer), Some(Code::CoreUnavailable), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_run_is_refused_with_its_reason() {
    let shop = Shop::with_plugins().await;
    let refused = [
        ("importer", json!(null), "imports bodega:nosy/clock@1.0.0"),
        ("endless-loop", json!("add"), "used up its fuel"),
        ("memory-bomb", json!("hoard"), "more memory"),
        ("giant-output", json!("label"), "more than it may"),
        ("giant-output", json!("surcharge"), "nonsense"),
        ("panicking", json!({}), "broke"),
    ];
    for (name, config, reason) in refused {
        let answer = shop.upload(BAKER, name, config.clone()).await;
        assert_eq!(code(&answer), Some(Code::PluginRejected), "{name} {config}: {answer:?}");
        let detail = answer.err().map(|failure| failure.detail).unwrap_or_default();
        assert!(detail.contains(reason), "{name} {config}: {detail}");
    }
    for bytes in [&b"\0asm\x01\0\0\0"[..], b"<html>", &component("buy-x-get-y")[..5_000]] {
        let answer = shop.upload_bytes(BAKER, bytes, json!(null)).await;
        assert_eq!(code(&answer), Some(Code::PluginRejected), "{answer:?}");
    }
    let huge = shop.upload_bytes(BAKER, &vec![0; PLUGIN_BYTES_MAX + 1], json!(null)).await;
    assert_eq!(code(&huge), Some(Code::PayloadTooLarge));
    let listed = shop.core.ask_as(Some(&shop.merchant(BAKER)), Plugins::default()).await.expect("plugins");
    assert_eq!(listed.items, [], "nothing of it was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_tried_before_it_is_active_and_only_the_owner_activates() {
    let shop = Shop::with_plugins().await;
    let view = shop.upload(BAKER, "buy-x-get-y", json!(null)).await.expect("a plugin");
    let wrong = shop.activate(BAKER, view.id, "Free rolls", json!({ "buy": 0, "get": 1 })).await;
    assert_eq!(code(&wrong), Some(Code::PluginRejected));
    assert_eq!(fields(&wrong), [("/config".to_owned(), "refused".to_owned())]);
    assert!(wrong.err().is_some_and(|failure| failure.detail.contains("buy and get must be at least 1")));

    let three_for_two = json!({ "buy": 2, "get": 1 });
    let foreign = shop.activate(goods::merchant().id, view.id, "Mine now", three_for_two.clone()).await;
    assert_eq!(code(&foreign), Some(Code::PluginNotFound));
    let nowhere = shop.activate(BAKER, PluginId::from_u128(1), "Nothing", three_for_two.clone()).await;
    assert_eq!(code(&nowhere), Some(Code::PluginNotFound));
    let upload = PluginUpload {
        name: "A plugin".into(),
        merchant: Some(BAKER),
        component: base64url(&component("buy-x-get-y")),
        config: json!(null),
    };
    for token in [Some(shop.guest()), None, Some(shop.merchant(goods::merchant().id))] {
        let answer = shop.core.ask_as(token.as_deref(), upload.clone()).await;
        assert!(matches!(code(&answer), Some(Code::Forbidden | Code::Unauthenticated)), "{answer:?}");
    }
    assert_eq!(shop.quote(&[("roll", 3)]).await.discounts, []);

    // It sees its merchant's lines, however cheap the others are.
    shop.activate(BAKER, view.id, "3 for 2", three_for_two).await.expect("a promotion");
    let quote = shop.quote(&[("cola", 5), ("loaf", 3)]).await;
    assert_eq!(quote.discounts[0].amount.amount(), 400);
    assert_eq!(shop.quote(&[("cola", 9)]).await.plugins, [], "it is not asked about what it does not sell");
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_that_turn_hostile_after_their_trial_cost_only_their_own_discount() {
    let shop = Shop::with_plugins().await;
    let good = shop.upload(BAKER, "bundle-discount", json!(null)).await.expect("a plugin");
    shop.activate(BAKER, good.id, "Breakfast set", breakfast()).await.expect("a promotion");
    let cart = [("loaf", 1), ("roll", 2), ("tea", 1)];
    let alone = shop.quote(&cart).await;
    assert_eq!(alone.discounts.len(), 1);

    let hostile = [
        ("endless-loop", PluginOutcome::OutOfFuel),
        ("memory-bomb", PluginOutcome::OutOfMemory),
        ("giant-output", PluginOutcome::OutputTooLarge),
    ];
    let mut expected = BTreeMap::from([(good.hash, PluginOutcome::Ok)]);
    for (name, outcome) in hostile {
        let view = shop.upload(BAKER, name, json!("after_trial")).await.expect("it behaved");
        shop.activate(BAKER, view.id, name, json!("after_trial")).await.expect("it behaved");
        expected.insert(view.hash, outcome);
    }
    let quote = shop.quote(&cart).await;
    let outcomes: BTreeMap<String, PluginOutcome> =
        quote.plugins.iter().map(|run| (run.hash.clone(), run.outcome)).collect();
    assert_eq!(outcomes, expected);
    assert_eq!((quote.discounts, quote.totals), (alone.discounts, alone.totals));
    assert!(quote.token.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_plugin_host_quotes_go_on_without_plugins() {
    let mut shop = Shop::with_plugins().await;
    let view = shop.upload(BAKER, "bundle-discount", json!(null)).await.expect("a plugin");
    shop.activate(BAKER, view.id, "Breakfast set", breakfast()).await.expect("a promotion");
    let cart = [("loaf", 1), ("roll", 2)];
    assert_eq!(shop.quote(&cart).await.discounts.len(), 1, "and it is there again after a restart");

    shop.core.stop().await;
    let mut config = (*shop.core.config).clone();
    let program = std::mem::replace(&mut config.pricing.plugin_host, PathBuf::from("/nonexistent/bodega-plugin-host"));
    shop.core.config = Arc::new(config.clone());
    shop.core.start().await;
    let quote = shop.quote(&cart).await;
    assert_eq!(quote.discounts, []);
    assert_eq!(quote.plugins.iter().map(|run| run.outcome).collect::<Vec<_>>(), [PluginOutcome::Unavailable]);
    assert!(quote.token.is_some(), "it can be ordered");

    shop.core.stop().await;
    config.pricing.plugin_host = program;
    shop.core.config = Arc::new(config);
    shop.core.start().await;
    assert_eq!(shop.quote(&cart).await.discounts.len(), 1);
}
