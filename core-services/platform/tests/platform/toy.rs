//! Two services that speak a small part of the real wire contract: `order` writes rows and tells, `inventory` listens.

use std::{sync::Arc, time::Duration};

use bodega_domain::{
    Code, Failure, Timestamp,
    id::{OrderId, RequestId, SessionId},
    message::{
        inventory::{HoldOf, HoldState},
        order::{Abandon, AbandonVerdict, Get, Outcome, Placed},
    },
    order::OrderView,
    token::{GuestClaims, mint_guest},
};
use bodega_platform::{
    Applied, Bus, Call, Clock, Config, Context, Entropy, EventTx, Postgres, Received, RequestContext, Service,
    StartError, TransactionError, Wiring,
    config::Keys,
    outbox,
    service::{self, Running},
    sqlx::{self, migrate::Migrator, types::Uuid},
};
use bodega_tests::Servers;
use tokio::sync::Semaphore;

static ORDER: Migrator = sqlx::migrate!("tests/platform/order");
static INVENTORY: Migrator = sqlx::migrate!("tests/platform/inventory");

/// Lets tests hold `order.v1.outcome` back until they allow it to answer.
pub(crate) static OUTCOME_GATE: Semaphore = Semaphore::const_new(0);

pub(crate) fn order() -> Service {
    Service::new("order", &ORDER, |context| Box::pin(start_order(context)))
}

pub(crate) fn inventory() -> Service {
    Service::new("inventory", &INVENTORY, |context| Box::pin(start_inventory(context)))
}

async fn start_order(context: Context) -> Result<Wiring, StartError> {
    let state = Arc::new(context.clone());
    Ok(Wiring::new(&context).on(state.clone(), place).on(state.clone(), get).on(state, outcome))
}

/// Stands in for placing: writes each order and tells of it in one transaction.
async fn place(context: Arc<Context>, _: Call, request: Abandon) -> Result<Vec<AbandonVerdict>, Failure> {
    let ids: Vec<Uuid> = request.orders.iter().map(|id| Uuid::from_u128(id.as_u128())).collect();
    let events: Vec<_> = request.orders.iter().map(|order| context.event(order, &Placed { order: *order })).collect();
    let (ids, events) = (&ids, &events);
    context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                sqlx::query("insert into orders (id) select * from unnest($1::uuid[])")
                    .bind(ids)
                    .execute(&mut *tx)
                    .await?;
                outbox::append(&mut tx, events).await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await?;
    Ok(vec![AbandonVerdict::Exists; request.orders.len()])
}

/// Order 13 panics; the others are not there.
async fn get(_: Arc<Context>, call: Call, request: Get) -> Result<OrderView, Failure> {
    assert_ne!(request.order, OrderId::from_u128(13), "planted");
    let owner = call.principal.owner().map(|owner| owner.to_string()).unwrap_or_default();
    Err(Failure::new(Code::OrderNotFound, call.context.request_id.to_string()).about(owner))
}

/// Waits for the gate, then writes the key: what is left of a request whose asker went away.
async fn outcome(context: Arc<Context>, _: Call, request: Outcome) -> Result<OrderView, Failure> {
    OUTCOME_GATE.acquire().await.unwrap().forget();
    let (id, note) = (context.entropy().uuid(context.clock().now()), &request.key);
    context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                sqlx::query("insert into orders (id, note) values ($1, $2)")
                    .bind(id)
                    .bind(note)
                    .execute(&mut *tx)
                    .await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await?;
    Err(Code::CheckoutNotFound.into())
}

async fn start_inventory(context: Context) -> Result<Wiring, StartError> {
    let state = Arc::new(context.clone());
    Ok(Wiring::new(&context).on(state.clone(), hold_of).consume("see", state, see))
}

/// Pending when the order's event was applied exactly once, posted when more often.
async fn hold_of(context: Arc<Context>, _: Call, request: HoldOf) -> Result<HoldState, Failure> {
    let times: Option<i32> = sqlx::query_scalar("select times from seen where order_id = $1")
        .bind(Uuid::from_u128(request.order.as_u128()))
        .fetch_optional(context.postgres().pool())
        .await
        .map_err(bodega_platform::DatabaseError::from)?;
    Ok(match times {
        None => HoldState::None,
        Some(1) => HoldState::Pending,
        Some(_) => HoldState::Posted,
    })
}

fn see<'t>(_: Arc<Context>, mut tx: EventTx<'t>, events: Vec<Arc<Received<Placed>>>) -> Applied<'t> {
    Box::pin(async move {
        let mut orders: Vec<Uuid> = events.iter().map(|event| Uuid::from_u128(event.data.order.as_u128())).collect();
        orders.sort_unstable();
        sqlx::query(
            "insert into seen select id, 1 from unnest($1::uuid[]) as id
             on conflict (order_id) do update set times = seen.times + 1",
        )
        .bind(orders)
        .execute(&mut *tx)
        .await?;
        Ok(())
    })
}

/// The toy services running on servers, and somebody who asks them.
pub(crate) struct Toy {
    pub(crate) config: Arc<Config>,
    pub(crate) running: Running,
    pub(crate) asker: Bus,
}

/// A configuration for these servers with a database of its own.
pub(crate) async fn config(servers: &Servers) -> Config {
    let admin = servers.database("toy").await.unwrap();
    let url = admin.replace("postgres:postgres@", "bodega_{service}:secret@");
    let toml = format!(
        "[database]\nurl = \"{url}\"\nadmin_url = \"{admin}\"\nacquire_timeout_ms = 1000\n[nats]\nurl = \"{}\"\n\
         request_timeout_ms = 3000\n[redis]\nurl = \"{}\"\n{}",
        servers.nats_url(),
        servers.redis_url(),
        Keys::generate(&Entropy).to_toml(),
    );
    Config::parse(&toml).unwrap()
}

impl Toy {
    pub(crate) async fn start(servers: &Servers) -> Self {
        Self::start_with(config(servers).await).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let config = Arc::new(config);
        service::migrate(&config, &[order(), inventory()], |_| {}).await.unwrap();
        let mut running = service::run(config.clone(), vec![order(), inventory()]).await.unwrap();
        running.started().await.unwrap();
        let asker = asker(&config).await;
        Self { config, running, asker }
    }

    pub(crate) fn postgres(&self, service: &'static str) -> Postgres {
        self.running.contexts().iter().find(|context| context.service() == service).unwrap().postgres().clone()
    }

    pub(crate) async fn count(&self, service: &'static str, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement).fetch_one(self.postgres(service).pool()).await.unwrap()
    }

    pub(crate) async fn place(&self, orders: Vec<OrderId>) -> Result<Vec<AbandonVerdict>, bodega_platform::CallError> {
        self.asker.request(&Abandon { orders }, &as_service()).await
    }
}

/// A connected asker.
pub(crate) async fn asker(config: &Config) -> Bus {
    let asker = Bus::connect(config, "gateway", Clock::system()).await.unwrap();
    bodega_tests::eventually("the asker to be connected", || async { asker.is_connected().then_some(()) }).await;
    asker
}

pub(crate) fn as_service() -> RequestContext {
    RequestContext::service(&Clock::system(), &Entropy)
}

/// A guest's request.
pub(crate) fn as_guest(config: &Config, session: SessionId) -> RequestContext {
    let expires = now().plus_min(5);
    let token = mint_guest(&config.keys.guest, &GuestClaims { session, expires });
    RequestContext::bearer(new_request_id(), token)
}

pub(crate) fn as_nobody() -> RequestContext {
    RequestContext::bearer(new_request_id(), None)
}

pub(crate) fn new_request_id() -> RequestId {
    RequestId::new(now().unix_ms(), Entropy.bytes())
}

pub(crate) fn new_order() -> OrderId {
    OrderId::new(now().unix_ms(), Entropy.bytes())
}

pub(crate) fn now() -> Timestamp {
    Clock::system().now()
}

/// Longer than anything here takes, shorter than a person waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
