//! Quotes on real servers: what is asked for is what is signed, and what cannot be sold is named.

mod shop;

use std::collections::BTreeMap;

use bodega_domain::{
    Code, Failure,
    id::{MerchantId, PromotionId},
    limits::{OWNER_PROMOTIONS_MAX, PROMOTIONS_MAX, RULE_CATEGORIES_MAX, RULE_NAME_BYTES_MAX, RULE_SKUS_MAX},
    message::{
        catalog::Views,
        pricing::{PromotionDeactivate, PromotionView, Promotions, PutRule, Quote},
    },
    money::Currency,
    principal::Owner,
    quote::{self, Source},
};
use bodega_test_core::{code, fields, goods};
use bodega_tests::eventually;
use serde_json::json;
use shop::{BAKER, GUEST, Shop, germany};

const RULE: PromotionId = PromotionId::from_u128(0x77);

impl Shop {
    async fn put(&self, by: MerchantId, id: PromotionId, rule: serde_json::Value) -> Result<PromotionView, Failure> {
        let put = PutRule { id, merchant: None, label: "Less".into(), rule, active: true };
        self.core.ask_as(Some(&self.merchant(by)), put).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_says_what_the_answer_says_and_is_its_owners() {
    let shop = Shop::without_plugins().await;
    shop.put(BAKER, RULE, json!({ "benefit": { "percentage_bp": 1000 }, "uses_max": 5 })).await.expect("a rule");
    let answer = shop.quote(&[("loaf", 2), ("tea", 1)]).await;
    let token = answer.token.as_deref().expect("a token");
    let keys = &shop.core.config.keys.quote;
    let verified = quote::verify(keys, token, Owner::Guest(GUEST)).expect("its owner's");
    let content = verified.content();
    assert_eq!(
        (&content.lines, &content.adjustments, &content.taxes),
        (&answer.lines, &answer.discounts, &answer.taxes)
    );
    assert_eq!((content.totals, content.expires, &content.destination), (answer.totals, answer.expires_at, &germany()));
    assert_eq!(answer.discounts[0].source, Source::Rule(RULE.to_string()));
    assert_eq!(content.budgets.len(), 1, "a limited promotion is counted by the order");
    assert_eq!((content.budgets[0].uses_max, content.budgets[0].amount), (Some(5), answer.discounts[0].amount));

    let again = shop.quote(&[("loaf", 2), ("tea", 1)]).await;
    let other =
        quote::verify(keys, again.token.as_deref().expect("a token"), Owner::Guest(GUEST)).expect("its owner's");
    assert_ne!(other.content().order_id, content.order_id, "another quote is another order");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_it_is_an_estimate_with_the_same_discounts() {
    let shop = Shop::without_plugins().await;
    shop.put(BAKER, RULE, json!({ "benefit": { "percentage_bp": 1000 } })).await.expect("a rule");
    let whole = shop.quote(&[("loaf", 2)]).await;
    let estimate = shop.ask(Quote { destination: None, ..shop.request(&[("loaf", 2)]) }).await.expect("an estimate");
    assert_eq!((estimate.token, &estimate.discounts), (None, &whole.discounts));
    let anonymous = shop.core.ask_as(None, shop.request(&[("loaf", 2)])).await;
    assert_eq!(code(&anonymous), Some(Code::Unauthenticated), "nobody would own the quote");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sold_is_named() {
    let shop = Shop::without_plugins().await;
    let asked = |change: &dyn Fn(&mut Quote)| {
        let mut request = shop.request(&[("loaf", 1)]);
        change(&mut request);
        request
    };
    let abroad =
        asked(&|request| request.destination.as_mut().expect("one").country = "AQ".parse().expect("a country"));
    assert_eq!(code(&shop.ask(abroad).await), Some(Code::DestinationUnsupported));
    assert_eq!(code(&shop.ask(asked(&|request| request.lines.clear())).await), Some(Code::CartEmpty));
    let swiss = asked(&|request| request.currency = "CHF".parse().expect("a currency"));
    assert_eq!(code(&shop.ask(swiss).await), Some(Code::CurrencyUnsupported));

    let named = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];
    let gone = shop.ask(asked(&|request| request.lines.push((999_999, 1)))).await;
    assert_eq!((code(&gone), fields(&gone)), (Some(Code::ValidationFailed), named("/lines/999999", "unknown")));
    // The goods have prices in euros and yen.
    let dollars = shop.ask(asked(&|request| request.currency = Currency::USD)).await;
    assert_eq!(fields(&dollars), named("/lines/LOAF", "no_price"));
    let pigeon = shop.ask(asked(&|request| request.shipping_method = Some("pigeon".into()))).await;
    assert_eq!(fields(&pigeon), named("/shipping_method", "unknown"));
    for quantity in [0, 1_000] {
        let many = shop.ask(asked(&|request| request.lines[0].1 = quantity)).await;
        assert_eq!(code(&many), Some(Code::ValidationFailed), "{quantity}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_count_once_their_rule_does_and_the_others_are_told_why() {
    let shop = Shop::without_plugins().await;
    let off = json!({ "code": "BREAD", "benefit": { "amount": { "EUR": 100 } }, "min_subtotal": { "EUR": 800 } });
    shop.put(BAKER, RULE, off).await.expect("a rule");
    let with = |lines: &[(&str, u32)], codes: &[&str]| Quote {
        codes: codes.iter().map(|code| (*code).to_owned()).collect(),
        ..shop.request(lines)
    };
    assert_eq!(shop.quote(&[("loaf", 2)]).await.discounts, []);
    let counted = shop.ask(with(&[("loaf", 2)], &["bread", "NOPE"])).await.expect("a quote");
    assert_eq!(counted.discounts[0].amount.amount(), 100);
    let refused: Vec<&str> = counted.codes_refused.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(refused, ["NOPE"]);
    let small = shop.ask(with(&[("loaf", 1), ("tea", 9)], &["BREAD"])).await.expect("a quote");
    assert_eq!((small.discounts.len(), small.codes_refused.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_rules_over_its_own_goods_and_promotions_only() {
    let shop = Shop::without_plugins().await;
    let corner = goods::merchant().id;
    let rule = json!({ "benefit": { "percentage_bp": 5000 } });
    let view = shop.put(BAKER, RULE, rule.clone()).await.expect("a rule");
    assert_eq!((view.merchant, view.active), (Some(BAKER), true));
    let quote = shop.quote(&[("loaf", 1), ("tea", 1)]).await;
    let discounts: Vec<i64> = quote.lines.iter().map(|line| line.discount.amount()).collect();
    assert_eq!(discounts, [200, 0]);

    assert_eq!(code(&shop.put(corner, RULE, rule.clone()).await), Some(Code::Conflict), "the id is taken");
    let stop = PromotionDeactivate { promotion: RULE };
    assert_eq!(code(&shop.core.ask_as(Some(&shop.merchant(corner)), stop).await), Some(Code::Forbidden));
    let shipping = shop.put(BAKER, PromotionId::from_u128(0x78), json!({ "benefit": "free_shipping" })).await;
    assert_eq!(fields(&shipping), [("/rule/benefit".to_owned(), "invalid".to_owned())]);
    let misspelt = shop.put(BAKER, PromotionId::from_u128(0x78), json!({ "benefit": { "percent": 5 } })).await;
    assert_eq!(fields(&misspelt), [("/rule".to_owned(), "malformed".to_owned())]);
    let listed = shop.core.ask_as(Some(&shop.merchant(corner)), Promotions::default()).await.expect("promotions");
    assert_eq!(listed.items, []);

    shop.core.ask_as(Some(&shop.merchant(BAKER)), stop).await.expect("its own");
    assert_eq!(shop.quote(&[("loaf", 1)]).await.discounts, []);
}

/// A rule that names as much as it may.
fn largest() -> serde_json::Value {
    json!({
        "benefit": { "percentage_bp": 1000 },
        "categories": vec!["c".repeat(RULE_NAME_BYTES_MAX); RULE_CATEGORIES_MAX],
        "skus": vec!["S".repeat(RULE_NAME_BYTES_MAX); RULE_SKUS_MAX],
    })
}

/// A rule of merchant number `n`, as an admin's tool would put it.
fn rule_of(n: u128, id: u128, rule: serde_json::Value) -> PutRule {
    let (id, merchant) = (PromotionId::from_u128(id), Some(MerchantId::from_u128(n)));
    PutRule { id, merchant, label: "Less".into(), rule, active: true }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_merchant_cannot_push_the_promotions_of_others_out_and_what_is_too_much_is_refused() {
    let shop = Shop::without_plugins().await;
    let off = json!({ "benefit": { "percentage_bp": 1000 } });
    let refused = |why: &str| vec![("/active".to_owned(), why.to_owned())];
    // Ids that sort before everybody else's, chosen by whoever would have all the room.
    for n in 0..OWNER_PROMOTIONS_MAX as u128 {
        shop.put(BAKER, PromotionId::from_u128(n + 1), off.clone()).await.expect("a rule");
    }
    let more = shop.put(BAKER, PromotionId::from_u128(21), off.clone()).await;
    assert_eq!((code(&more), fields(&more)), (Some(Code::ValidationFailed), refused("too_many")));
    let idle = PutRule { active: false, ..rule_of(BAKER.as_u128(), 21, off.clone()) };
    shop.core.ask(idle).await.expect("one that is not active");
    shop.put(BAKER, PromotionId::from_u128(1), off.clone()).await.expect("a change of one that is active");

    let corner = goods::merchant().id;
    let last = PromotionId::from_u128(u128::MAX);
    shop.put(corner, last, off.clone()).await.expect("another merchant's rule");
    assert_eq!(shop.quote(&[("tea", 1)]).await.discounts.len(), 1, "it counts however many others there are");

    let stop = PromotionDeactivate { promotion: PromotionId::from_u128(2) };
    shop.core.ask_as(Some(&shop.merchant(BAKER)), stop).await.expect("stopped");
    shop.put(BAKER, PromotionId::from_u128(21), off.clone()).await.expect("there is room again");

    for (n, _) in (1_000_u128..).zip(OWNER_PROMOTIONS_MAX + 1..PROMOTIONS_MAX) {
        shop.core.ask(rule_of(n / 20, n, off.clone())).await.expect("a rule");
    }
    let full = shop.core.ask(rule_of(5_000, 5_000, off)).await;
    assert_eq!((code(&full), fields(&full)), (Some(Code::ValidationFailed), refused("shop_full")));
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_the_largest_size_still_reach_the_edges() {
    let shop = Shop::without_plugins().await;
    let mut kept = 0;
    let full = loop {
        let answer = shop.core.ask(rule_of(100 + kept, 100 + kept, largest())).await;
        match answer {
            Ok(_) => kept += 1,
            refused => break refused,
        }
        assert!(kept < 20, "no end of it");
    };
    assert_eq!(fields(&full), [("/active".to_owned(), "shop_full".to_owned())]);
    assert!(kept > 5, "{kept}");
    let second = shop.core.ask(rule_of(100, 99, largest())).await;
    assert_eq!(fields(&second), [("/active".to_owned(), "too_long".to_owned())]);
    told(&shop, usize::try_from(kept).expect("a few")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_cannot_store_is_a_wrong_field_and_no_fault() {
    let shop = Shop::without_plugins().await;
    let benefit = json!({ "percentage_bp": 1000 });
    let wrong = [("/rule".to_owned(), "control_character".to_owned())];
    for rule in [
        json!({ "benefit": benefit, "skus": ["a\0b"] }),
        json!({ "benefit": benefit, "categories": ["\0"] }),
        json!({ "benefit": benefit, "min_subtotal": { "E\0R": 1 } }),
        json!({ "benefit": { "amount": { "\0": 1 } } }),
    ] {
        let answer = shop.put(BAKER, RULE, rule).await;
        assert_eq!(fields(&answer), wrong, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promotions_that_are_large_come_in_pages_that_fit_into_a_message() {
    let shop = Shop::without_plugins().await;
    for n in 0..60 {
        let ended = PutRule { active: false, ..rule_of(BAKER.as_u128(), 1_000 + n, largest()) };
        shop.core.ask(ended).await.expect("a rule");
    }
    let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let page = shop.core.ask_as(Some(&shop.merchant(BAKER)), Promotions { cursor }).await.expect("a page");
        ids.extend(page.items.iter().map(|promotion| promotion.id.as_u128()));
        pages += 1;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids, (1_000..1_060).collect::<Vec<_>>());
    assert!(pages >= 3, "{pages}");
}

async fn told(shop: &Shop, expected: usize) {
    eventually("the rules in the edges' views", async || {
        let page = shop.core.ask(Views { after: 0, limit: 500, live_only: true }).await.ok()?;
        let views: BTreeMap<_, _> =
            page.entries.into_iter().map(|(_, entry)| ((entry.kind, entry.key), entry.body)).collect();
        let rules = views.get(&("promotions".to_owned(), "active".to_owned()))?.as_ref()?.as_array()?.len();
        (rules == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_hear_of_the_rules_through_the_catalogue() {
    let shop = Shop::without_plugins().await;
    shop.put(BAKER, RULE, json!({ "benefit": { "percentage_bp": 500 } })).await.expect("a rule");
    told(&shop, 1).await;
    let stop = PromotionDeactivate { promotion: RULE };
    shop.core.ask_as(Some(&shop.merchant(BAKER)), stop).await.expect("its own");
    told(&shop, 0).await;
}
