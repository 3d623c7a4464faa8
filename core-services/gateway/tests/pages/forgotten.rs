//! Forgetting who has ordered: while the order is under way, and when it has ended.

use bodega_platform::sqlx::{self, types::Uuid};
use bodega_tests::eventually;
use reqwest::Method;

use crate::shop::{ADMIN, Browser, MERCHANT, Shop};

/// Whether the contact of the shop's order still names somebody.
async fn is_known(shop: &Shop) -> bool {
    let pool = shop.core.pool("order").await;
    sqlx::query_scalar("select num_nonnulls(email, name, shipping, billing) > 0 from contact where order_id = $1")
        .bind(Uuid::from_u128(shop.order.as_u128()))
        .fetch_one(&pool)
        .await
        .unwrap()
}

/// Begins with an order that is paid, cancels it, and leaves it without a name.
pub(crate) async fn who_ordered_is_forgotten_once_the_order_has_ended(shop: &Shop) {
    let path = format!("/admin/orders/{}", shop.order);
    let api = format!("/api/v1/orders/{}/forget", shop.order);
    let merchant = shop.token(MERCHANT).await;
    assert_eq!(shop.api(Method::POST, &api, &merchant).await.0, 403);
    assert_eq!(shop.api(Method::POST, &api, &shop.shopper).await.0, 403);
    let seller = Browser::signed_in(shop, "/merchant", MERCHANT).await;
    let theirs = format!("/merchant/orders/{}", shop.order);
    assert!(!seller.get(&theirs).await.body.contains("Forget who ordered"));

    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    assert!(admin.get(&path).await.body.contains("Forget who ordered"));
    assert_eq!(admin.post(&format!("{path}/forget"), &[]).await.status, 422, "not without the confirmation");
    for _ in 0..2 {
        let sent = admin.post(&format!("{path}/forget"), &[("sure", "yes")]).await;
        assert_eq!((sent.status, sent.location.as_str()), (303, path.as_str()), "{}", sent.body);
    }
    assert!(is_known(shop).await, "a paid order has to arrive somewhere");
    let page = admin.get(&path).await.body;
    assert!(page.contains("Will be forgotten as soon as") && !page.contains("Forget who ordered"), "{page}");

    crate::an_order_is_cancelled_once(shop).await;
    eventually("who ordered to be forgotten", || async { (!is_known(shop).await).then_some(()) }).await;
    let page = admin.get(&path).await.body;
    assert!(page.contains("Forgotten: this order has no name") && page.contains("Contact forgotten"), "{page}");
    assert_eq!(page.matches("Forget asked").count(), 1, "twice is once: {page}");
    let token = shop.token(ADMIN).await;
    let (status, body) = shop.api(Method::POST, &api, &token).await;
    assert_eq!((status, body.as_str()), (200, r#"{"emptied":true}"#));
    let seen = seller.get(&theirs).await;
    assert!(seen.status == 200 && seen.body.contains("Contact forgotten") && seen.body.contains("by staff"));
}
