//! The books beside the orders and the provider's own account; the stock beside the rows it is the sum of.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use bodega_platform::sqlx::{self, types::Uuid};
use bodega_tests::eventually;

use crate::shop::Shop;

/// How long what is still under way may take.
const SETTLED_WITHIN: Duration = Duration::from_secs(14);

/// Whom money that an order kept belongs to.
const KEPT: [&str; 4] = ["merchant_payable", "merchant_held", "tax_payable", "platform_fee"];

/// What the books hold of an order, minor units.
#[derive(Clone, Copy, Debug, Default)]
struct Booked {
    captured: i64,
    refunded: i64,
    disputed: i64,
    mismatch: bool,
    /// Not taken, or not taken yet: its goods have not left.
    untaken: i64,
    /// Credited to merchants, tax and fee, less what went back out of them.
    kept: i64,
    /// With the provider, its fees not counted.
    clearing: i64,
}

impl Booked {
    /// What does not fit to the order, if anything.
    fn misfit(self, status: &str, total: i64) -> Option<&'static str> {
        let left = self.captured - self.refunded;
        match status {
            _ if self.clearing != left - self.disputed => Some("the clearing account is not what was taken and given"),
            "awaiting_payment" => None,
            "cancelled" | "expired" if self.kept != 0 => Some("somebody keeps money of an order that is over"),
            "cancelled" | "expired" if left != 0 && !self.mismatch => {
                Some("money of an order that is over is still here")
            }
            "cancelled" | "expired" => None,
            _ if self.captured + self.untaken != total => Some("a paid order was not taken whole"),
            _ if self.kept != total - self.untaken - self.refunded => {
                Some("a paid order's money is not all where it belongs")
            }
            _ => None,
        }
    }
}

impl Shop {
    /// The books agree with each order and with the provider, and the stock with its own rows; what is still under way
    /// may come to its end.
    pub(crate) async fn assert_balanced(&self) {
        let misfits = Mutex::new(Vec::new());
        let fit = eventually("books and stock that fit", || async {
            let mut found = self.misfits_of_orders().await;
            found.extend(self.misfits_of_provider().await);
            found.extend(self.misfits_of_stock().await);
            let fit = found.is_empty().then_some(());
            *misfits.lock().unwrap() = found;
            fit
        });
        if tokio::time::timeout(SETTLED_WITHIN, fit).await.is_err() {
            panic!("{:#?}", misfits.lock().unwrap());
        }
    }

    async fn booked(&self) -> BTreeMap<Uuid, Booked> {
        type Row = (Uuid, i64, i64, i64, bool, i64, i64, i64);
        let rows: Vec<Row> = sqlx::query_as(
            "select i.order_id, i.captured, i.refunded, i.disputed, i.mismatch, i.waiting + i.forgone,
                    coalesce(sum(t.amount) filter (where t.credit = any($1)), 0)::bigint
                        - coalesce(sum(t.amount) filter (where t.debit = any($1)), 0)::bigint as kept,
                    coalesce(sum(t.amount) filter (where t.debit = 'provider_clearing'), 0)::bigint
                        - coalesce(sum(t.amount) filter (where t.credit = 'provider_clearing'), 0)::bigint as clearing
             from intent i left join transfer t on t.intent = i.id and t.reason <> 'provider_fee' group by i.id",
        )
        .bind(KEPT.map(str::to_owned).to_vec())
        .fetch_all(&self.core.pool("payment").await)
        .await
        .unwrap();
        let read = |(order, captured, refunded, disputed, mismatch, untaken, kept, clearing): Row| {
            (order, Booked { captured, refunded, disputed, mismatch, untaken, kept, clearing })
        };
        rows.into_iter().map(read).collect()
    }

    async fn misfits_of_orders(&self) -> Vec<String> {
        let booked = self.booked().await;
        let orders: Vec<(Uuid, String, i64)> = sqlx::query_as("select id, status, total from orders")
            .fetch_all(&self.core.pool("order").await)
            .await
            .unwrap();
        let misfit = |(order, status, total): (Uuid, String, i64)| {
            let booked = booked.get(&order).copied().unwrap_or_default();
            Some(format!("{order} {status} over {total}: {}: {booked:?}", booked.misfit(&status, total)?))
        };
        orders.into_iter().filter_map(misfit).collect()
    }

    async fn misfits_of_provider(&self) -> Option<String> {
        let ours: Vec<(String, i64)> = sqlx::query_as(
            "select lower(currency), sum(case when debit = 'provider_clearing' then amount else -amount end)::bigint
             from transfer where reason <> 'provider_fee' and 'provider_clearing' in (debit, credit) group by 1",
        )
        .fetch_all(&self.core.pool("payment").await)
        .await
        .unwrap();
        let (ours, theirs) = (BTreeMap::from_iter(ours), self.settled().await);
        (ours != theirs).then(|| format!("we say that the provider has {ours:?}, it says {theirs:?}"))
    }

    /// The provider's settlement report by currency, its fees not taken off.
    async fn settled(&self) -> BTreeMap<String, i64> {
        let url = format!("{}/v1/balance_transactions?limit=100", self.simulator.url());
        let (client, mut after, mut sums) = (reqwest::Client::new(), String::new(), BTreeMap::new());
        loop {
            let page = client.get(format!("{url}{after}")).bearer_auth("sk_test_simulator").send().await.unwrap();
            let page: serde_json::Value = page.json().await.unwrap();
            for line in page["data"].as_array().unwrap() {
                let currency = line["currency"].as_str().unwrap().to_owned();
                *sums.entry(currency).or_default() += line["amount"].as_i64().unwrap();
                after = format!("&starting_after={}", line["id"].as_str().unwrap());
            }
            if page["has_more"] != true {
                return sums;
            }
        }
    }

    async fn misfits_of_stock(&self) -> Vec<String> {
        let rows: Vec<(i64, Uuid, Vec<i64>, Vec<i64>)> = sqlx::query_as(
            "select sku_no, location, array[on_hand, s.pending, s.posted],
                    array[coalesce(m.delta, 0), coalesce(h.pending, 0), coalesce(h.posted, 0)]
             from stock s
             left join (select sku_no, location, sum(delta)::bigint as delta from movement group by 1, 2) m
                 using (sku_no, location)
             left join (select sku_no, location, (sum(quantity) filter (where state = 0))::bigint as pending,
                               (sum(quantity - shipped - released) filter (where state = 1))::bigint as posted
                        from hold_line join hold using (order_id) group by 1, 2) h using (sku_no, location)",
        )
        .fetch_all(&self.core.pool("inventory").await)
        .await
        .unwrap();
        let misfit = |(sku, location, row, sums): (i64, Uuid, Vec<i64>, Vec<i64>)| {
            (row != sums).then(|| {
                format!(
                    "stock {sku} at {location}: on hand, pending and posted are {row:?}, their rows add up to {sums:?}"
                )
            })
        };
        rows.into_iter().filter_map(misfit).collect()
    }
}
