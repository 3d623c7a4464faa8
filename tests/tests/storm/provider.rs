//! What the payment provider has.

use std::collections::BTreeMap;

use bodega_tests::black_box::{OpenShop, Shopper};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{PgConnection, types::Uuid};

use crate::shoppers::{control, definitely};

/// What the provider has, line by line.
pub(crate) struct Provider {
    /// Payments of each order: received, given back.
    pub(crate) payments: BTreeMap<String, Vec<(i64, i64)>>,
    /// By currency, its fees not taken off.
    pub(crate) settled: BTreeMap<String, i64>,
}

impl Provider {
    /// Asks the provider for everything.
    pub(crate) async fn look(shop: &OpenShop) -> Self {
        let mut found = Self { payments: BTreeMap::new(), settled: BTreeMap::new() };
        for payment in pages(shop, "payment_intents?limit=100&expand[]=data.latest_charge").await {
            let order = payment["metadata"]["order_id"].as_str().unwrap_or_default().to_owned();
            let back = payment["latest_charge"]["amount_refunded"].as_i64().unwrap_or(0);
            found.payments.entry(order).or_default().push((payment["amount_received"].as_i64().unwrap_or(0), back));
        }
        for line in pages(shop, "balance_transactions?limit=100").await {
            let currency = line["currency"].as_str().unwrap_or_default().to_owned();
            *found.settled.entry(currency).or_default() += line["amount"].as_i64().unwrap_or(0);
        }
        found
    }

    /// What it has otherwise than the books say.
    pub(crate) async fn misfits(&self, connection: &mut PgConnection) -> Vec<String> {
        let ours: Vec<(String, i64)> = sqlx::query_as(
            "select lower(currency), sum(case when debit = 'provider_clearing' then amount else -amount end)::bigint
             from payment.transfer where reason <> 'provider_fee' and 'provider_clearing' in (debit, credit) group by 1",
        )
        .fetch_all(&mut *connection)
        .await
        .expect("the books");
        let ours: BTreeMap<String, i64> = ours.into_iter().collect();
        let mut misfits = Vec::new();
        if ours != self.settled {
            misfits.push(format!("the books have {ours:?} at the provider, its report {:?}", self.settled));
        }
        let intents: Vec<(Uuid, i64, i64)> = sqlx::query_as("select order_id, captured, refunded from payment.intent")
            .fetch_all(connection)
            .await
            .expect("intents");
        let known: BTreeMap<String, (i64, i64)> = intents
            .into_iter()
            .map(|(order, captured, back)| {
                (bodega_domain::id::OrderId::from_u128(order.as_u128()).to_string(), (captured, back))
            })
            .collect();
        for (order, payments) in &self.payments {
            match payments.as_slice() {
                [theirs] if known.get(order) == Some(theirs) => {}
                _ => misfits.push(format!("{order}: the provider has {payments:?}, we have {:?}", known.get(order))),
            }
        }
        misfits
    }
}

/// Banks that have said nothing say no at last: an order waits for them for hours, rightly.
pub(crate) async fn let_banks_speak(shop: &OpenShop) {
    for intent in pages(shop, "payment_intents?limit=100").await {
        if intent["status"] == "processing" {
            let id = intent["id"].as_str().unwrap_or_default();
            control(shop, &format!("intents/{id}/refuse"), &json!({})).await;
        }
    }
}

/// All of a list.
async fn pages(shop: &OpenShop, list: &str) -> Vec<Value> {
    let provider = Shopper::at(shop.simulator());
    let api_key = shop.processes().files().simulator_keys().expect("the provider's key").1;
    let bearer = format!("Bearer {api_key}");
    let headers = [("authorization", bearer.as_str())];
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/{list}{after}");
        let page = definitely(|| provider.try_send(Method::GET, &path, &headers, None)).await;
        let page = page.expect("an answer of the provider").expect(200);
        let items = page["data"].as_array().cloned().unwrap_or_default();
        after = items
            .last()
            .map_or_else(String::new, |last| format!("&starting_after={}", last["id"].as_str().unwrap_or_default()));
        found.extend(items);
        if page["has_more"] != true {
            return found;
        }
    }
}
