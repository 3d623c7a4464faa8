//! Rules that hold whatever the code does: the database refuses what would break them.

use bodega_platform::sqlx;

use crate::shop::{Shop, WATER};

#[tokio::test]
async fn no_more_is_promised_than_there_is_even_by_the_service_itself() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    shop.buy(&guest, &[(WATER, 1)], "k", "card_silent").await;
    let pool = shop.core.pool("inventory").await;
    for change in [
        "update stock set pending = on_hand + short + 1",
        "update stock set posted = on_hand + short - pending + 1",
        "update stock set on_hand = 0, posted = 1",
    ] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(change)).execute(&pool).await.unwrap_err();
        let constraint = refused.as_database_error().and_then(|error| error.constraint().map(str::to_owned));
        assert_eq!(constraint.as_deref(), Some("nothing_is_promised_twice"), "{change}: {refused}");
    }
    shop.close().await;
}

#[tokio::test]
async fn what_was_written_down_is_never_changed() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    shop.buy(&guest, &[(WATER, 1)], "k", "card_silent").await;
    for (service, table, change) in
        [("inventory", "movement", "set delta = 1000"), ("order", "history", "set who = 'nobody'")]
    {
        let pool = shop.core.pool(service).await;
        let kept: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(&pool)
            .await
            .unwrap();
        assert!(kept > 0);
        for change in [format!("update {table} {change}"), format!("delete from {table}"), format!("truncate {table}")]
        {
            let refused = sqlx::query(sqlx::AssertSqlSafe(change.clone())).execute(&pool).await.unwrap_err();
            assert!(refused.to_string().contains("append-only"), "{change}: {refused}");
        }
    }
    shop.close().await;
}
