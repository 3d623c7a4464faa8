//! Late money: what merchants choose, and what an order's page offers while it waits.

use bodega_domain::{id::MerchantId, message::payment::Policies};
use bodega_platform::sqlx::{self, types::Uuid};
use reqwest::Method;

use crate::shop::{ADMIN, Browser, MERCHANT, OTHER_MERCHANT, Shop};

async fn chosen(shop: &Shop, merchant: u128) -> (String, &'static str, usize) {
    let asked = Policies { merchant: Some(MerchantId::from_u128(merchant)), cursor: None };
    let policy = shop.core.ask(asked).await.unwrap().items.remove(0);
    (policy.late_money.as_str().to_owned(), policy.capture.as_str(), policy.changes.len())
}

pub(crate) async fn merchants_choose_what_becomes_of_their_late_money(shop: &Shop) {
    let seller = Browser::signed_in(shop, "/merchant", MERCHANT).await;
    let page = seller.get("/merchant/settings").await;
    assert!(page.status == 200 && page.body.contains("Never changed"), "{}", page.body);
    let own = MerchantId::from_u128(1).to_string();
    assert_eq!(page.field("merchant"), own);
    let choose = async |browser: &Browser, desk: &str, fields: &[(&str, &str)]| {
        browser.post(&format!("{desk}/settings"), fields).await
    };
    let done =
        choose(&seller, "/merchant", &[("merchant", &own), ("late_money", "hold_24h"), ("capture", "shipment")]).await;
    assert_eq!((done.status, done.location.as_str()), (303, "/merchant/settings"), "{}", done.body);
    assert_eq!(chosen(shop, 1).await, ("hold_24h".to_owned(), "shipment", 1));
    assert!(seller.get("/merchant/settings").await.body.contains("acc_"), "who changed it");

    let other = Browser::signed_in(shop, "/merchant", OTHER_MERCHANT).await;
    let foreign =
        choose(&other, "/merchant", &[("merchant", &own), ("late_money", "refund"), ("capture", "posting")]).await;
    assert_eq!(foreign.status, 403, "{}", foreign.body);
    assert!(!other.get("/merchant/settings").await.body.contains(&own));
    let token = shop.token(OTHER_MERCHANT).await;
    let (status, _) = shop.api(Method::GET, &format!("/api/v1/payments/policies?merchant={own}"), &token).await;
    assert_eq!(status, 403);
    for wrong in [
        vec![("merchant", own.as_str()), ("late_money", "keep"), ("capture", "posting")],
        vec![("merchant", own.as_str()), ("late_money", "refund"), ("capture", "never")],
        vec![("late_money", "refund"), ("capture", "posting")],
    ] {
        assert_eq!(choose(&seller, "/merchant", &wrong).await.status, 422, "{wrong:?}");
    }

    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    let unknown =
        choose(&admin, "/admin", &[("slug", "nobody"), ("late_money", "refund"), ("capture", "posting")]).await;
    assert!(unknown.status == 422 && unknown.body.contains("no such merchant"), "{}", unknown.body);
    let done = choose(&admin, "/admin", &[("slug", "s-1"), ("late_money", "refund"), ("capture", "posting")]).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert_eq!(chosen(shop, 1).await, ("refund".to_owned(), "posting", 2));
}

pub(crate) async fn merchants_choose_what_unpaid_orders_may_hold(shop: &Shop) {
    let seller = Browser::signed_in(shop, "/merchant", MERCHANT).await;
    let (own, other) = (MerchantId::from_u128(1), MerchantId::from_u128(2));
    let chosen = async || {
        let asked = bodega_domain::message::inventory::Policies { merchant: Some(own), cursor: None };
        let policy = shop.core.ask(asked).await.unwrap().items.remove(0);
        (policy.unproven_share_max, policy.changes.len())
    };
    assert_eq!(chosen().await, (None, 0));
    for (share, kept) in [("", (None, 0)), ("15", (Some(15), 1)), ("15", (Some(15), 1)), ("", (None, 2))] {
        let done = seller.post("/merchant/settings/stock", &[("merchant", &own.to_string()), ("share", share)]).await;
        assert_eq!((done.status, done.location.as_str()), (303, "/merchant/settings"), "{}", done.body);
        assert_eq!(chosen().await, kept, "after {share:?}");
    }
    for wrong in ["101", "-1", "half", "300"] {
        let done = seller.post("/merchant/settings/stock", &[("merchant", &own.to_string()), ("share", wrong)]).await;
        assert_eq!(done.status, 422, "{wrong}: {}", done.body);
    }
    let foreign = seller.post("/merchant/settings/stock", &[("merchant", &other.to_string()), ("share", "5")]).await;
    assert_eq!(foreign.status, 403, "{}", foreign.body);
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    let done = admin.post("/admin/settings/stock", &[("slug", "s-1"), ("share", "100")]).await;
    assert_eq!((done.status, chosen().await), (303, (Some(100), 3)), "{}", done.body);
    let page = admin.get("/admin/settings").await.body;
    assert!(page.contains("value=\"100\"") && page.contains("all of it"), "{page}");
    admin.post("/admin/settings/stock", &[("slug", "s-1"), ("share", "")]).await;
}

/// The order itself is the business of the order service's tests: here a word of payment stands in its row.
pub(crate) async fn late_money_that_waits_is_shown_with_what_can_be_done(shop: &Shop) {
    let pool = shop.core.pool("order").await;
    let id = Uuid::from_u128(shop.order.as_u128());
    let set = |payment: &'static str| sqlx::query(payment).bind(id).execute(&pool);
    set(
        "update orders set payment = payment || jsonb_build_object('held_until', '2027-01-01T12:00:00Z') where id = $1",
    )
    .await
    .unwrap();
    let address = |desk: &str| format!("{desk}/orders/{}", shop.order);
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    let page = admin.get(&address("/admin")).await.body;
    for part in ["Money that came too late", "2027-01-01 12:00", "/reinstate\"", "/give-back\""] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let seller = Browser::signed_in(shop, "/merchant", MERCHANT).await;
    let page = seller.get(&address("/merchant")).await.body;
    assert!(page.contains("/reinstate\"") && !page.contains("/give-back\""), "{page}");
    // This order has not ended, whatever its row says: refused with a reason.
    let refused = admin.post(&format!("{}/reinstate", address("/admin")), &[]).await;
    assert!(refused.status == 409 && refused.body.contains("made again"), "{}", refused.body);
    let nobody = seller.post(&format!("{}/give-back", address("/merchant")), &[]).await;
    assert!([404, 405].contains(&nobody.status), "{}", nobody.status);
    set("update orders set payment = payment - 'held_until' where id = $1").await.unwrap();
    assert!(!admin.get(&address("/admin")).await.body.contains("Money that came too late"));
}
