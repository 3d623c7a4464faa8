//! The last units of something, wanted at two edges.

use bodega_tests::black_box::{ADMIN, Answer, OpenShop, Shopper, Staff, address, fresh_key};
use bodega_tests::eventually;
use reqwest::Method;
use serde_json::{Value, json};

/// The stock of a SKU, a row for each location.
async fn levels(admin: &Staff, shopper: &Shopper, sku: &str, slug: &str) -> Vec<Value> {
    let product = shopper.get(&format!("/api/v1/products/{slug}")).await.expect(200);
    let variants = product["variants"].as_array().cloned().unwrap_or_default();
    let number = variants.iter().find(|variant| variant["sku"] == sku).map(|variant| variant["sku_no"].clone());
    let number = number.unwrap_or_else(|| panic!("{sku} is a variant of {slug}: {product:#}"));
    admin.levels().await.into_iter().filter(|level| level["sku_no"] == number).collect()
}

async fn quoted(shopper: &Shopper, sku: &str, quantity: u32) -> Value {
    shopper.add(sku, quantity).await;
    shopper.quote(&address()).await
}

async fn check_out(shopper: &Shopper, quote: &Value) -> Answer {
    shopper.check_out(&fresh_key("last"), quote, &address(), "card_ok").await
}

#[tokio::test]
async fn sold_out_between_cart_and_checkout_names_the_line_at_either_edge() {
    let shop = OpenShop::shared().await;
    let admin = Staff::sign_in(shop, ADMIN).await;
    let buyers = [shop.shopper(0), shop.shopper(1)];
    let list = buyers[0].get("/api/v1/products?category=flowers-gifts&limit=1").await.expect(200);
    let slug = list["items"][0]["slug"].as_str().unwrap_or_default().to_owned();
    let sku = buyers[0].skus_of("flowers-gifts", 1).await.remove(0);
    let rows = levels(&admin, &buyers[0], &sku, &slug).await;
    admin.leave(&rows, &[3]).await;

    // Both carts, both quotes, and stock for one of them: two wanted of three, twice.
    let quotes = [quoted(&buyers[0], &sku, 2).await, quoted(&buyers[1], &sku, 2).await];
    let (one, two) = tokio::join!(check_out(&buyers[0], &quotes[0]), check_out(&buyers[1], &quotes[1]));
    let mut answers = [(one, &buyers[0], &quotes[0]), (two, &buyers[1], &quotes[1])];
    answers.sort_by_key(|(answer, ..)| answer.status);
    let [(sold, winner, _), (refused, loser, quote)] = answers;
    let order = sold.expect(201);
    let problem = refused.expect_problem(409, "out_of_stock");
    let named = problem["fields"][0]["pointer"].as_str().unwrap_or_default().to_owned();
    assert_eq!(named, format!("/lines/{sku}"), "{problem:#}");

    // Nothing was ordered and nothing lost: the cart is as it was, and one unit less is wanted and sold.
    assert_eq!(loser.get("/api/v1/orders").await.expect(200)["items"], json!([]));
    assert_eq!(loser.cart().await["lines"][0]["quantity"], 2);
    check_out(loser, quote).await.expect_problem(409, "out_of_stock");
    let path = format!("/api/v1/cart/lines/{sku}");
    loser.send(Method::PATCH, &path, &[], Some(&json!({"quantity": 1}))).await.expect(200);
    let last = loser.quote(&address()).await;
    check_out(loser, &last).await.expect(201);

    let id = order["id"].as_str().unwrap_or_default();
    eventually("the first order to be paid", || async { (winner.order(id).await["status"] == "paid").then_some(()) })
        .await;
    let (admin, rows) = (&admin, eventually_posted(&admin, &buyers[0], &sku, &slug).await);
    let sum = |field: &str| rows.iter().filter_map(|level| level[field].as_i64()).sum::<i64>();
    assert_eq!((sum("available"), sum("pending"), sum("short")), (0, 0, 0), "{rows:#?}");
    admin.leave(&rows, &[50]).await;
}

/// The rows once both orders are paid: three units are posted.
async fn eventually_posted(admin: &Staff, shopper: &Shopper, sku: &str, slug: &str) -> Vec<Value> {
    eventually("three units to be posted", || async {
        let rows = levels(admin, shopper, sku, slug).await;
        let posted: i64 = rows.iter().filter_map(|level| level["posted"].as_i64()).sum();
        (posted >= 3).then_some(rows)
    })
    .await
}
