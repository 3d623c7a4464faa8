//! Buyers on the bus, with an edge's credential and a session of their own each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions, HeaderMap};
use bodega_domain::{
    Currency,
    address::{Address, Contact},
    id::{RequestId, SessionId},
    message::{
        Reply, Request, header,
        order::{PaymentChoice, Place},
        pricing::Quote,
    },
    token::{GuestClaims, KeyRing, MacKey, from_base64url, mint_guest},
};
use bodega_platform::{Clock, Entropy};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::{Fault, opened::Opened};

/// Units of two SKUs each: two lines an order, as in the yardstick.
const LINES: usize = 2;
/// Quotes asked for at once while preparing.
const QUOTES_AT_ONCE: usize = 16;

#[derive(Clone)]
pub(crate) struct Bus {
    client: Client,
    guests: Arc<KeyRing>,
    clock: Clock,
}

/// A checkout that is ready to be sent.
pub(crate) struct Checkout {
    token: String,
    place: Place,
}

impl Bus {
    pub(crate) async fn connect(opened: &mut Opened) -> Result<Self, Fault> {
        let variables = opened.shop.files().edge_variables("edge-1")?;
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone()).ok_or_else(|| Fault::from(format!("no {name}")))
        };
        let client = ConnectOptions::new()
            .user_and_password(value("nats_user")?, value("nats_password")?)
            .custom_inbox_prefix(format!("_INBOX.{}", value("nats_inbox_prefix")?))
            .request_timeout(Some(Duration::from_secs(30)))
            .connect(value("nats_url")?)
            .await?;
        let keys = value("guest_keys")?;
        let (kid, secret) = keys.split_once(':').ok_or("no guest key")?;
        let secret = from_base64url(secret).ok_or("no guest key")?;
        let guests = Arc::new(KeyRing(vec![MacKey { kid: kid.to_owned(), secret }]));
        Ok(Self { client, guests, clock: Clock::system() })
    }

    async fn ask<R: Request>(&self, token: &str, request: &R) -> Result<R::Answer, Fault> {
        let now = self.clock.now();
        let mut headers = HeaderMap::new();
        headers.insert(header::REQUEST_ID, RequestId::new(now.unix_ms(), Entropy.bytes()).to_string().as_str());
        headers.insert(header::TOKEN, token);
        headers.insert(header::DEADLINE, now.plus_s(30).unix_ms().to_string().as_str());
        let body = serde_json::to_vec(request)?.into();
        let answer = self.client.request_with_headers(R::SUBJECT, headers, body).await;
        let answer = answer.map_err(|error| format!("{}: {error}", R::SUBJECT))?;
        match serde_json::from_slice::<Reply<R::Answer>>(&answer.payload)? {
            Reply::Ok(answer) => Ok(answer),
            Reply::Failure(failure) => Err(format!("{}: {failure}", R::SUBJECT).into()),
        }
    }

    /// A quote and all that goes with it, for a shopper who has never been here.
    async fn prepare(&self, skus: &[u32], number: usize, method: &str) -> Result<Checkout, Fault> {
        let now = self.clock.now();
        let session = SessionId::new(now.unix_ms(), Entropy.bytes());
        let token = mint_guest(&self.guests, &GuestClaims { session, expires: now.plus_days(1) }).ok_or("no key")?;
        let address = address()?;
        let lines = (0..LINES).map(|n| (skus[(number * 7 + n * 3) % skus.len()], 1)).collect();
        let quote = Quote {
            lines,
            cart_tick: 1,
            currency: Currency::EUR,
            codes: Vec::new(),
            destination: Some(address.destination()),
            shipping_method: None,
        };
        let quote = self.ask(&token, &quote).await?;
        let place = Place {
            key: format!("bench-{number}"),
            quote: quote.token.ok_or("a quote that cannot be ordered")?,
            contact: Contact { email: "ada@example.org".to_owned(), name: "Ada Example".to_owned() },
            shipping_address: address,
            billing_address: None,
            payment: PaymentChoice { provider: "simulator".to_owned(), method: method.to_owned() },
            deadline: now.plus_min(10),
            wait_ms: 0,
            client_bucket: None,
            return_url: None,
        };
        Ok(Checkout { token, place })
    }

    /// So many checkouts, each of another shopper.
    pub(crate) async fn prepare_all(&self, skus: &[u32], count: usize, method: &str) -> Result<Vec<Checkout>, Fault> {
        let each = stream::iter((0..count).map(|number| self.prepare(skus, number, method)));
        each.buffer_unordered(QUOTES_AT_ONCE).try_collect().await
    }

    /// Sends one, and gives how long its answer took.
    async fn place(&self, checkout: &Checkout) -> Result<Duration, Fault> {
        let begun = Instant::now();
        self.ask(&checkout.token, &checkout.place).await?;
        Ok(begun.elapsed())
    }

    /// Sends them with so many in flight; every one has to become an order.
    pub(crate) async fn place_all(&self, checkouts: &[Checkout], in_flight: usize) -> Result<Placed, Fault> {
        let begun = Instant::now();
        let each = stream::iter(checkouts.iter().map(|checkout| self.place(checkout)));
        let each = each.buffer_unordered(in_flight).try_collect().await?;
        Ok(Placed { took: begun.elapsed(), each })
    }
}

/// How long all of them took, and each.
pub(crate) struct Placed {
    pub(crate) took: Duration,
    pub(crate) each: Vec<Duration>,
}

impl Placed {
    /// Milliseconds within which so many percent were answered.
    pub(crate) fn percentile(&self, share: usize) -> f64 {
        let mut sorted = self.each.clone();
        sorted.sort();
        let at = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
        sorted.get(at).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
    }
}

fn address() -> Result<Address, Fault> {
    Ok(Address {
        name: "Ada Example".to_owned(),
        line1: "Lange Straße 1".to_owned(),
        line2: None,
        city: "Berlin".to_owned(),
        region: None,
        postal_code: "10243".to_owned(),
        country: "DE".parse().map_err(|_| "a country")?,
    })
}
