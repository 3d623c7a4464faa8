//! What a merchant may not learn of another, and of orders that they share.

use bodega_domain::{Code, id::MerchantId, order::OrderView};
use reqwest::Method;
use serde_json::Value;

use crate::{
    plugins,
    shop::{Browser, MERCHANT, OTHER_MERCHANT, Shop},
};

/// The total of one merchant's part.
fn part_of(order: &OrderView, merchant: u128) -> String {
    let part = order.parts.iter().find(|part| part.merchant == MerchantId::from_u128(merchant)).unwrap();
    part.total.to_string()
}

pub(crate) async fn no_page_of_a_merchant_tells_of_another(shop: &Shop) {
    let other = Browser::signed_in(shop, "/merchant", OTHER_MERCHANT).await;
    let (whole, theirs) = (shop.shared.totals.total.to_string(), part_of(&shop.shared, 1));
    for path in ["/merchant", "/merchant/orders", &format!("/merchant/orders/{}", shop.shared.id)] {
        let page = other.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.contains(&part_of(&shop.shared, 2)), "{path}: the own part: {}", page.body);
        for foreign in ["ODD", whole.as_str(), theirs.as_str(), "ada@", "Ledger"] {
            assert!(!page.body.contains(foreign), "{path} tells {foreign}: {}", page.body);
        }
    }
    let order = other.get(&format!("/merchant/orders/{}", shop.shared.id)).await.body;
    assert!(order.contains("What happened") && order.contains("by buyer") && !order.contains("<summary>Details"));
    for path in ["/merchant/plugins", "/merchant/stock", "/merchant/products"] {
        let page = other.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        for foreign in [plugins::NAME, plugins::LABEL, "ODD"] {
            assert!(!page.body.contains(foreign), "{path} tells {foreign}: {}", page.body);
        }
    }
    let seller = Browser::signed_in(shop, "/merchant", MERCHANT).await;
    assert!(seller.get("/merchant/plugins").await.body.contains(plugins::NAME), "to its owner it is shown");
}

pub(crate) async fn the_api_tells_a_merchant_of_their_part_and_no_more(shop: &Shop) {
    let token = shop.token(OTHER_MERCHANT).await;
    let read = |path: String| {
        let token = token.clone();
        async move {
            let (status, body) = shop.api(Method::GET, &path, &token).await;
            assert_eq!(status, 200, "{path}: {body}");
            body
        }
    };
    let order = format!("/api/v1/orders/{}", shop.shared.id);
    for path in [order.as_str(), "/api/v1/orders?all=true"] {
        let body = read(path.to_owned()).await;
        assert!(!body.contains("ODD") && !body.contains("next_action"), "{path}: {body}");
        let json: Value = serde_json::from_str(&body).unwrap();
        let seen = if json["items"].is_array() { &json["items"][0] } else { &json };
        let seen: OrderView = serde_json::from_value(seen.clone()).unwrap();
        assert_eq!((seen.parts.len(), seen.totals.total), (1, seen.parts[0].total), "{path}");
        assert_eq!(seen.payment.amounts.captured, seen.parts[0].total, "{path}");
        assert_ne!(seen.totals.total, shop.shared.totals.total);
    }
    let history: Value = serde_json::from_str(&read(format!("{order}/history")).await).unwrap();
    for entry in history["items"].as_array().unwrap() {
        assert_eq!(entry["data"], serde_json::json!({}), "{entry}");
        assert!(entry["who"] == "buyer" || entry["who"].as_str().unwrap().starts_with("service:"), "{entry}");
    }
    let lists = [
        "/api/v1/stock",
        "/api/v1/stock/movements",
        "/api/v1/stock/low",
        "/api/v1/stock/incoming?all=true",
        "/api/v1/returns",
        "/api/v1/payments/statement",
        "/api/v1/plugins",
        "/api/v1/promotions",
        "/api/v1/promotions/changes",
    ];
    for path in lists {
        let body = read(path.to_owned()).await;
        let seller = MerchantId::from_u128(1).to_string();
        for foreign in [plugins::NAME, plugins::LABEL, "ODD", seller.as_str()] {
            assert!(!body.contains(foreign), "{path} tells {foreign}: {body}");
        }
    }
    let seller = MerchantId::from_u128(1);
    let refused = [
        (format!("/api/v1/orders/{}", shop.order), Code::OrderNotFound),
        (format!("/api/v1/orders/{}/history", shop.order), Code::OrderNotFound),
        (format!("/api/v1/stock?merchant={seller}"), Code::Forbidden),
        (format!("/api/v1/stock/movements?merchant={seller}"), Code::Forbidden),
        (format!("/api/v1/promotions/changes?merchant={seller}"), Code::Forbidden),
        (format!("/api/v1/payments/{}/transfers", shop.shared.id), Code::Forbidden),
        ("/api/v1/payments/balances".to_owned(), Code::Forbidden),
        ("/api/v1/payments/exceptions".to_owned(), Code::Forbidden),
        ("/api/v1/orders/exceptions".to_owned(), Code::Forbidden),
        ("/api/v1/orders/sagas".to_owned(), Code::Forbidden),
        ("/api/v1/users".to_owned(), Code::Forbidden),
        ("/api/v1/users/changes".to_owned(), Code::Forbidden),
        ("/api/v1/services".to_owned(), Code::Forbidden),
        ("/api/v1/edges".to_owned(), Code::Forbidden),
    ];
    for (path, code) in refused {
        let (status, body) = shop.api(Method::GET, &path, &token).await;
        assert_eq!(status, code.http_status(), "{path}: {body}");
        assert!(body.contains(code.as_str()), "{path}: {body}");
    }
}
