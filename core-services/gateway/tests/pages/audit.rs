//! What people did: closed exceptions, changed roles, moved stock.

use bodega_platform::sqlx::{self, PgPool, types::Uuid};
use reqwest::Method;
use serde_json::Value;

use crate::shop::{ADMIN, Browser, MERCHANT, Shop};

/// Opens an exception of the order in this service's table.
async fn open(pool: &PgPool, shop: &Shop, insert: &str) {
    let order = Uuid::from_u128(shop.order.as_u128());
    sqlx::query(sqlx::AssertSqlSafe(insert.to_owned())).bind(order).execute(pool).await.unwrap();
}

pub(crate) async fn what_a_person_looked_at_is_closed_with_their_name(shop: &Shop) {
    let (orders, payments) = (shop.core.pool("order").await, shop.core.pool("payment").await);
    open(&orders, shop, "insert into exception (order_id, kind, opened_at) values ($1, 'unsettled', now())").await;
    let insert = "insert into exception (id, order_id, kind, detail, opened_at)
                  values (gen_random_uuid(), $1, 'amount_mismatch', '{}', now())";
    open(&payments, shop, insert).await;
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    let page = admin.get("/admin").await.body;
    assert!(page.contains("Unsettled") && page.contains("Amount mismatch"), "{page}");
    let forms: Vec<String> = page
        .split("action=\"")
        .filter_map(|rest| rest.split_once('"').map(|(action, _)| action.to_owned()))
        .filter(|action| action.ends_with("/close"))
        .collect();
    assert_eq!(forms.len(), 2, "{forms:?}");
    for form in &forms {
        for _ in 0..2 {
            let done = admin.post(form, &[]).await;
            assert_eq!((done.status, done.location.as_str()), (303, "/admin"), "{form}: {}", done.body);
        }
    }
    let page = admin.get("/admin").await.body;
    assert!(!page.contains("Unsettled") && !page.contains("Amount mismatch"), "{page}");
    for pool in [&orders, &payments] {
        let who: String = sqlx::query_scalar("select closed_by from exception where closed_at is not null")
            .fetch_one(pool)
            .await
            .unwrap();
        assert!(who.starts_with("acc_"), "{who}");
    }
    let (token, merchant) = (shop.token(ADMIN).await, shop.token(MERCHANT).await);
    for of in ["orders", "payments"] {
        let unknown = format!("/api/v1/{of}/exceptions/7777777/close");
        assert_eq!(shop.api(Method::POST, &unknown, &token).await.0, 404);
        assert_eq!(shop.api(Method::POST, &unknown, &merchant).await.0, 403);
        let (status, body) = shop.api(Method::GET, &format!("/api/v1/{of}/exceptions"), &token).await;
        assert_eq!(
            (status, serde_json::from_str::<Value>(&body).unwrap()["items"].as_array().unwrap().len()),
            (200, 0)
        );
    }
}

pub(crate) async fn stock_that_is_promised_and_not_there_is_shown_until_it_is(shop: &Shop) {
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    let nothing = "None. What is promised is there.";
    assert!(admin.get("/admin").await.body.contains(nothing));
    let inventory = shop.core.pool("inventory").await;
    let open = "insert into exception (id, sku_no, location, merchant, opened_at)
                select gen_random_uuid(), sku_no, location, merchant, now() from stock order by sku_no, location limit 1";
    sqlx::query(open).execute(&inventory).await.unwrap();
    let page = admin.get("/admin").await.body;
    assert!(page.contains("Stock to look at") && !page.contains(nothing), "{page}");
    let (token, merchant) = (shop.token(ADMIN).await, shop.token(MERCHANT).await);
    let (status, body) = shop.api(Method::GET, "/api/v1/stock/exceptions", &token).await;
    let listed = serde_json::from_str::<Value>(&body).unwrap()["items"].as_array().unwrap().len();
    assert_eq!((status, listed), (200, 1), "{body}");
    assert_eq!(shop.api(Method::GET, "/api/v1/stock/exceptions", &merchant).await.0, 403);
    sqlx::query("update exception set closed_at = now()").execute(&inventory).await.unwrap();
    assert!(admin.get("/admin").await.body.contains(nothing));
}

pub(crate) async fn the_api_tells_who_changed_what(shop: &Shop) {
    let token = shop.token(ADMIN).await;
    let read = |path: &'static str| {
        let token = token.clone();
        async move {
            let (status, body) = shop.api(Method::GET, path, &token).await;
            assert_eq!(status, 200, "{path}: {body}");
            serde_json::from_str::<Value>(&body).unwrap()
        }
    };
    let changes = read("/api/v1/users/changes").await;
    assert_eq!(changes["items"].as_array().unwrap().len(), 4, "one for each account of the shop: {changes}");
    let moved = read("/api/v1/stock/movements?limit=1").await;
    assert_eq!((&moved["items"][0]["delta"], &moved["items"][0]["reason"]), (&(-3).into(), &"damage".into()));
    let changed = read("/api/v1/promotions/changes").await;
    let what: Vec<_> = changed["items"].as_array().unwrap().iter().map(|item| item["what"].clone()).collect();
    assert_eq!(what, ["deactivated", "activated"], "of the merchant's plugin: {changed}");
    let all = read("/api/v1/stock").await;
    let number = &all["items"][0]["sku_no"];
    let token = token.clone();
    let (_, one) = shop.api(Method::GET, &format!("/api/v1/stock?sku_nos={number}"), &token).await;
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!((one["items"].as_array().unwrap().len(), &one["items"][0]), (1, &all["items"][0]));
    assert_eq!(shop.api(Method::GET, "/api/v1/stock?sku_nos=1,x", &token).await.0, 400);
    let locations = read("/api/v1/stock/locations").await;
    assert_eq!((&locations["items"][0]["name"], &locations["next_cursor"]), (&"Shelf".into(), &Value::Null));
    let services = read("/api/v1/services").await;
    let state = |name: &str| {
        let items = services["items"].as_array().unwrap();
        items.iter().find(|item| item["service"] == name).unwrap()["state"].clone()
    };
    assert_eq!((state("order"), state("cart")), ("running".into(), "silent".into()), "{services}");
}
