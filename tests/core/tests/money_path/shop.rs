//! A small shop of two merchants on the real services, its payment provider, and shoppers on the bus.

use std::collections::BTreeMap;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use bodega_domain::{
    Currency, Failure, Timestamp,
    address::{Address, Contact},
    catalog::{SkuNo, TaxClass},
    id::{LocationId, MerchantId, OrderId, SessionId},
    message::{
        catalog::{CategoryIn, Merchant, ProductIn, Upsert, VariantIn},
        inventory::{Adjust, Adjustment, HoldOf, HoldState, Level, Levels, Location, PutLocations},
        order::{Get, PaymentChoice, Place},
        payment::Webhook,
        pricing::{Quote, QuoteAnswer},
    },
    order::{OrderStatus, OrderView},
    token::{GuestClaims, base64url, mint_guest},
};
use bodega_payment_simulator::{Options, Simulator};
use bodega_platform::{Bus, Clock, Entropy, RequestContext, Service};
use bodega_test_core::{Clocks, Core};
use bodega_tests::eventually;

pub(crate) const BREAD: &str = "BREAD";
pub(crate) const WATER: &str = "WATER";
pub(crate) const LAMP: &str = "LAMP";
/// Units on hand of each SKU at each of the two locations.
pub(crate) const ON_HAND: i64 = 500;

pub(crate) struct Shop {
    pub(crate) core: Core,
    pub(crate) simulator: Simulator,
    pub(crate) skus: BTreeMap<String, SkuNo>,
}

/// A guest with a session of their own.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) token: String,
    pub(crate) session: SessionId,
}

struct Hook {
    bus: Bus,
    clock: Clock,
}

/// What the gateway does with a webhook: raw body and headers go to payment, over the bus.
async fn hook(State(hook): State<std::sync::Arc<Hook>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let headers = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let webhook = Webhook { provider: "simulator".into(), headers, body: base64url(&body) };
    let context = RequestContext::service(&hook.clock, &Entropy);
    match hook.bus.request(&webhook, &context).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn merchant(n: u128) -> MerchantId {
    MerchantId::from_u128(n)
}

fn product(sku: &str, seller: u128, category: &str, tax_class: TaxClass, eur: i64) -> ProductIn {
    ProductIn {
        slug: sku.to_lowercase(),
        expected_version: None,
        title: sku.to_lowercase(),
        description: "Good.".into(),
        category: category.into(),
        merchant: merchant(seller),
        tax_class,
        attributes: Vec::new(),
        picture: None,
        variants: vec![VariantIn {
            sku: sku.into(),
            title: String::new(),
            options: BTreeMap::new(),
            prices: BTreeMap::from([("EUR".into(), eur), ("JPY".into(), eur)]),
        }],
    }
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with_clocks(Clocks::default()).await
    }

    /// A shop in whose processes it is not the same time.
    pub(crate) async fn open_with_clocks(clocks: Clocks) -> Self {
        let mut shop = Self::open_beside(&[], clocks).await;
        shop.stock().await;
        shop
    }

    /// A shop where shoppers have accounts.
    pub(crate) async fn open_with_accounts() -> Self {
        let services = [bodega_identity::service(), bodega_cart::service()];
        let mut shop = Self::open_services(&services, &[], Clocks::default()).await;
        shop.stock().await;
        shop
    }

    /// A shop that tells its buyers by e-mail.
    pub(crate) async fn open_with_mail(smtp_url: &str) -> Self {
        let mail = format!("[mail]\nsmtp_url = \"{smtp_url}\"\nfrom = \"Corner Shop <shop@bodega.example>\"\n");
        let mut shop = Self::open_configured(
            &[bodega_identity::service(), bodega_notification::service()],
            &[],
            Clocks::default(),
            &mail,
        )
        .await;
        shop.stock().await;
        shop
    }

    /// A shop whose stock is not counted yet, and where these services run in a process of their own.
    pub(crate) async fn open_beside(apart: &[&str], clocks: Clocks) -> Self {
        Self::open_services(&[], apart, clocks).await
    }

    async fn open_services(more_services: &[Service], apart: &[&str], clocks: Clocks) -> Self {
        Self::open_configured(more_services, apart, clocks, "").await
    }

    async fn open_configured(more_services: &[Service], apart: &[&str], clocks: Clocks, configuration: &str) -> Self {
        // The provider has to know where the shop is before the shop starts, and the other way round: the port first.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let webhook_url = format!("http://{}/", listener.local_addr().unwrap());
        let options = Options { webhook_url: Some(webhook_url), slow_ms: 300, ..Options::default() };
        let simulator = Simulator::start(options).await.unwrap();
        let more = format!(
            "[payment.providers.simulator]\nadapter = \"stripe\"\nbase_url = \"{}\"\napi_key = \"sk_test_simulator\"\n\
             webhook_secrets = [\"whsec_simulator\"]\ntimeout_ms = 2000\n{configuration}",
            simulator.url()
        );
        let all = [
            bodega_catalog::service(),
            bodega_inventory::service(),
            bodega_pricing::service(),
            bodega_order::service(),
            bodega_payment::service(),
        ];
        let all = all.into_iter().chain(more_services.iter().copied());
        let (apart, services): (Vec<_>, Vec<_>) = all.partition(|service| apart.contains(&service.name));
        let core = Core::open_beside(&services, &apart, &more, clocks).await;
        let hook_state = std::sync::Arc::new(Hook { bus: core.bus.clone(), clock: core.clock });
        let router = Router::new().route("/", post(hook)).with_state(hook_state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { core, simulator, skus: BTreeMap::new() }
    }

    pub(crate) async fn stock(&mut self) {
        let merchants = (1..=2)
            .map(|n| Merchant { id: merchant(n), slug: format!("seller-{n}"), name: format!("Seller {n}") })
            .collect();
        let category =
            |slug: &str| CategoryIn { slug: slug.into(), title: slug.into(), description: String::new(), position: 0 };
        let products = vec![
            product(BREAD, 1, "food", TaxClass::Reduced, 321),
            product(WATER, 1, "food", TaxClass::Reduced, 99),
            product(LAMP, 2, "home", TaxClass::Standard, 4_999),
        ];
        let upsert = Upsert { merchants, categories: vec![category("food"), category("home")], products };
        self.skus = self.core.ask(upsert).await.unwrap().sku_nos;
        let location = |n: u128| Location {
            id: LocationId::from_u128(n),
            name: format!("Shelf {n}"),
            priority: i32::try_from(n).unwrap(),
        };
        self.core.ask(PutLocations { locations: vec![location(1), location(2)] }).await.unwrap();
        for sku in [BREAD, WATER, LAMP] {
            for n in [1, 2] {
                self.count(sku, n, ON_HAND, &format!("seed:{sku}:{n}")).await.unwrap();
            }
        }
    }

    pub(crate) async fn count(&self, sku: &str, location: u128, delta: i64, reference: &str) -> Result<(), Failure> {
        let seller = if sku == LAMP { 2 } else { 1 };
        let adjustment = Adjustment {
            sku_no: self.skus[sku],
            location: LocationId::from_u128(location),
            merchant: merchant(seller),
            delta,
            reason: "count".into(),
            reference: reference.into(),
        };
        self.core.ask(Adjust { adjustments: vec![adjustment] }).await.map(drop)
    }

    pub(crate) fn guest(&self) -> Guest {
        let session = SessionId::new(self.core.clock.now().unix_ms(), Entropy.bytes());
        let claims = GuestClaims { session, expires: self.core.clock.now().plus_days(1) };
        Guest { token: mint_guest(&self.core.config.keys.guest, &claims).unwrap(), session }
    }

    pub(crate) async fn quote(&self, guest: &Guest, lines: &[(&str, u32)]) -> QuoteAnswer {
        self.try_quote(guest, lines, Currency::EUR).await.unwrap()
    }

    pub(crate) async fn try_quote(
        &self,
        guest: &Guest,
        lines: &[(&str, u32)],
        currency: Currency,
    ) -> Result<QuoteAnswer, Failure> {
        let quote = Quote {
            lines: lines.iter().map(|(sku, quantity)| (self.skus[*sku], *quantity)).collect(),
            cart_tick: 1,
            currency,
            codes: Vec::new(),
            destination: Some(berlin().destination()),
            shipping_method: None,
        };
        self.core.ask_as(Some(&guest.token), quote).await
    }

    pub(crate) fn order(&self, quote: &QuoteAnswer, key: &str, method: &str) -> Place {
        Place {
            key: key.into(),
            quote: quote.token.clone().expect("a quote that can be ordered"),
            contact: Contact { email: "ada@example.org".into(), name: "Ada 🦀".into() },
            shipping_address: berlin(),
            billing_address: None,
            payment: PaymentChoice { provider: "simulator".into(), method: method.into() },
            deadline: self.core.clock.now().plus_s(8),
            wait_ms: 8_000,
            client_bucket: None,
            return_url: None,
        }
    }

    pub(crate) async fn place(&self, guest: &Guest, place: Place) -> Result<OrderView, Failure> {
        self.core.ask_as(Some(&guest.token), place).await
    }

    /// Quote and order in one go.
    pub(crate) async fn buy(&self, guest: &Guest, lines: &[(&str, u32)], key: &str, method: &str) -> OrderView {
        let quote = self.quote(guest, lines).await;
        self.place(guest, self.order(&quote, key, method)).await.unwrap()
    }

    pub(crate) async fn get(&self, guest: &Guest, order: OrderId) -> OrderView {
        self.core.ask_as(Some(&guest.token), Get { order }).await.unwrap()
    }

    pub(crate) async fn until_status(&self, guest: &Guest, order: OrderId, status: OrderStatus) -> OrderView {
        eventually(&format!("{order} to be {}", status.as_str()), || async {
            Some(self.get(guest, order).await).filter(|order| order.status == status)
        })
        .await
    }

    pub(crate) async fn hold(&self, order: OrderId) -> HoldState {
        self.core.ask(HoldOf { order }).await.unwrap()
    }

    /// At one of the two locations.
    pub(crate) async fn level_at(&self, sku: &str, location: u128) -> Level {
        let levels = Levels { sku_nos: vec![self.skus[sku]], ..Levels::default() };
        let rows = self.core.ask(levels).await.unwrap().items;
        rows.into_iter().find(|row| row.location == LocationId::from_u128(location)).unwrap()
    }

    /// Sums over both locations.
    pub(crate) async fn level(&self, sku: &str) -> Level {
        let levels = Levels { sku_nos: vec![self.skus[sku]], ..Levels::default() };
        let rows = self.core.ask(levels).await.unwrap().items;
        let mut sum = rows[0].clone();
        for row in &rows[1..] {
            sum.on_hand += row.on_hand;
            sum.pending += row.pending;
            sum.posted += row.posted;
            sum.short += row.short;
            sum.available += row.available;
        }
        sum
    }

    /// Stops it once its books and its stock have been gone through.
    pub(crate) async fn close(mut self) {
        self.assert_balanced().await;
        self.core.stop().await;
    }
}

pub(crate) fn berlin() -> Address {
    Address {
        name: "Ada 🦀 לאה".into(),
        line1: "Eckstraße 1".into(),
        line2: None,
        city: "Berlin".into(),
        region: None,
        postal_code: "10115".into(),
        country: "DE".parse().unwrap(),
    }
}

/// Words of an order's history, in order.
pub(crate) async fn history(shop: &Shop, guest: &Guest, order: OrderId) -> Vec<String> {
    let history = bodega_domain::message::order::History { order };
    shop.core.ask_as(Some(&guest.token), history).await.unwrap().into_iter().map(|entry| entry.what).collect()
}

/// Tests that need a moment in time that has passed.
pub(crate) fn a_minute_ago(shop: &Shop) -> Timestamp {
    shop.core.clock.now().plus_s(-60)
}
