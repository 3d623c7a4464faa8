//! One row that the database refuses takes no other with it: a batch is halved until the culprit stands alone.

use bodega_domain::{
    id::{MerchantId, OrderId},
    message::inventory::{Hold, HoldAsk, HoldLine, HoldState, HoldVerdict, Post},
    order::OrderStatus,
};
use bodega_platform::{
    Entropy,
    sqlx::{self, AssertSqlSafe, PgPool},
};
use bodega_tests::eventually;

use crate::shop::{BREAD, Shop, WATER, history};

/// The database refuses this order's row from now on.
async fn refuse(pool: &PgPool, when: &str, table: &str, order: OrderId) {
    let id = sqlx::types::Uuid::from_u128(order.as_u128());
    let sql = format!(
        "create or replace function refuse_one() returns trigger language plpgsql as $$
         begin if new.order_id = '{id}' then raise exception 'not this one'; end if; return new; end $$;
         create trigger refuse_one before {when} on {table} for each row execute function refuse_one();"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

async fn forgive(pool: &PgPool, table: &str) {
    sqlx::raw_sql(AssertSqlSafe(format!("drop trigger refuse_one on {table}"))).execute(pool).await.unwrap();
}

#[tokio::test]
async fn a_saga_that_cannot_be_written_stops_no_other() {
    let shop = Shop::open().await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        let guest = shop.guest();
        let order = shop.buy(&guest, &[(WATER, 1)], "k", "card_refused").await.id;
        eventually("its payment to be open", || async {
            history(&shop, &guest, order).await.iter().any(|word| word == "payment_opened").then_some(())
        })
        .await;
        orders.push((guest, order));
    }
    let pool = shop.core.pool("order").await;
    refuse(&pool, "update of step", "saga", orders[1].1).await;
    sqlx::query("update saga set pay_by = now() - interval '1 minute', due = now()").execute(&pool).await.unwrap();
    for n in [0, 2] {
        shop.until_status(&orders[n].0, orders[n].1, OrderStatus::Expired).await;
    }
    assert_eq!(shop.get(&orders[1].0, orders[1].1).await.status, OrderStatus::AwaitingPayment);
    forgive(&pool, "saga").await;
    sqlx::query("update saga set due = now() where due is not null").execute(&pool).await.unwrap();
    shop.until_status(&orders[1].0, orders[1].1, OrderStatus::Expired).await;
    shop.close().await;
}

#[tokio::test]
async fn a_hold_that_cannot_be_written_stops_no_other() {
    let shop = Shop::open().await;
    let orders: Vec<OrderId> = (0..4).map(|_| OrderId::new(shop.core.clock.now().unix_ms(), Entropy.bytes())).collect();
    let line = HoldLine { sku_no: shop.skus[BREAD], quantity: 1, merchant: MerchantId::from_u128(1) };
    let ask_at = shop.core.clock.now().plus_min(10);
    let asks: Vec<HoldAsk> = orders.iter().map(|order| HoldAsk { order: *order, lines: vec![line], ask_at }).collect();
    let pool = shop.core.pool("inventory").await;
    refuse(&pool, "insert", "hold", orders[2]).await;
    let verdicts = shop.core.ask(Hold { asks: asks.clone() }).await.unwrap();
    assert_eq!(verdicts, [HoldVerdict::Held, HoldVerdict::Held, HoldVerdict::Failed, HoldVerdict::Held]);
    assert_eq!(shop.level(BREAD).await.pending, 3);
    forgive(&pool, "hold").await;
    assert_eq!(shop.core.ask(Hold { asks }).await.unwrap(), vec![HoldVerdict::Held; 4]);

    refuse(&pool, "update", "hold", orders[1]).await;
    let states = shop.core.ask(Post { orders: orders.clone() }).await.unwrap();
    assert_eq!(states, [HoldState::Posted, HoldState::Pending, HoldState::Posted, HoldState::Posted]);
    let level = shop.level(BREAD).await;
    assert_eq!((level.pending, level.posted), (1, 3));
    forgive(&pool, "hold").await;
    assert_eq!(shop.core.ask(Post { orders }).await.unwrap(), vec![HoldState::Posted; 4]);
    shop.close().await;
}
