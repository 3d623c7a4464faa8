//! What a guest has instead of an account: the order's link, and the browser that ordered.

use bodega_tests::black_box::{OpenShop, Shopper, address, checkout_body, fresh_key};
use bodega_tests::eventually_within;
use serde_json::{Value, json};
use std::time::Duration;

const CALLED_OFF_WITHIN: Duration = Duration::from_secs(20);

async fn ordered(guest: &Shopper, email: &str, method: &str) -> Value {
    let sku = guest.skus(1).await.remove(0);
    guest.add(&sku, 1).await;
    let mut body = checkout_body(&guest.quote(&address()).await, &address(), method);
    body["contact"]["email"] = json!(email);
    guest.post_with_key("/api/v1/checkout", &fresh_key("link"), &body).await.expect(201)
}

#[tokio::test]
async fn a_leaked_link_is_undone_and_the_next_one_calls_the_order_off_at_the_other_edge() {
    let shop = OpenShop::shared().await;
    let guest = shop.shopper(0);
    let email = format!("{}@example.org", fresh_key("guest"));
    let order = ordered(&guest, &email, "card_refused").await;
    let id = order["id"].as_str().unwrap().to_owned();
    let (at, leaked) = (format!("/api/v1/orders/{id}"), order["link"].as_str().unwrap().to_owned());
    let friend = shop.shopper(1);
    friend.get(&at).await.expect_problem(404, "order_not_found");
    assert_eq!(friend.get(&leaked).await.status, 303);
    let seen = friend.get(&at).await.expect(200);
    assert_eq!((&seen["id"], &seen["link"]), (&json!(id), &Value::Null));

    let renewed = guest.post(&format!("{at}/link"), &json!({})).await.expect(200);
    let link = renewed["link"].as_str().unwrap().to_owned();
    assert_ne!(link, leaked);
    friend.get(&at).await.expect_problem(404, "order_not_found");
    assert_eq!(shop.shopper(0).get(&leaked).await.status, 404);
    friend.post(&format!("{at}/link"), &json!({})).await.expect_problem(401, "unauthenticated");

    assert_eq!(friend.get(&link).await.status, 303);
    let cancel = format!("{at}/cancel");
    let wrong = friend.post_with_key(&cancel, "off", &json!({"email": "eve@example.org"})).await;
    let problem = wrong.expect_problem(422, "validation_failed");
    assert_eq!(problem["fields"][0]["pointer"], "/email", "{problem:#}");
    friend.post_with_key(&cancel, "off", &json!({"email": email, "reason": "changed_mind"})).await.expect(200);
    let guest = &guest;
    let called_off = eventually_within(CALLED_OFF_WITHIN, "the order to be called off", || async {
        let order = guest.order(&id).await;
        (order["status"] == "cancelled").then_some(order)
    })
    .await;
    assert_eq!(called_off["payment"]["amounts"]["captured"]["amount"], 0, "{called_off:#}");
}

#[tokio::test]
async fn a_guest_who_opens_an_account_finds_the_order_there_at_every_edge() {
    let shop = OpenShop::shared().await;
    let guest = shop.shopper(0);
    let email = format!("{}@example.org", fresh_key("guest"));
    let mine = ordered(&guest, &email, "card_ok").await;
    let not_mine = ordered(&guest, "grace@example.org", "card_ok").await;
    let ordering = guest.cookie("bodega_session").unwrap();
    let account = json!({"email": email, "password": "nine lives and one more", "name": "Ada"});
    guest.post("/api/v1/register", &account).await.expect(201);
    let elsewhere = guest.moved_to(shop.edge(1));
    let listed = elsewhere.get("/api/v1/orders").await.expect(200);
    let ids: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|order| &order["id"]).collect();
    assert_eq!(ids, [&mine["id"]], "{listed:#}");

    let before = shop.shopper(1);
    before.set_cookie("bodega_session", &ordering);
    let at = |order: &Value| format!("/api/v1/orders/{}", order["id"].as_str().unwrap());
    before.get(&at(&mine)).await.expect_problem(404, "order_not_found");
    before.get(&at(&not_mine)).await.expect(200);
}
