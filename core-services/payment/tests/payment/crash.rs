//! The service dies as by SIGKILL at each named point, is started again, and everything is done once.

use std::{
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use crate::support::World;
use bodega_domain::{
    Failure,
    id::OrderId,
    message::{
        Request,
        payment::{Capture, IntentState, Open, Refund, State},
    },
    order::PaymentStatus,
};
use bodega_platform::{
    Config,
    postgres::{mark_as_test_database, migrate, provision},
    service::run,
};
use bodega_test_core::Core;
use bodega_tests::{eventually, eventually_within};

/// Where the child finds its configuration.
const CONFIGURATION: &str = "BODEGA_TEST_CONFIGURATION";

/// Not a test: what the others start as a process of its own. It ends when its standard input does.
#[test]
#[ignore = "started by the other tests in a process of its own"]
fn the_service_as_a_process() {
    let Ok(path) = std::env::var(CONFIGURATION) else { return };
    let config = Arc::new(Config::parse(&std::fs::read_to_string(path).unwrap()).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut running = run(config, vec![bodega_payment::service()]).await.unwrap();
        running.started().await.unwrap();
        let waited = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
        waited.await.unwrap().unwrap();
    });
    runtime.shutdown_background();
}

struct Process(Child);

impl Process {
    fn start(configuration: &std::path::Path, failpoints: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "crash::the_service_as_a_process", "--nocapture"])
            .env(CONFIGURATION, configuration)
            .env(bodega_platform::failpoint::VARIABLE, failpoints)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until it is answered: the process may be down in between.
async fn insist<R: Request + Sync + Clone>(core: &Core, request: R) -> R::Answer {
    eventually("an answer", || async {
        let context = bodega_platform::RequestContext::service(&core.clock, &bodega_platform::Entropy);
        let context = context.within(&core.clock, Duration::from_secs(2));
        core.bus.request(&request, &context).await.map_err(Failure::from).ok()
    })
    .await
}

async fn until(core: &Core, order: OrderId, status: PaymentStatus) -> IntentState {
    eventually_within(Duration::from_secs(30), &format!("{status:?}"), || async {
        let states = insist(core, State { orders: vec![order] }).await;
        states.into_iter().find(|state| state.status == status)
    })
    .await
}

/// The configuration of a process on the same servers.
fn toml(core: &Core, simulator: &str) -> String {
    let database = &core.config.database;
    format!(
        "{}\n[database]\nurl = \"{}\"\nadmin_url = \"{}\"\n[nats]\nurl = \"{}\"\n",
        crate::support::provider_toml(simulator, 1_000),
        database.url.expose(),
        database.admin_url.expose(),
        core.servers.nats_url(),
    )
}

async fn dies_and_everything_is_done_once(point: &str) {
    let simulator = crate::support::simulator(|_| {}).await;
    let core = Core::open(&[], &crate::support::provider_toml(&simulator.url(), 1_000)).await;
    let service = bodega_payment::service();
    provision(&core.config, service.name, service.extensions).await.unwrap();
    migrate(&core.config, service.name, service.migrations.unwrap()).await.unwrap();
    mark_as_test_database(&core.config, service.name).await.unwrap();
    let configuration = core.servers.folder().join("payment.toml");
    std::fs::write(&configuration, toml(&core, &simulator.url())).unwrap();
    let ears = crate::support::listen(&core.bus).await;
    let world = World { core, simulator, ears, client: reqwest::Client::new() };

    let mut first = Process::start(&configuration, &format!("{point}=abort"));
    let order = crate::support::order();
    // What is asked while it dies is asked again: after a start, under the same keys.
    let life = async {
        insist(&world.core, Open { asks: vec![crate::support::ask(order, 1_000, "card_ok")] }).await;
        until(&world.core, order, PaymentStatus::Authorised).await;
        insist(&world.core, Capture { orders: vec![order] }).await;
        until(&world.core, order, PaymentStatus::Captured).await;
        let amount = Some(crate::support::eur(400));
        insist(&world.core, Refund { order, amount, merchant: None, key: "key".into(), reason: "return".into() }).await;
        until(&world.core, order, PaymentStatus::PartiallyRefunded).await
    };
    let restart = async {
        let status = eventually("the crash", || std::future::ready(first.ended())).await;
        assert!(!status.success(), "{point}: it was to die, and ended with {status}");
        Process::start(&configuration, "")
    };
    let (state, _second) = tokio::join!(life, restart);
    assert_eq!((state.amounts.captured.amount(), state.amounts.refunded.amount()), (1_000, 400));
    world.until_idle().await;
    world.until_heard(order).await;
    let reference = world.reference(order).await;
    let url = format!("{}/v1/refunds?payment_intent={reference}", world.simulator.url());
    let refunds: serde_json::Value =
        world.client.get(url).bearer_auth(crate::support::KEY).send().await.unwrap().json().await.unwrap();
    assert_eq!(refunds["data"].as_array().unwrap().len(), 1, "{point}");
    let clearing = |balances: &std::collections::BTreeMap<String, i64>| {
        balances["provider_clearing"] + balances.get("provider_fees").copied().unwrap_or(0)
    };
    assert_eq!(clearing(&world.balances().await), 600, "{point}");
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_commit_of_an_intent_and_the_call() {
    dies_and_everything_is_done_once("payment.after_open").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_attempt_s_call_and_its_commit() {
    dies_and_everything_is_done_once("payment.after_call").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_commit_of_an_answer_and_telling_it() {
    dies_and_everything_is_done_once("payment.before_tell").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_capture_s_claim_and_the_call() {
    dies_and_everything_is_done_once("payment.after_claim").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_capture_at_the_provider_and_its_commit() {
    dies_and_everything_is_done_once("payment.after_capture").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_refund_at_the_provider_and_its_commit() {
    dies_and_everything_is_done_once("payment.after_refund").await;
}
