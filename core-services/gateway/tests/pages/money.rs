//! What merchants are owed: the own statement, and nobody else's.

use bodega_domain::{Code, id::MerchantId, message::payment::Statement};
use reqwest::Method;

use crate::shop::{ADMIN, Browser, MERCHANT, OTHER_MERCHANT, Shop};

pub(crate) async fn a_merchant_reads_the_own_statement_and_no_other(shop: &Shop) {
    let other = Browser::signed_in(shop, "/merchant", OTHER_MERCHANT).await;
    let token = shop.token(OTHER_MERCHANT).await;
    let (status, body) = shop.api(Method::GET, "/api/v1/payments/statement", &token).await;
    assert_eq!(status, 200, "who acts for one merchant need not say for which: {body}");
    let statement: Statement = serde_json::from_str(&body).unwrap();
    assert_eq!(statement.merchant, MerchantId::from_u128(2));
    let line = statement.lines.iter().find(|line| line.order == Some(shop.shared.id)).expect("the order of both");
    let closing = statement.accounts[0].closing;

    let page = other.get("/merchant/money").await;
    assert_eq!(page.status, 200, "{}", page.body);
    for shown in [closing.payable.to_string(), shop.shared.id.to_string(), "Sold".to_owned(), statement.month.clone()] {
        assert!(page.body.contains(&shown), "{shown}: {}", page.body);
    }
    assert!(!page.body.contains(&MerchantId::from_u128(1).to_string()), "{}", page.body);
    let file = other.get(&format!("/merchant/money/statement.csv?month={}", statement.month)).await.body;
    assert!(file.starts_with("booked_at,order,reason,currency,to_merchant,"), "{file}");
    assert_eq!(file.lines().count(), statement.lines.len() + 1, "{file}");
    assert!(file.contains(&format!("{},{},capture,EUR,", line.at, shop.shared.id)), "{file}");

    let seller = MerchantId::from_u128(1);
    for path in
        [format!("/merchant/money?merchant={seller}"), format!("/merchant/money/statement.csv?merchant={seller}")]
    {
        assert_eq!(other.get(&path).await.status, 403, "{path}");
    }
    let (status, body) = shop.api(Method::GET, &format!("/api/v1/payments/statement?merchant={seller}"), &token).await;
    assert_eq!((status, body.contains(Code::Forbidden.as_str())), (403, true), "{body}");
    for (query, status) in [("month=2026-13", 422), ("month=2020-01", 200), ("currency=X", 422), ("cursor=x", 400)] {
        assert_eq!(other.get(&format!("/merchant/money?{query}")).await.status, status, "{query}");
    }
    assert!(
        other
            .get("/merchant/money?month=2020-01")
            .await
            .body
            .contains("No money was booked until the end of this month.")
    );

    let seller_s = Browser::signed_in(shop, "/merchant", MERCHANT).await;
    assert_eq!(seller_s.get("/merchant/money").await.status, 200);
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    let all = admin.get("/admin/money").await.body;
    for merchant in [1, 2].map(MerchantId::from_u128) {
        assert!(all.contains(&format!("/admin/money?merchant={merchant}&amp;currency=EUR")), "{all}");
    }
    assert!(all.contains("Provider clearing"), "{all}");
    assert!(all.contains("Lay them beside each other now"), "{all}");
    let asked = admin.post("/admin/money/reconcile", &[]).await;
    assert_eq!((asked.status, asked.location.as_str()), (303, "/admin/money"), "{}", asked.body);
    assert!(admin.get("/admin/money").await.body.contains("acc_"), "who asked is said");
    assert_eq!(other.post("/merchant/money/reconcile", &[]).await.status, 405);
    for path in ["/api/v1/payments/reconciliations", "/api/v1/payments/balances"] {
        assert_eq!(shop.api(Method::GET, path, &token).await.0, 403, "{path}");
    }
    let one = admin.get(&format!("/admin/money?merchant={}", statement.merchant)).await.body;
    assert!(one.contains(&closing.payable.to_string()) && one.contains("All merchants"), "{one}");
}
