//! What happens to an order after it is paid: sent in parcels, called off by piece, sent back; and what the buyer hears of it.

use std::time::Duration;

use bodega_tests::black_box::{ADMIN, MERCHANT, OpenShop, Shopper, Staff, address, checkout_body, fresh_key};
use bodega_tests::eventually_within;
use reqwest::Method;
use serde_json::{Value, json};

/// Categories of the demo shop: one whose goods the demo merchant sells, and one whose goods another does.
const OWN: &str = "pantry";
const FOREIGN: &str = "bakery";
const DONE_WITHIN: Duration = Duration::from_secs(30);

async fn until(shopper: &Shopper, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually_within(DONE_WITHIN, what, || async {
        let order = shopper.order(id).await;
        is(&order).then_some(order)
    })
    .await
}

/// A paid order of so many pieces of one article: its id, and the e-mail that its buyer gave.
async fn paid(guest: &Shopper, sku: &str, pieces: u32) -> (String, String) {
    let email = format!("{}@example.org", fresh_key("buyer"));
    guest.add(sku, pieces).await;
    let mut body = checkout_body(&guest.quote(&address()).await, &address(), "card_ok");
    body["contact"]["email"] = json!(email);
    let order = guest.post_with_key("/api/v1/checkout", &fresh_key("sent"), &body).await.expect(201);
    let id = order["id"].as_str().unwrap().to_owned();
    until(guest, &id, "the order to be paid", |order| order["status"] == "paid").await;
    (id, email)
}

#[tokio::test]
async fn an_order_is_sent_in_parcels_called_off_by_piece_and_sent_back() {
    let shop = OpenShop::shared().await;
    let guest = shop.shopper(0);
    let sku = guest.skus(1).await.remove(0);
    let (id, _) = paid(&guest, &sku, 4).await;
    let admin = Staff::sign_in(shop, ADMIN).await;
    let at = format!("/api/v1/orders/{id}");

    guest
        .post(&format!("{at}/cancel"), &json!({"lines": [[sku, 1]]}))
        .await
        .expect_problem(400, "idempotency_key_missing");
    let off = json!({"lines": [[sku, 1]], "reason": "changed_mind"});
    let off = guest.post_with_key(&format!("{at}/cancel"), &fresh_key("off"), &off).await.expect(200);
    assert_eq!((&off["status"], &off["lines"][0]["units"]["cancelled"]), (&json!("paid"), &json!(1)), "{off:#}");
    let parcel = json!({"lines": [[sku, 2]], "carrier": "Corner Post", "tracking": "CP 42"});
    let key = fresh_key("parcel");
    let sent = admin.post_with_key(&format!("{at}/shipments"), &key, &parcel).await.expect(200);
    let again = admin.post_with_key(&format!("{at}/shipments"), &key, &parcel).await.expect(200);
    assert_eq!(sent["shipments"], again["shipments"]);
    let seen = guest.order(&id).await;
    assert_eq!((&seen["status"], &seen["fulfilment"]), (&json!("in_fulfilment"), &json!("partial")), "{seen:#}");
    let page = guest.get(&format!("/orders/{id}")).await;
    assert!(page.text.contains("CP 42"), "the shopper reads the number of the parcel");
    guest
        .post_with_key(&format!("{at}/cancel"), &fresh_key("whole"), &json!({}))
        .await
        .expect_problem(409, "order_state_conflict");

    let rest = admin.post_with_key(&format!("{at}/shipments"), &fresh_key("rest"), &json!({})).await.expect(200);
    for shipment in rest["shipments"].as_array().unwrap() {
        let arrived = format!("{at}/shipments/{}/delivered", shipment["id"].as_str().unwrap());
        admin.send(Method::POST, &arrived, Some(&json!({}))).await.expect(200);
    }
    assert_eq!(guest.order(&id).await["status"], "delivered");

    let back = json!({"lines": [[sku, 1]], "reason": "damaged"});
    guest
        .post_with_key(&format!("{at}/returns"), &fresh_key("far"), &json!({"lines": [[sku, 9]]}))
        .await
        .expect_problem(422, "validation_failed");
    let asked = guest.post_with_key(&format!("{at}/returns"), &fresh_key("back"), &back).await.expect(201);
    let back = format!("{at}/returns/{}", asked["id"].as_str().unwrap());
    let listed = admin.get("/api/v1/returns?state=requested").await.expect(200);
    assert!(listed["items"].as_array().unwrap().iter().any(|item| item["order"] == json!(id)), "{listed:#}");
    admin.send(Method::POST, &format!("{back}/decision"), Some(&json!({"verdict": "approve"}))).await.expect(200);
    let received = admin.post_with_key(&format!("{back}/receipt"), &fresh_key("here"), &json!({})).await.expect(200);
    assert_eq!(
        (&received["returns"], &received["return_requests"][0]["state"]),
        (&json!("partial"), &json!("received")),
        "{received:#}"
    );
    let refund = received["return_requests"][0]["refund"]["amount"].as_i64().unwrap();
    assert!(refund > 0);
    // What was called off and what came back: two of four pieces.
    let total = received["lines"][0]["total"]["amount"].as_i64().unwrap();
    let seen = until(&guest, &id, "the money to go back", |order| {
        order["payment"]["amounts"]["refunded"]["amount"] == json!(total / 2)
    })
    .await;
    assert_eq!(seen["payment"]["status"], "partially_refunded");
    let sagas = admin.get("/api/v1/orders/sagas?parked=true").await.expect(200);
    assert!(
        sagas["items"].as_array().unwrap().iter().all(|saga| saga["order"] != json!(id)),
        "nothing waits for a person"
    );
}

#[tokio::test]
async fn a_merchant_sends_the_own_goods_only() {
    let shop = OpenShop::shared().await;
    let merchant = Staff::sign_in(shop, MERCHANT).await;
    let guest = shop.shopper(0);
    for (category, owned) in [(OWN, true), (FOREIGN, false)] {
        let sku = guest.skus_of(category, 1).await.remove(0);
        let (id, _) = paid(&guest, &sku, 1).await;
        let at = format!("/api/v1/orders/{id}/shipments");
        let answer = merchant.post_with_key(&at, &fresh_key("parcel"), &json!({})).await;
        if owned {
            assert_eq!(answer.expect(200)["parts"][0]["fulfilment"], "shipped");
        } else {
            answer.expect_problem(404, "order_not_found");
            assert_eq!(guest.order(&id).await["status"], "paid");
        }
        guest.post_with_key(&at, &fresh_key("parcel"), &json!({})).await.expect_problem(404, "not_found");
    }
}
