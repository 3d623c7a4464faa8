//! A reply that never comes.

use crate::{alone, is_the_only_order, opened, paid_at_last, placed_at_last, quoted};
use bodega_tests::Signal;
use bodega_tests::black_box::{address, fresh_key};

#[tokio::test]
async fn an_outcome_that_is_not_known_is_said_to_be_and_the_same_key_tells() {
    let _alone = alone().await;
    let shop = opened().await;
    let (shopper, quote) = quoted(&shop).await;
    let freeze = |signal| {
        if let Some(core) = shop.processes().core() {
            core.signal(signal);
        }
    };
    // Frozen, the core is still there for the bus: the request is handed over and nobody answers.
    freeze(Signal::Stop);
    let key = fresh_key("silence");
    let answer = shopper.check_out(&key, &quote, &address(), "card_ok").await;
    freeze(Signal::Continue);
    answer.expect_problem(202, "outcome_unknown");

    let order = placed_at_last(&shopper, &key, &quote).await;
    let outcome = shopper.get(&format!("/api/v1/checkout/{key}")).await.expect(200);
    assert_eq!(outcome["id"], order["id"]);
    paid_at_last(&shopper, &order).await;
    is_the_only_order(&shopper, &order).await;
}
