//! The simulator as a shop sees it: over HTTP alone.

mod support;

use bodega_payment_simulator::{Options, Simulator, webhook};
use serde_json::json;
use support::{id, world};

const CAPTURABLE: &str = "payment_intent.amount_capturable_updated";
const SUCCEEDED: &str = "payment_intent.succeeded";
const FAILED: &str = "payment_intent.payment_failed";
const CANCELED: &str = "payment_intent.canceled";
const DISPUTED: &str = "charge.dispute.created";
const REFUNDED: &str = "charge.refunded";

#[tokio::test]
async fn a_good_card_is_authorised_captured_and_refunded_in_parts() {
    let world = world(|_| {}).await;
    let intent = world.intent("1000", "card_ok").await;
    assert_eq!((&intent["status"], &intent["amount_capturable"]), (&json!("requires_capture"), &json!(1000)));
    let capture = format!("/v1/payment_intents/{}/capture", id(&intent));
    let (status, body) = world.post(&capture, &[("amount_to_capture", "1001")], None).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("amount_too_large")));
    let (status, body) = world.post(&capture, &[("amount_to_capture", "1000")], Some("cap")).await;
    assert_eq!((status, &body["status"], &body["amount_received"]), (200, &json!("succeeded"), &json!(1000)));
    let (status, body) = world.post(&capture, &[], None).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("payment_intent_unexpected_state")));
    for (amount, expected) in [("400", 200), ("601", 400), ("600", 200), ("1", 400)] {
        let form = [("payment_intent", id(&intent)), ("amount", amount), ("expand[]", "charge")];
        assert_eq!(world.post("/v1/refunds", &form, None).await.0, expected, "{amount}");
    }
    let (_, now) = world.get(&format!("/v1/payment_intents/{}?expand[]=latest_charge", id(&intent))).await;
    assert_eq!(now["latest_charge"]["amount_refunded"], 1000);
    world.until_told(id(&intent), &[CAPTURABLE, SUCCEEDED, REFUNDED, REFUNDED]).await;
    let (_, report) = world.get("/v1/balance_transactions?expand[]=data.source&limit=2").await;
    assert_eq!((report["data"][0]["amount"].as_i64(), report["has_more"].as_bool()), (Some(-600), Some(true)));
    let after = report["data"][1]["id"].as_str().unwrap();
    let (_, rest) = world.get(&format!("/v1/balance_transactions?expand[]=data.source&starting_after={after}")).await;
    let charge = &rest["data"][0];
    assert_eq!((charge["amount"].as_i64(), charge["fee"].as_i64()), (Some(1000), Some(40)));
    assert_eq!(charge["source"]["payment_intent"], intent["id"]);
    assert_eq!(rest["has_more"], json!(false));
    let (_, refunds) = world.get(&format!("/v1/refunds?payment_intent={}", id(&intent))).await;
    assert_eq!(refunds["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_refused_card_is_an_error_and_another_card_may_follow() {
    let world = world(|_| {}).await;
    let form = [("amount", "500"), ("currency", "usd"), ("capture_method", "manual")];
    let (_, intent) = world.post("/v1/payment_intents", &form, None).await;
    let confirm = format!("/v1/payment_intents/{}/confirm", id(&intent));
    let (status, body) = world.post(&confirm, &[("payment_method", "card_refused")], None).await;
    assert_eq!((status, &body["error"]["type"]), (402, &json!("card_error")));
    let refused = &body["error"]["payment_intent"];
    assert_eq!(refused["status"], "requires_payment_method");
    assert_eq!(refused["last_payment_error"]["charge"], refused["latest_charge"]);
    let (status, body) = world.post(&confirm, &[("payment_method", "card_ok")], None).await;
    assert_eq!((status, &body["status"]), (200, &json!("requires_capture")));
    assert_ne!(body["latest_charge"], refused["latest_charge"]);
    world.until_told(id(&intent), &[FAILED, CAPTURABLE]).await;
}

#[tokio::test]
async fn a_challenge_is_approved_or_declined_at_its_page() {
    let world = world(|_| {}).await;
    for (decision, status) in [("approve", "requires_capture"), ("decline", "requires_payment_method")] {
        let intent = world.intent("700", "card_challenge").await;
        assert_eq!(intent["status"], "requires_action");
        let url = intent["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
        let page = world.client.get(url).send().await.unwrap().text().await.unwrap();
        assert!(page.contains("7.00 EUR") && page.contains("Approve"), "{page}");
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = client.post(url).form(&[("decision", decision)]).send().await.unwrap();
        assert_eq!(answer.headers()["location"], "http://127.0.0.1:1/orders/1");
        let (_, now) = world.get(&format!("/v1/payment_intents/{}", id(&intent))).await;
        assert_eq!(now["status"], status);
    }
}

#[tokio::test]
async fn a_slow_card_speaks_by_webhook_and_a_silent_one_never() {
    let world = world(|_| {}).await;
    let silent = world.intent("100", "card_silent").await;
    let slow = world.intent("100", "card_slow").await;
    assert_eq!((&slow["status"], &silent["status"]), (&json!("processing"), &json!("processing")));
    let cancel = format!("/v1/payment_intents/{}/cancel", id(&silent));
    assert_eq!(world.post(&cancel, &[], None).await.0, 400);
    world.until_told(id(&slow), &[CAPTURABLE]).await;
    let (_, slow) = world.get(&format!("/v1/payment_intents/{}", id(&slow))).await;
    assert_eq!(slow["status"], "requires_capture");
    let (_, now) = world.get(&format!("/v1/payment_intents/{}", id(&silent))).await;
    assert_eq!(now["status"], "processing");
    assert!(world.told(id(&silent)).is_empty());
    assert_eq!(world.control(&format!("intents/{}/authorise", id(&silent)), json!({})).await, 204);
    world.until_told(id(&silent), &[CAPTURABLE]).await;
}

#[tokio::test]
async fn a_duplicating_card_tells_everything_twice_and_out_of_order() {
    let world = world(|_| {}).await;
    let intent = world.intent("100", "card_duplicate").await;
    world.post(&format!("/v1/payment_intents/{}/capture", id(&intent)), &[], None).await;
    world.until_told(id(&intent), &[CAPTURABLE, CAPTURABLE, SUCCEEDED, SUCCEEDED]).await;
    assert_eq!(world.told(id(&intent))[0], SUCCEEDED);
}

#[tokio::test]
async fn a_card_may_fail_the_capture_and_then_be_cancelled() {
    let world = world(|_| {}).await;
    let intent = world.intent("100", "card_capture_fails").await;
    let (status, body) = world.post(&format!("/v1/payment_intents/{}/capture", id(&intent)), &[], None).await;
    assert_eq!((status, &body["error"]["type"]), (402, &json!("card_error")));
    let (status, body) = world.post(&format!("/v1/payment_intents/{}/cancel", id(&intent)), &[], None).await;
    assert_eq!((status, &body["status"]), (200, &json!("canceled")));
    world.until_told(id(&intent), &[CAPTURABLE, CANCELED]).await;
}

#[tokio::test]
async fn a_disputing_card_is_disputed_after_its_capture() {
    let world = world(|_| {}).await;
    let intent = world.intent("100", "card_dispute").await;
    world.post(&format!("/v1/payment_intents/{}/capture", id(&intent)), &[], None).await;
    world.until_told(id(&intent), &[CAPTURABLE, SUCCEEDED, DISPUTED]).await;
    let (_, disputes) = world.get(&format!("/v1/disputes?payment_intent={}", id(&intent))).await;
    assert_eq!(disputes["data"][0]["amount"], 100);
}

#[tokio::test]
async fn one_idempotency_key_has_one_effect_and_one_fingerprint() {
    let world = world(|_| {}).await;
    let form = [("amount", "500"), ("currency", "usd"), ("metadata[intent_id]", "pin_7")];
    let (first, second) = tokio::join!(
        world.post("/v1/payment_intents", &form, Some("k")),
        world.post("/v1/payment_intents", &form, Some("k"))
    );
    assert_eq!(first, second);
    let other = [("amount", "501"), ("currency", "usd"), ("metadata[intent_id]", "pin_7")];
    let (status, body) = world.post("/v1/payment_intents", &other, Some("k")).await;
    assert_eq!((status, &body["error"]["type"]), (400, &json!("idempotency_error")));
    let (_, list) = world.get("/v1/payment_intents?metadata[intent_id]=pin_7").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn intents_are_found_by_their_metadata() {
    let world = world(|_| {}).await;
    let intent = world.intent("100", "card_ok").await;
    world.intent("100", "card_silent").await;
    let search = async |query: &str| {
        let url = format!("{}/v1/payment_intents/search", world.simulator.url());
        let mut url = reqwest::Url::parse(&url).unwrap();
        url.query_pairs_mut().append_pair("query", query);
        let answer = world.client.get(url).bearer_auth("sk_test_simulator").send().await.unwrap();
        answer.json::<serde_json::Value>().await.unwrap()
    };
    let found = search(r#"metadata["intent_id"]:"card_ok" AND metadata['order_id']:'ord_1'"#).await;
    assert_eq!((found["data"].as_array().unwrap().len(), &found["data"][0]["id"]), (1, &intent["id"]));
    assert_eq!(search(r#"metadata["intent_id"]:"none""#).await["data"], json!([]));
    assert_eq!(search("status:'succeeded'").await["error"]["param"], "query");
}

#[tokio::test]
async fn a_lost_answer_was_executed_and_a_refused_call_was_not() {
    let world = world(|_| {}).await;
    let form = [("amount", "500"), ("currency", "usd"), ("metadata[intent_id]", "pin_8")];
    world.control("faults", json!({"operation": "create", "mode": "refuse", "status": 503})).await;
    assert_eq!(world.post("/v1/payment_intents", &form, Some("a")).await.0, 503);
    let found = "/v1/payment_intents?metadata[intent_id]=pin_8";
    assert_eq!(world.get(found).await.1["data"], json!([]));
    world.control("faults", json!({"operation": "create", "mode": "drop_response"})).await;
    let url = format!("{}/v1/payment_intents", world.simulator.url());
    let lost = world.client.post(url).bearer_auth("sk_test_simulator").header("idempotency-key", "a").form(&form);
    assert!(match lost.send().await {
        Ok(answer) => answer.bytes().await.is_err(),
        Err(_) => true,
    });
    let known = world.get(found).await.1["data"][0]["id"].clone();
    let (status, again) = world.post("/v1/payment_intents", &form, Some("a")).await;
    assert_eq!((status, &again["id"]), (200, &known));
}

#[tokio::test]
async fn webhooks_are_signed_and_repeated_until_they_are_taken() {
    let world = world(|_| {}).await;
    world.inbox.lock().unwrap().refuse = 2;
    let intent = world.intent("100", "card_ok").await;
    world.until_told(id(&intent), &[CAPTURABLE]).await;
    let received = world.inbox.lock().unwrap().received[0].clone();
    let seconds = received.signature.split_once(',').unwrap().0.trim_start_matches("t=").parse().unwrap();
    assert_eq!(received.signature, webhook::signature("whsec_simulator", seconds, &received.body));
}

#[tokio::test]
async fn held_webhooks_are_released_in_any_order() {
    let world = world(|_| {}).await;
    world.control("switches", json!({"webhook_url": world.webhook_url, "hold": true})).await;
    let intent = world.intent("100", "card_ok").await;
    world.post(&format!("/v1/payment_intents/{}/capture", id(&intent)), &[], None).await;
    let url = format!("{}/control/events", world.simulator.url());
    let events: serde_json::Value = world.client.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(events["events"][0]["delivery"], "held");
    let ids: Vec<_> = events["events"].as_array().unwrap().iter().rev().map(|event| event["id"].clone()).collect();
    assert_eq!(world.control("release", json!({"events": [ids[0], ids[0], ids[1]]})).await, 200);
    assert_eq!(world.told(id(&intent)), [SUCCEEDED, SUCCEEDED, CAPTURABLE]);
}

#[tokio::test]
async fn money_may_move_after_a_cancellation() {
    let world = world(|_| {}).await;
    let intent = world.intent("100", "card_ok").await;
    world.post(&format!("/v1/payment_intents/{}/cancel", id(&intent)), &[], None).await;
    assert_eq!(world.control(&format!("intents/{}/capture", id(&intent)), json!({})).await, 204);
    world.until_told(id(&intent), &[CAPTURABLE, CANCELED, SUCCEEDED]).await;
}

#[tokio::test]
async fn a_restart_keeps_intents_keys_and_what_was_slow() {
    let folder = std::env::temp_dir().join(format!("bodega-simulator-{}", std::process::id()));
    let journal = folder.join("payments.jsonl");
    let first = world(|options| {
        options.journal = Some(journal.clone());
        options.slow_ms = 60_000;
    })
    .await;
    let form = [("amount", "500"), ("currency", "usd"), ("confirm", "true"), ("payment_method", "card_slow")];
    let (_, intent) = first.post("/v1/payment_intents", &form, Some("k")).await;
    first.simulator.stop().await;
    // Torn by a kill in the middle of a line.
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes.extend_from_slice(b"{\"record\":\"int");
    std::fs::write(&journal, bytes).unwrap();
    let second = world(|options| options.journal = Some(journal.clone())).await;
    assert_eq!(second.post("/v1/payment_intents", &form, Some("k")).await.1, intent);
    assert_eq!(second.get(&format!("/v1/payment_intents/{}", id(&intent))).await.1["status"], "processing");
    assert_eq!(second.control(&format!("intents/{}/authorise", id(&intent)), json!({})).await, 204);
    second.until_told(id(&intent), &[SUCCEEDED]).await;
    let (_, report) = second.get("/v1/balance_transactions").await;
    assert_eq!(report["data"][0]["amount"], 500);
    second.simulator.stop().await;
    let options = Options { journal: Some(journal), ..Options::default() };
    Simulator::start(options).await.unwrap().stop().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn strangers_and_nonsense_are_refused_in_the_shape_of_the_api() {
    let world = world(|_| {}).await;
    let url = format!("{}/v1/payment_intents", world.simulator.url());
    let stranger = world.client.get(&url).bearer_auth("sk_wrong").send().await.unwrap();
    assert_eq!(stranger.status().as_u16(), 401);
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[("currency", "eur")], "parameter_missing"),
        (&[("amount", "1.5"), ("currency", "eur")], "parameter_invalid_integer"),
        (&[("amount", "-1"), ("currency", "eur")], "parameter_invalid_integer"),
        (&[("amount", "1"), ("currency", "e€")], "parameter_unknown"),
    ];
    for (form, code) in cases {
        let (status, body) = world.post("/v1/payment_intents", form, None).await;
        assert_eq!((status, body["error"]["code"].as_str()), (400, Some(code)));
    }
    assert_eq!(world.get("/v1/payment_intents/pi_none").await.0, 404);
    let form = [("amount", "1"), ("currency", "eur"), ("confirm", "true"), ("payment_method", "gold")];
    assert_eq!(world.post("/v1/payment_intents", &form, None).await.0, 404);
}

#[tokio::test]
async fn the_control_page_shows_payments_and_its_buttons_work_for_its_own_pages_only() {
    let world = world(|_| {}).await;
    let intent = world.intent("12345", "card_silent").await;
    let page = world.client.get(world.simulator.url()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains(id(&intent)) && page.contains("123.45 EUR"), "{page}");
    let button = format!("{}/form/intents/{}/authorise", world.simulator.url(), id(&intent));
    let foreign = world.client.post(&button).header("origin", "http://elsewhere.test").send().await.unwrap();
    assert_eq!(foreign.status().as_u16(), 403);
    let own = world.client.post(&button).header("origin", world.simulator.url()).send().await.unwrap();
    assert_eq!(own.status().as_u16(), 200);
    assert!(own.text().await.unwrap().contains("requires_capture"));
}
