//! Pages of orders stay below what a message may have.

use std::collections::BTreeSet;

use bodega_domain::{limits::MESSAGE_BYTES_MAX, message::order::List};
use bodega_platform::sqlx;

use crate::shop::{BREAD, Shop};

/// Copies of an order, each with 200 lines: together some megabytes.
const LONG_ORDERS: i32 = 40;

#[tokio::test]
async fn long_orders_come_in_short_pages_without_gaps_or_repeats() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    shop.buy(&guest, &[(BREAD, 1)], "k", "card_silent").await;
    let pool = shop.core.pool("order").await;
    let copies = "insert into orders (id, number, owner, status, currency, total, content, payment, placed_at)
         select gen_random_uuid(), o.number, o.owner, o.status, o.currency, o.total,
                jsonb_set(o.content, '{lines}',
                          (select jsonb_agg(l) from jsonb_array_elements(o.content -> 'lines') l, generate_series(1, 200))),
                o.payment, o.placed_at
         from orders o, generate_series(1, $1)";
    sqlx::query(copies).bind(LONG_ORDERS).execute(&pool).await.unwrap();
    let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let list = List { limit: Some(100), cursor, ..List::default() };
        let page = shop.core.ask_as(Some(&guest.token), list).await.unwrap();
        assert!(serde_json::to_vec(&page).unwrap().len() < MESSAGE_BYTES_MAX);
        assert!(page.items.iter().all(|order| seen.insert(order.id)), "an order twice");
        pages += 1;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), usize::try_from(LONG_ORDERS).unwrap() + 1);
    assert!(pages > 1, "{pages} pages");
    shop.close().await;
}
