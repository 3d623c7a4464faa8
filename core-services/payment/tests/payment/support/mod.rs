//! The payment service beside a simulator, a gateway that hands its webhooks on, and an order service that listens.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use bodega_domain::{
    Currency, Money,
    id::{MerchantId, OrderId, SessionId},
    message::{
        order::PaymentChanged,
        payment::{
            Attempt, Balance, Balances, CancelIntents, Capture, Exceptions, IntentState, Open, OpenAsk, Share,
            State as StateOf, Webhook,
        },
    },
    order::PaymentStatus,
    principal::Owner,
    token::base64url,
};
use bodega_payment_simulator::{Options, Simulator, control::Switches};
use bodega_platform::{Bus, Entropy, sqlx::PgPool};
use bodega_tests::eventually;
use futures::StreamExt as _;

use bodega_test_core::Core;

pub(crate) const SECRET: &str = "whsec_test";
pub(crate) const KEY: &str = "sk_test";

/// What the order service heard, by order; and whether it is there to hear.
#[derive(Default)]
pub(crate) struct Ears {
    pub(crate) heard: Mutex<Vec<IntentState>>,
    pub(crate) deaf: AtomicBool,
}

pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) simulator: Simulator,
    pub(crate) ears: Arc<Ears>,
    pub(crate) client: reqwest::Client,
}

/// A fresh order id.
pub(crate) fn order() -> OrderId {
    OrderId::new(1_795_000_000_000, Entropy.bytes())
}

/// A fresh guest.
pub(crate) fn guest() -> Owner {
    Owner::Guest(SessionId::new(1_795_000_000_000, Entropy.bytes()))
}

pub(crate) fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}

/// An ask over `amount` with two merchants and tax.
pub(crate) fn ask(order: OrderId, amount: i64, method: &str) -> OpenAsk {
    let tax = amount / 10;
    let first = (amount - tax) / 3;
    let share = |merchant, net, tax| Share { merchant: MerchantId::from_u128(merchant), net: eur(net), tax: eur(tax) };
    OpenAsk {
        order,
        owner: guest(),
        amount: eur(amount),
        shares: vec![share(1, first, tax), share(2, amount - tax - first, 0)],
        provider: "simulator".to_owned(),
        method: method.to_owned(),
        attempt_key: "first".to_owned(),
        return_url: Some("http://127.0.0.1:1/orders".to_owned()),
        takes_over: None,
    }
}

pub(crate) async fn simulator(adjust: impl FnOnce(&mut Options)) -> Simulator {
    let mut options =
        Options { webhook_secret: SECRET.to_owned(), api_key: KEY.to_owned(), slow_ms: 300, ..Options::default() };
    adjust(&mut options);
    Simulator::start(options).await.unwrap()
}

/// The section that names the simulator. An old secret is still listed first: keys rotate.
pub(crate) fn provider_toml(url: &str, timeout_ms: u64) -> String {
    format!(
        "[payment.providers.simulator]\nadapter = \"stripe\"\nbase_url = \"{url}\"\napi_key = \"{KEY}\"\n\
         webhook_secrets = [\"whsec_old\", \"{SECRET}\"]\ntimeout_ms = {timeout_ms}\n"
    )
}

impl World {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}, 1_000).await
    }

    pub(crate) async fn open_with(adjust: impl FnOnce(&mut Options), timeout_ms: u64) -> Self {
        let simulator = simulator(adjust).await;
        let toml = provider_toml(&simulator.url(), timeout_ms);
        let core = Core::open(&[bodega_payment::service()], &toml).await;
        let world = Self { ears: listen(&core.bus).await, client: reqwest::Client::new(), simulator, core };
        let url = gateway(world.core.bus.clone()).await;
        world.switch(Switches { webhook_url: Some(url), ..Switches::default() }).await;
        world
    }

    pub(crate) async fn switch(&self, switches: Switches) {
        let url = format!("{}/control/switches", self.simulator.url());
        assert!(self.client.put(url).json(&switches).send().await.unwrap().status().is_success());
    }

    /// The switches as they are.
    pub(crate) async fn switches(&self) -> Switches {
        let url = format!("{}/control/switches", self.simulator.url());
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn control(&self, path: &str, body: serde_json::Value) {
        let url = format!("{}/control/{path}", self.simulator.url());
        let answer = self.client.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    }

    /// The provider's id of an order's intent.
    pub(crate) async fn reference(&self, order: OrderId) -> String {
        let list = self.provider_intents(order).await;
        assert_eq!(list.len(), 1, "one order, one intent at the provider: {list:?}");
        list[0]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn provider_intents(&self, order: OrderId) -> Vec<serde_json::Value> {
        let url = format!("{}/v1/payment_intents?metadata[order_id]={order}", self.simulator.url());
        let list: serde_json::Value = self.client.get(url).bearer_auth(KEY).send().await.unwrap().json().await.unwrap();
        list["data"].as_array().unwrap().clone()
    }

    pub(crate) async fn pay(&self, amount: i64, method: &str) -> OrderId {
        let order = order();
        let opened = self.core.ask(Open { asks: vec![ask(order, amount, method)] }).await.unwrap();
        assert_eq!((opened[0].order, opened[0].status), (order, PaymentStatus::Pending));
        order
    }

    pub(crate) async fn again(
        &self,
        order: OrderId,
        method: &str,
        key: &str,
    ) -> Result<IntentState, bodega_domain::Failure> {
        let attempt = Attempt {
            order,
            owner: guest(),
            provider: "simulator".to_owned(),
            method: method.to_owned(),
            attempt_key: key.to_owned(),
            return_url: None,
        };
        self.core.ask(attempt).await
    }

    pub(crate) async fn state(&self, order: OrderId) -> IntentState {
        self.core.ask(StateOf { orders: vec![order] }).await.unwrap().remove(0)
    }

    pub(crate) async fn capture(&self, order: OrderId) -> IntentState {
        self.core.ask(Capture { orders: vec![order] }).await.unwrap().remove(0)
    }

    pub(crate) async fn cancel(&self, order: OrderId) -> IntentState {
        self.core.ask(CancelIntents { orders: vec![order] }).await.unwrap().remove(0)
    }

    /// Waits until an intent is like this.
    pub(crate) async fn until(&self, order: OrderId, what: &str, holds: impl Fn(&IntentState) -> bool) -> IntentState {
        let last = Mutex::new(None);
        let wait = eventually(what, || async {
            let state = self.state(order).await;
            let found = holds(&state).then(|| state.clone());
            *last.lock().unwrap() = Some(state);
            found
        });
        match tokio::time::timeout(std::time::Duration::from_secs(14), wait).await {
            Ok(state) => state,
            Err(_) => panic!("{what} was waited for in vain; last: {:?}", last.lock().unwrap()),
        }
    }

    pub(crate) async fn until_status(&self, order: OrderId, status: PaymentStatus) -> IntentState {
        self.until(order, &format!("{status:?}"), |state| state.status == status).await
    }

    /// Pays and captures.
    pub(crate) async fn paid(&self, amount: i64, method: &str) -> OrderId {
        let order = self.pay(amount, method).await;
        self.until_status(order, PaymentStatus::Authorised).await;
        self.capture(order).await;
        self.until_status(order, PaymentStatus::Captured).await;
        order
    }

    /// The balances as they would be without the provider's fees: those are booked whenever its report is read, which may
    /// be at any moment.
    pub(crate) async fn balances_without_fees(&self) -> BTreeMap<String, i64> {
        let mut balances = self.balances().await;
        let fees = balances.remove("provider_fees").unwrap_or(0);
        *balances.entry("provider_clearing".to_owned()).or_default() += fees;
        balances.retain(|_, balance| *balance != 0);
        balances
    }

    /// Balances by account, all merchants together.
    pub(crate) async fn balances(&self) -> BTreeMap<String, i64> {
        let balances: Vec<Balance> = self.core.ask(Balances::default()).await.unwrap();
        let mut sums = BTreeMap::new();
        for balance in balances {
            *sums.entry(balance.account).or_insert(0) += balance.balance.amount();
        }
        assert_eq!(sums.values().sum::<i64>(), 0, "the books balance: {sums:?}");
        sums.retain(|_, sum| *sum != 0);
        sums
    }

    pub(crate) async fn exceptions(&self) -> Vec<String> {
        let page = self.core.ask(Exceptions::default()).await.unwrap();
        page.items.into_iter().map(|exception| exception.kind).collect()
    }

    pub(crate) async fn pool(&self) -> PgPool {
        self.core.pool("payment").await
    }

    /// Waits until the order service has heard the newest revision.
    pub(crate) async fn until_heard(&self, order: OrderId) -> IntentState {
        eventually("the order service hears the newest word", || async {
            let state = self.state(order).await;
            let heard = self.ears.heard.lock().unwrap().contains(&state);
            heard.then_some(state)
        })
        .await
    }

    /// Waits until no job is left but polls.
    pub(crate) async fn until_idle(&self) {
        let pool = self.pool().await;
        eventually("no call is left to be made", || async {
            let left: i64 = bodega_platform::sqlx::query_scalar("select count(*) from job where kind <> 'poll'")
                .fetch_one(&pool)
                .await
                .unwrap();
            (left == 0).then_some(())
        })
        .await;
    }
}

/// An order service that only listens.
pub(crate) async fn listen(bus: &Bus) -> Arc<Ears> {
    let ears = Arc::new(Ears::default());
    let mut asked = bus.client().subscribe("order.v1.payment_changed").await.unwrap();
    bus.client().flush().await.unwrap();
    let (client, heard) = (bus.client().clone(), ears.clone());
    tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            if heard.deaf.load(SeqCst) {
                continue;
            }
            let ask: PaymentChanged = serde_json::from_slice(&message.payload).unwrap();
            heard.heard.lock().unwrap().extend(ask.intents);
            if let Some(reply) = message.reply {
                client.publish(reply, r#"{"ok":{}}"#.into()).await.unwrap();
            }
        }
    });
    ears
}

/// A gateway as far as webhooks need one: raw body and headers go to the service.
pub(crate) async fn gateway(bus: Bus) -> String {
    async fn take(State(bus): State<Bus>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let webhook = Webhook { provider: "simulator".to_owned(), headers: headers.collect(), body: base64url(&body) };
        let context = bodega_platform::RequestContext::service(&bodega_platform::Clock::system(), &Entropy);
        match bus.request(&webhook, &context).await {
            Ok(_) => StatusCode::OK,
            Err(bodega_platform::CallError::Refused(failure)) => {
                StatusCode::from_u16(failure.code.http_status()).unwrap()
            }
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks/payments/simulator", listener.local_addr().unwrap());
    let router = Router::new().route("/webhooks/payments/simulator", post(take)).with_state(bus);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
