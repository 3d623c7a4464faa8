//! Payments and the ledger.
//!
//! Owns intents, attempts, refunds, what providers said of them (facts), the calls that must be made (jobs) and the
//! transfers. Promises:
//!
//! * one order has one intent, one key one attempt or refund, whatever is repeated;
//! * what is captured stays within what is authorised, what is refunded within what is captured: claims are raised,
//!   under a CHECK, and committed before the provider is called, outside any transaction;
//! * facts only grow: webhooks and answers may come late, twice, in any order or never;
//! * an unknown outcome is asked about until it is known, never guessed;
//! * every change is told to the order service until it acknowledges;
//! * the ledger's rows are transfers, and never change.
//!
//! | subject | does |
//! | --- | --- |
//! | `payment.v1.open` | makes intents with a first attempt |
//! | `payment.v1.attempt` | another attempt |
//! | `payment.v1.capture`, `cancel`, `refund` | takes, gives up, gives back |
//! | `payment.v1.capture_parcel`, `call_off` | takes what waited for goods to leave; gives it up when they never will |
//! | `payment.v1.state` | intents as they are |
//! | `payment.v1.webhook` | a provider's word, raw |
//! | `payment.v1.balances`, `transfers_of`, `exceptions` | the books |
//! | `payment.v1.statement` | a merchant's month: what is owed to it, and why |
//! | `payment.v1.close_exception` | a person has looked at one |
//! | `payment.v1.reconcile`, `reconciliations` | lays the books beside the providers' reports |
//! | `payment.v1.policies`, `set_policy` | what merchants want done with money |
//!
//! Tells `order.v1.payment_changed` (asked until acknowledged) and `evt.payment.v1.intent_changed`.

mod audit;
mod changes;
mod engine;
mod intent;
mod job;
mod late;
pub mod limits;
pub mod provider;
mod reconcile;
mod requests;
mod store;
mod tell;
mod work;

use std::sync::Arc;

use bodega_domain::{Failure, message::payment::IntentState};
use bodega_platform::{BatchLimits, Batcher, Context, Service, StartError, Wiring};
use sqlx::migrate::Migrator;
use tokio::sync::{Mutex, mpsc};

use crate::{
    engine::{Command, Engine, Opening, Reply},
    limits::{BATCH_MAX, CALLS_AT_ONCE_MAX, CALLS_WAITING_MAX, QUEUE_MAX, WRITERS},
    provider::Providers,
    work::{Outcome, Worker},
};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Tellers of news at once.
const TELLERS: usize = 2;

/// The service, for `bodega serve`.
#[must_use]
pub fn service() -> Service {
    Service::new("payment", &MIGRATIONS, |context| Box::pin(start(context)))
}

/// What the handlers share.
struct State {
    context: Context,
    providers: Providers,
    openings: Batcher<Opening, Result<IntentState, Failure>>,
    commands: Batcher<Command, Outcome>,
}

impl State {
    async fn command(&self, command: Command) -> Result<Reply, Failure> {
        self.commands.submit(command).await?
    }
}

async fn start(context: Context) -> Result<Wiring, StartError> {
    let providers = Providers::from_config(&context.config().payment).map_err(StartError::Config)?;
    let (jobs, waiting) = mpsc::channel(CALLS_WAITING_MAX);
    let (news, untold) = mpsc::channel(QUEUE_MAX);
    let engine = Engine { context: context.clone(), jobs: jobs.clone(), news };
    let limits = BatchLimits { queue_max: QUEUE_MAX, batch_max: BATCH_MAX, writers: WRITERS };
    let openings = {
        let (engine, providers) = (engine.clone(), providers.clone());
        Batcher::start("payment_open", limits, context.tasks(), move |batch| {
            let (engine, providers) = (engine.clone(), providers.clone());
            async move { engine.open(batch, |name| providers.get(name).is_some()).await }
        })
    };
    let commands = Batcher::start("payment_command", limits, context.tasks(), move |batch| {
        let engine = engine.clone();
        async move { engine.write(batch).await }
    });
    let worker = Worker {
        context: context.clone(),
        providers: providers.clone(),
        commands: commands.clone(),
        waiting: Arc::new(Mutex::new(waiting)),
        jobs,
    };
    let untold = Arc::new(Mutex::new(untold));
    let state = Arc::new(State { context: context.clone(), providers: providers.clone(), openings, commands });
    Ok(wire(&context, &state, worker, untold, providers))
}

fn wire(
    context: &Context,
    state: &Arc<State>,
    worker: Worker,
    untold: Arc<Mutex<mpsc::Receiver<Arc<intent::Intent>>>>,
    providers: Providers,
) -> Wiring {
    let mut wiring = Wiring::new(context)
        .on(state.clone(), requests::open::open)
        .on(state.clone(), requests::attempt::attempt)
        .on(state.clone(), requests::capture::capture)
        .on(state.clone(), requests::parcel::capture_parcel)
        .on(state.clone(), requests::parcel::call_off)
        .on(state.clone(), requests::cancel::cancel)
        .on(state.clone(), requests::refund::refund)
        .on(state.clone(), requests::state::state)
        .on(state.clone(), requests::webhook::webhook)
        .on(state.clone(), requests::books::balances)
        .on(state.clone(), requests::books::transfers_of)
        .on(state.clone(), requests::statement::statement)
        .on(state.clone(), requests::books::exceptions)
        .on(state.clone(), requests::books::close_exception)
        .on(state.clone(), requests::reconciliation::reconcile)
        .on(state.clone(), requests::reconciliation::reconciliations)
        .on(state.clone(), requests::policies::policies)
        .on(state.clone(), requests::policies::set_policy);
    for _ in 0..CALLS_AT_ONCE_MAX {
        let worker = worker.clone();
        wiring = wiring.background("provider_calls", move || worker.clone().run());
    }
    for _ in 0..TELLERS {
        let (context, untold) = (context.clone(), untold.clone());
        wiring = wiring.background("tell", move || tell::run(context.clone(), untold.clone()));
    }
    let (teller, auditor, sweeper, early) = (context.clone(), context.clone(), context.clone(), context.clone());
    let (named, commands) = (providers.clone(), state.commands.clone());
    let (waiting, returns) = (context.clone(), state.commands.clone());
    let (reconciler, reports) = (context.clone(), providers.clone());
    wiring
        .background("jobs", move || worker.clone().look())
        .background("tell_again", move || tell::look(teller.clone()))
        .background("settlements", move || audit::settlements(auditor.clone(), providers.clone()))
        .background("reconcile", move || reconcile::run(reconciler.clone(), reports.clone()))
        .background("early_words", move || audit::early_words(early.clone(), named.clone(), commands.clone()))
        .background("late_money", move || late::run(waiting.clone(), returns.clone()))
        .background("sweep", move || audit::sweep(sweeper.clone()))
}
