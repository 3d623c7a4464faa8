//! One id from the shopper's answer through every process that took part.

use bodega_tests::black_box::{OpenShop, address, fresh_key};
use bodega_tests::eventually;
use serde_json::Value;

/// Lines of a log that are records.
fn records(shop: &OpenShop, name: &str) -> Vec<Value> {
    let file = shop.processes().folder().join("logs").join(name);
    let text = std::fs::read(&file).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test]
async fn an_orders_request_id_is_in_the_answer_and_in_every_log_on_its_way() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 1).await;
    let quote = shopper.quote(&address()).await;
    let answer = shopper.check_out(&fresh_key("traced"), &quote, &address(), "card_ok").await;
    let id = answer.headers.get("bodega-request-id").and_then(|id| id.to_str().ok()).expect("a request id").to_owned();
    let order = answer.expect(201)["id"].clone();

    let in_workerd = shop.processes().folder().join("logs/workerd.log").exists();
    let edge = if in_workerd { "workerd.log" } else { "edge-1.log" };
    eventually("the edge's line", || async {
        let lines = records(shop, edge);
        lines.iter().any(|line| line["request_id"] == id.as_str() && line["status"] == 201).then_some(())
    })
    .await;
    // Checkouts that wait together share a batch: the line of the order names it, and the batch's own lines follow.
    let batch = eventually("the order's line", || async {
        let lines = records(shop, "bodega.log");
        let placed = lines.iter().find(|line| line["message"] == "order placed" && line["order"] == order);
        placed.map(|line| {
            assert_eq!(line["request_id"], id.as_str(), "{line:#}");
            line["batch"].clone()
        })
    })
    .await;
    for (subject, id) in
        [("order.v1.place", &Value::from(id.as_str())), ("inventory.v1.hold", &batch), ("payment.v1.open", &batch)]
    {
        eventually(subject, || async {
            let lines = records(shop, "bodega.log");
            let answered = |line: &&Value| line["span"]["subject"] == subject && line["span"]["request_id"] == *id;
            lines.iter().find(answered).map(drop)
        })
        .await;
    }
}
