//! Requests and their bounds.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::edge::{Edge, eventually};

#[tokio::test]
async fn a_request_has_one_name_in_the_answer_in_the_component_and_in_the_access_log() {
    let edge = Edge::start(&[]).await;
    let answer = edge.client.get(edge.url("/header/bodega-request-id")).send().await.expect("an answer");
    let id = answer.headers()["bodega-request-id"].to_str().expect("text").to_owned();
    assert!(id.starts_with("req_"), "{id}");
    assert_eq!(answer.text().await.expect("a body"), id);
    let line = edge.access_line("/header/bodega-request-id").await;
    assert_eq!((line["request_id"].as_str(), line["status"].as_u64()), (Some(id.as_str()), Some(200)));
    assert_eq!(line["bytes"].as_u64(), u64::try_from(id.len()).ok());
}

#[tokio::test]
async fn what_a_client_says_about_itself_is_not_believed() {
    let edge = Edge::start(&[]).await;
    for (header, told) in [("bodega-client-address", "127.0.0.1"), ("spin-client-addr", "absent")] {
        let request = edge.client.get(edge.url(&format!("/header/{header}"))).header(header, "203.0.113.9");
        let text = request.send().await.expect("an answer").text().await.expect("a body");
        assert_eq!(text, if header == "spin-client-addr" { "absent" } else { told });
    }
    let chosen = "req_00000000000000000000000001";
    let named = edge.client.get(edge.url("/header/bodega-request-id")).header("bodega-request-id", chosen);
    let named = named.send().await.expect("an answer").text().await.expect("a body");
    assert!(named.starts_with("req_") && named != chosen, "{named}");
    let forged = edge.client.get(edge.url("/header/bodega-client-address"));
    let forged = forged.header("spin-client-addr", "203.0.113.9").header("x-forwarded-for", "203.0.113.9");
    assert_eq!(forged.send().await.expect("an answer").text().await.expect("a body"), "127.0.0.1");
}

#[tokio::test]
async fn behind_a_proxy_the_last_forwarded_address_is_the_shoppers() {
    let edge = Edge::configured("client_address_header = 'X-Forwarded-For'").await;
    let request = edge.client.get(edge.url("/header/bodega-client-address"));
    let request = request.header("x-forwarded-for", "198.51.100.1, 203.0.113.9");
    assert_eq!(request.send().await.expect("an answer").text().await.expect("a body"), "203.0.113.9");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_one_below_it_arrives() {
    let edge = Edge::configured("[limits]\nbody_mib = 1").await;
    let (status, body) = edge.post("/echo", vec![b'x'; (1 << 20) + 1]).await;
    let problem: Value = serde_json::from_str(&body).expect("a problem");
    assert_eq!((status, problem["code"].as_str()), (413, Some("payload_too_large")));
    let (status, body) = edge.post("/echo", vec![b'x'; 1 << 20]).await;
    assert_eq!((status, body.len()), (200, 1 << 20));
}

#[tokio::test]
async fn an_answer_over_the_limit_is_a_fault_and_no_torn_page() {
    let edge = Edge::configured("[limits]\nanswer_mib = 1").await;
    assert_eq!(edge.get(&format!("/large/{}", 1 << 20)).await.1.len(), 1 << 20);
    let (status, body) = edge.get(&format!("/large/{}", (1 << 20) + 1)).await;
    assert_eq!(status, 500);
    assert!(body.contains("edge_fault"), "{body}");
}

#[tokio::test]
async fn more_requests_than_may_wait_are_refused_at_once_with_a_time_to_come_back() {
    let edge = Edge::configured("[limits]\ninstances = 1\nqueue = 1").await;
    let slow = || tokio::spawn(edge.client.get(edge.url("/pause/3000")).send());
    let first = slow();
    edge.until_counter("bodega_edge_requests_running", 1).await;
    let second = slow();
    edge.until_counter("bodega_edge_requests_waiting", 1).await;
    let refused = edge.client.get(edge.url("/")).send().await.expect("an answer");
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    assert!(refused.text().await.expect("a body").contains("overloaded"));
    for request in [first, second] {
        assert_eq!(request.await.expect("runs").expect("an answer").status().as_u16(), 200);
    }
    assert_eq!(edge.counter("bodega_edge_requests_refused_total").await, 1);
}

#[tokio::test]
async fn commands_that_wait_for_a_core_leave_room_for_reads() {
    let edge = Edge::configured("[limits]\ninstances = 4").await;
    let slow: Vec<_> = (0..4).map(|_| tokio::spawn(edge.client.post(edge.url("/pause/4000")).send())).collect();
    edge.until_counter("bodega_edge_requests_running", 3).await;
    edge.until_counter("bodega_edge_requests_waiting", 1).await;
    for _ in 0..10 {
        assert_eq!(edge.get("/").await, (200, "hello".into()));
    }
    assert_eq!(edge.counter("bodega_edge_requests_running").await, 3, "the commands are still there");
    for command in slow {
        assert_eq!(command.await.expect("runs").expect("an answer").status().as_u16(), 200);
    }
}

/// A connection on which the head of a request has been sent, and nothing of its body.
async fn begun(edge: &Edge, length: usize) -> TcpStream {
    let mut raw = TcpStream::connect(edge.authority()).await.expect("connects");
    let head = format!("POST /echo HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    raw.write_all(head.as_bytes()).await.expect("writes");
    raw
}

async fn answer(mut raw: TcpStream) -> String {
    let mut answer = String::new();
    raw.read_to_string(&mut answer).await.expect("reads");
    answer
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_the_sender_s_fault() {
    let edge = Edge::configured("[limits]\nrequest_s = 1").await;
    let answer = answer(begun(&edge, 4).await).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("bad_request"), "{answer}");
    assert_eq!(edge.counter("bodega_edge_request_faults_total").await, 0);
}

#[tokio::test]
async fn a_request_that_no_instance_became_free_for_is_told_that_nothing_was_done() {
    let edge = Edge::configured("[limits]\ninstances = 1\nrequest_s = 3").await;
    let mut late = begun(&edge, 4).await;
    // Half a second of the late one's time goes by, so that the other one outlasts it.
    assert_eq!(edge.get("/pause/500").await.0, 200);
    let slow = tokio::spawn(edge.client.get(edge.url("/pause/2800")).send());
    edge.until_counter("bodega_edge_requests_running", 1).await;
    late.write_all(b"soap").await.expect("writes");
    let refused = answer(late).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("overloaded"), "{refused}");
    assert!(refused.contains("retry-after: 1"), "{refused}");
    assert_eq!(slow.await.expect("runs").expect("an answer").status().as_u16(), 200);
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_the_next_request_is_served() {
    let edge = Edge::start(&[]).await;
    let long = format!("GET / HTTP/1.1\r\nHost: shop\r\nX-Long: {}\r\n\r\n", "x".repeat(128 << 10));
    for broken in ["soap\r\n\r\n", "GET / HTTP/1.1\r\nHost shop\r\n\r\n", &long] {
        let mut raw = TcpStream::connect(edge.authority()).await.expect("connects");
        // The host may answer and hang up before it has read everything.
        let _ = raw.write_all(broken.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = raw.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert_eq!(edge.get("/").await, (200, "hello".into()));
    }
}

#[tokio::test]
async fn head_and_missing_host_are_answered_as_http_wants() {
    let edge = Edge::start(&[]).await;
    let head = edge.client.head(edge.url("/")).send().await.expect("an answer");
    assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().expect("text")), (200, "5"));
    let mut raw = TcpStream::connect(edge.authority()).await.expect("connects");
    raw.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.expect("writes");
    let mut answer = String::new();
    raw.read_to_string(&mut answer).await.expect("reads");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("bad_request"), "{answer}");
}

#[tokio::test]
async fn work_put_off_is_done_after_the_answer() {
    let edge = Edge::start(&[]).await;
    assert_eq!(edge.get("/defer/later").await, (200, "answered".into()));
    eventually("the deferred write", async || (edge.get("/kv/later").await.1 == "deferred").then_some(())).await;
}

#[tokio::test]
async fn a_stopping_host_finishes_what_it_began_and_takes_nothing_new() {
    let mut edge = Edge::start(&[]).await;
    let url = edge.url("/pause/1000");
    let client = edge.client.clone();
    let slow = tokio::spawn(async move { client.get(url).send().await });
    edge.until_counter("bodega_edge_requests_running", 1).await;
    edge.terminate();
    eventually("a refused connection", async || TcpStream::connect(edge.authority()).await.is_err().then_some(()))
        .await;
    assert_eq!(slow.await.expect("runs").expect("an answer").status().as_u16(), 200);
    let status = edge.child().wait(Duration::from_secs(20)).expect("it ends");
    assert!(status.success());
    assert_eq!(edge.log().last().expect("a log")["message"], "stopped");
}

#[tokio::test]
async fn a_stopping_host_waits_for_what_was_put_off_until_after_an_answer() {
    let mut edge = Edge::start(&[]).await;
    assert_eq!(edge.get("/defer/later?ms=1500").await, (200, "answered".into()));
    edge.terminate();
    let status = edge.child().wait(Duration::from_secs(20)).expect("it ends");
    assert!(status.success());
    edge.restart().await;
    assert_eq!(edge.get("/kv/later").await, (200, "deferred".into()));
}

#[tokio::test]
async fn the_compiled_component_is_kept_and_a_damaged_one_is_compiled_again() {
    let mut edge = Edge::start(&[]).await;
    let cached = |edge: &Edge| {
        edge.log().into_iter().find(|line| line["message"] == "component loaded").expect("is logged")["cached"].clone()
    };
    assert_eq!(cached(&edge), false);
    edge.terminate();
    edge.child().wait(Duration::from_secs(20)).expect("it ends");
    edge.restart().await;
    assert_eq!(cached(&edge), true);
    edge.terminate();
    edge.child().wait(Duration::from_secs(20)).expect("it ends");

    let artefact = std::fs::read_dir(edge.data().join("artefacts")).expect("reads").next().expect("one").expect("file");
    let mut bytes = std::fs::read(artefact.path()).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(artefact.path(), bytes).expect("writes");
    edge.restart().await;
    assert_eq!(cached(&edge), false);
    assert_eq!(edge.get("/").await, (200, "hello".into()));
}

#[tokio::test]
async fn settings_time_and_randomness_reach_the_component() {
    let edge = Edge::start(&["--variable", "edge_id=berlin-1"]).await;
    assert_eq!(edge.get("/edge").await, (200, "berlin-1".into()));
    let told: i128 = edge.get("/now").await.1.parse().expect("a number");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    assert!((i128::try_from(now).expect("fits") - told).abs() < 5_000);
    let draw =
        async || edge.client.get(edge.url("/random")).send().await.expect("answers").bytes().await.expect("body");
    let (a, b) = (draw().await, draw().await);
    assert_eq!(a.len(), 16);
    assert_ne!(a, b);
}

#[tokio::test]
async fn what_the_component_logs_stays_a_record_with_its_request_id() {
    let edge = Edge::start(&[]).await;
    edge.post("/log/", r#"{"level":"warn","message":"soap is low","request_id":"req_1"}"#).await;
    edge.post("/log/", "just words").await;
    let record =
        eventually("the record", async || edge.log().into_iter().find(|line| line["request_id"] == "req_1")).await;
    assert_eq!((&record["message"], &record["target"]), (&"soap is low".into(), &"storefront".into()));
    assert!(record["timestamp"].is_string());
    eventually("the words", async || edge.log().into_iter().find(|line| line["message"] == "just words")).await;
}

#[tokio::test]
async fn instances_are_reused() {
    let edge = Edge::start(&[]).await;
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(edge.get("/").await.0, 200);
    }
    let made = edge.counter("bodega_edge_instantiations_total").await;
    assert!(made <= 3, "{made} instances for 50 requests one after the other in {:?}", begun.elapsed());
}
