//! How long a change made in the core takes to be what a shopper reads at an edge.
//!
//! A merchant's request changes a price; the embedded edges are asked over and over until each shows it. Beside it stands
//! the promise: two seconds. That is no speed limit of a machine, so that the ratio says how much of it is used.

use std::time::{Duration, Instant};

use bodega_stack::shop::EDGES_MAX;
use serde_json::{Value, json};

use crate::{
    Fault,
    http::Connection,
    opened::{Opened, Profile},
    report::Report,
};

const EDGES: u16 = 2;
/// Changes one after the other, each waited for.
const ROUNDS: usize = 300;
/// Products of one large change.
const BULK: usize = 500;
/// Large changes.
const BULKS: usize = 10;
const PROMISE_MS: f64 = 2_000.0;
/// Far beyond the promise: what takes longer is an error and no figure.
const GIVE_UP: Duration = Duration::from_secs(30);
const _: () = assert!(EDGES <= EDGES_MAX);

pub(crate) async fn measure(core: Profile) -> Result<Report, Fault> {
    let mut opened = Opened::start(EDGES, core).await?;
    let seller = Seller::sign_in(&mut opened).await?;
    let mut report = Report::new("replication", format!("core built as {core:?}, {EDGES} embedded edges, one by one"));
    let edges: Vec<u16> = (0..EDGES).map(|number| opened.ports.edge + number).collect();

    let one = |price: i64| vec![seller.product(0, price)];
    seller.put(one(1)).await?;
    shown(&edges, 0, 1).await?;
    let (mut asked, mut committed) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let price = 100 + i64::try_from(round)?;
        let began = Instant::now();
        seller.put(one(price)).await?;
        let answered = began.elapsed();
        let seen = shown(&edges, 0, price).await?.duration_since(began);
        asked.push(milliseconds(seen));
        committed.push(milliseconds(seen.saturating_sub(answered)));
    }
    let promise = ("the promise of 2 s", PROMISE_MS);
    for (share, name) in [(50, "p50"), (99, "p99"), (100, "largest")] {
        let from = percentile(&asked, share);
        report.add_beside(&format!("one price, from the request to both edges, {name}"), "ms", &[from], promise);
        let from = percentile(&committed, share);
        report.add_beside(&format!("one price, from the answer to both edges, {name}"), "ms", &[from], promise);
    }

    let mut last = Vec::new();
    for round in 0..BULKS {
        let price = 10_000 + i64::try_from(round)?;
        let began = Instant::now();
        seller.put((0..BULK).map(|number| seller.product(number, price)).collect()).await?;
        let mut seen = began;
        // Keys are put in order, so none of these is surely the last.
        for number in [0, BULK / 2, BULK - 1] {
            seen = seen.max(shown(&edges, number, price).await?);
        }
        last.push(milliseconds(seen.duration_since(began)));
    }
    report.add_beside(&format!("{BULK} products at once, from the request to both edges"), "ms", &last, promise);
    Ok(report)
}

/// When all edges showed this price.
async fn shown(edges: &[u16], number: usize, price: i64) -> Result<Instant, Fault> {
    let began = Instant::now();
    let path = format!("/api/v1/products/{}", slug(number));
    for edge in edges {
        let mut connection = Connection::open(*edge, &path).await?;
        loop {
            let (status, body) = connection.ask().await?;
            if status == 200 {
                let product: Value = serde_json::from_slice(&body)?;
                if product["variants"][0]["prices"]["EUR"] == json!(price) {
                    break;
                }
            }
            if began.elapsed() > GIVE_UP {
                return Err(format!("port {edge} does not show the price {price} of {path}").into());
            }
        }
    }
    Ok(Instant::now())
}

fn slug(number: usize) -> String {
    format!("measured-{number}")
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn percentile(values: &[f64], share: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * share / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// An admin at the gateway's API, who sells in a merchant's name.
struct Seller {
    client: reqwest::Client,
    gateway: String,
    token: String,
    merchant: Value,
}

impl Seller {
    async fn sign_in(opened: &mut Opened) -> Result<Self, Fault> {
        let logins = opened.shop.logins()?;
        let login = logins.into_iter().find(|login| login.role == "admin").ok_or("an admin")?;
        let client = reqwest::Client::new();
        let gateway = format!("http://127.0.0.1:{}", opened.ports.gateway);
        let body = json!({ "email": login.email, "password": login.password });
        let session = client.post(format!("{gateway}/api/v1/session")).json(&body).send().await?;
        let session: Value = session.error_for_status()?.json().await?;
        let token = session["token"].as_str().ok_or("a token")?.to_owned();
        let list = client.get(format!("{gateway}/api/v1/products?limit=1")).send().await?;
        let list: Value = list.error_for_status()?.json().await?;
        let slug = list["items"][0]["slug"].as_str().ok_or("a product")?;
        let product = client.get(format!("{gateway}/api/v1/products/{slug}")).send().await?;
        let product: Value = product.error_for_status()?.json().await?;
        Ok(Self { client, gateway, token, merchant: product["merchant"].clone() })
    }

    fn product(&self, number: usize, price: i64) -> Value {
        let sku = format!("MEASURED-{number}");
        json!({
            "slug": slug(number), "title": "Measured", "description": "Changes its price.", "category": "pantry",
            "merchant": self.merchant, "variants": [{ "sku": sku, "prices": { "EUR": price } }],
        })
    }

    async fn put(&self, products: Vec<Value>) -> Result<(), Fault> {
        let body = json!({ "merchants": [], "categories": [], "products": products });
        let request = self.client.put(format!("{}/api/v1/products", self.gateway)).bearer_auth(&self.token);
        let answer = request.json(&body).send().await?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("{status}: {}", answer.text().await?).into()) }
    }
}
