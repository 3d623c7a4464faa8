//! The way to the core, over a real NATS server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_nats::RequestErrorKind;
use bodega_stack::{Nats, NatsOptions, Tools, free_port, silent};
use futures::StreamExt;

use crate::edge::{Edge, eventually};

/// Returns when the server has taken in all that the client said. Flushing only says that it was sent; an answer on the
/// same connection says that it was read.
pub(crate) async fn heard(client: &async_nats::Client) {
    let answer = client.request("nobody.v1.home", "".into()).await;
    assert!(answer.is_err_and(|error| error.kind() == RequestErrorKind::NoResponders), "the server says: nobody");
}

pub(crate) struct Bus {
    pub(crate) nats: Nats,
    monitor: u16,
    _folder: tempfile::TempDir,
}

impl Bus {
    pub(crate) async fn start() -> Self {
        Self::configured("").await
    }

    async fn configured(configuration: &'static str) -> Self {
        tokio::task::spawn_blocking(move || {
            let tools = Tools::obtain(&silent).expect("the servers are here");
            let folder = tempfile::tempdir().expect("a scratch folder");
            let file = folder.path().join("bus.conf");
            std::fs::write(&file, configuration).expect("writes");
            let monitor = free_port().expect("a port");
            let options = NatsOptions {
                folder: folder.path().to_owned(),
                port: free_port().expect("a port"),
                monitor_port: Some(monitor),
                configuration: (!configuration.is_empty()).then_some(file),
            };
            Self { nats: Nats::start(&tools, options).expect("NATS starts"), monitor, _folder: folder }
        })
        .await
        .expect("runs")
    }

    async fn edge(&self) -> Edge {
        Edge::start(&["--variable", &format!("nats_url={}", self.nats.url())]).await
    }

    /// Connections that NATS has ever accepted.
    async fn connections(&self) -> u64 {
        let text = reqwest::get(format!("http://127.0.0.1:{}/varz", self.monitor)).await.expect("an answer");
        let status: serde_json::Value = serde_json::from_str(&text.text().await.expect("a body")).expect("JSON");
        status["total_connections"].as_u64().expect("a number")
    }

    /// A service that answers payloads in capitals, with the request's id.
    async fn shouting_service(&self) -> Arc<AtomicU32> {
        self.shouting_service_of(async_nats::connect(self.nats.url()).await.expect("connects")).await
    }

    async fn shouting_service_of(&self, client: async_nats::Client) -> Arc<AtomicU32> {
        let mut requests = client.subscribe("shout.v1.say").await.expect("subscribes");
        heard(&client).await;
        let served = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&served);
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                count.fetch_add(1, Ordering::Relaxed);
                let id = request.headers.as_ref().and_then(|headers| headers.get("Bodega-Request-Id"));
                let id = id.map(ToString::to_string).unwrap_or_default();
                let answer = format!("{}! {id}", String::from_utf8_lossy(&request.payload).to_uppercase());
                let _ = client.publish(request.reply.expect("wants an answer"), answer.into()).await;
            }
        });
        served
    }
}

#[tokio::test]
async fn a_request_reaches_its_service_with_its_name_and_the_connection_is_kept() {
    let bus = Bus::start().await;
    let served = bus.shouting_service().await;
    let edge = bus.edge().await;
    let before = bus.connections().await;
    for _ in 0..10 {
        assert_eq!(edge.post("/ask/shout.v1.say", "soap").await, (200, "SOAP! req_probe".into()));
    }
    assert_eq!(served.load(Ordering::Relaxed), 10);
    let opened = bus.connections().await - before;
    assert!(opened <= 2, "{opened} connections for ten requests one after the other");
}

#[tokio::test]
async fn a_large_request_and_its_large_answer_arrive_whole() {
    let bus = Bus::start().await;
    bus.shouting_service().await;
    let edge = bus.edge().await;
    let (status, answer) = edge.post("/ask/shout.v1.say", "x".repeat(500_000)).await;
    assert_eq!((status, answer.len()), (200, 500_000 + "! req_probe".len()));
    let (status, why) = edge.post("/ask/shout.v1.say", "x".repeat(2_000_000)).await;
    assert_eq!(status, 503, "more than NATS takes is surely not sent: {why}");
}

#[tokio::test]
async fn nobody_listening_is_told_from_nobody_answering() {
    let bus = Bus::start().await;
    let edge = bus.edge().await;
    let (status, why) = edge.post("/ask/nobody.v1.home", "soap").await;
    assert_eq!(status, 503, "{why}");
    assert!(why.contains("no responders"), "{why}");

    let client = async_nats::connect(bus.nats.url()).await.expect("connects");
    let mut silent = client.subscribe("silent.v1.say").await.expect("subscribes");
    heard(&client).await;
    let (status, why) = edge.post("/ask/silent.v1.say?ms=300", "soap").await;
    assert_eq!(status, 202, "{why}");
    assert!(silent.next().await.is_some(), "it was delivered");
}

#[tokio::test]
async fn nats_killed_is_surely_nothing_done_and_the_link_recovers_by_itself() {
    let mut bus = Bus::start().await;
    bus.shouting_service().await;
    let edge = bus.edge().await;
    assert_eq!(edge.post("/ask/shout.v1.say", "soap").await.0, 200);
    bus.nats.kill();
    for _ in 0..5 {
        let (status, why) = edge.post("/ask/shout.v1.say", "soap").await;
        assert_eq!(status, 503, "{why}");
    }
    bus.nats.restart().expect("NATS starts again");
    eventually("the service is asked again", async || {
        (edge.post("/ask/shout.v1.say", "soap").await.0 == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn many_requests_at_once_each_get_their_own_answer() {
    let bus = Bus::start().await;
    bus.shouting_service().await;
    let edge = bus.edge().await;
    let asked: Vec<_> = (0..64)
        .map(|number| {
            let request = edge.client.post(edge.url("/ask/shout.v1.say")).body(format!("soap {number}"));
            tokio::spawn(async move { (number, request.send().await.expect("answers").text().await.expect("a body")) })
        })
        .collect();
    for request in asked {
        let (number, answer) = request.await.expect("runs");
        assert_eq!(answer, format!("SOAP {number}! req_probe"));
    }
}

#[tokio::test]
async fn an_edge_speaks_under_its_own_name_and_a_wrong_password_or_subject_is_surely_nothing_done() {
    let bus = Bus::configured(
        r#"authorization { users = [
            { user: core, password: core }
            { user: edge-1, password: right, permissions: {
                publish: ["shout.v1.say"], subscribe: ["_INBOX.edge-1.>"] } }
        ] }"#,
    )
    .await;
    let client = async_nats::ConnectOptions::with_user_and_password("core".into(), "core".into());
    let client = client.connect(bus.nats.url()).await.expect("connects");
    bus.shouting_service_of(client).await;
    let edge = async |password: &str| {
        let settings = format!(
            "[variables]\nnats_url = '{}'\nnats_user = 'edge-1'\nnats_password = '{password}'\n\
             nats_inbox_prefix = 'edge-1'\n",
            bus.nats.url()
        );
        Edge::configured(&settings).await
    };
    let right = edge("right").await;
    assert_eq!(right.post("/ask/shout.v1.say", "soap").await, (200, "SOAP! req_probe".into()));
    let (status, why) = right.post("/ask/order.v1.place", "soap").await;
    assert_eq!(status, 503, "{why}");
    let wrong = edge("wrong").await;
    let (status, why) = wrong.post("/ask/shout.v1.say", "soap").await;
    assert_eq!(status, 503, "{why}");
    assert!(!why.contains("wrong"), "no credential in a text for the log: {why}");
}
