//! A component that breaks costs the request it broke on, and nothing else.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::edge::Edge;

fn assert_fault((status, body): &(u16, String)) {
    let problem: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no problem: {status} {body}"));
    assert_eq!((*status, problem["code"].as_str()), (500, Some("edge_fault")), "{body}");
    assert!(problem["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{body}");
    assert!(!body.contains("planted") && !body.contains("wasm"), "nothing of the inside shows: {body}");
}

#[tokio::test]
async fn a_planted_panic_ends_its_own_request_and_the_next_one_is_served() {
    let edge = Edge::start(&[]).await;
    let slow: Vec<_> = (0..8).map(|_| tokio::spawn(edge.client.get(edge.url("/pause/700")).send())).collect();
    for _ in 0..5 {
        assert_fault(&edge.get("/panic").await);
        assert_eq!(edge.get("/").await, (200, "hello".into()));
    }
    for neighbour in slow {
        assert_eq!(neighbour.await.expect("runs").expect("an answer").status().as_u16(), 200);
    }
    edge.until_counter("bodega_edge_instance_faults_total", 5).await;
    assert_eq!(edge.access_line("/panic").await["code"], "edge_fault");
}

#[tokio::test]
async fn an_endless_loop_is_ended_by_its_time_limit_and_others_are_served_meanwhile() {
    let edge = Edge::configured("[limits]\nrequest_s = 2").await;
    let begun = Instant::now();
    let looping = tokio::spawn(edge.client.get(edge.url("/spin")).send());
    for _ in 0..10 {
        assert_eq!(edge.get("/").await.0, 200);
    }
    let answer = looping.await.expect("runs").expect("an answer");
    assert_fault(&(answer.status().as_u16(), answer.text().await.expect("a body")));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    edge.until_counter("bodega_edge_instance_faults_total", 1).await;
    assert_eq!(edge.get("/").await, (200, "hello".into()));
}

#[tokio::test]
async fn memory_without_end_is_refused_and_the_next_request_is_served() {
    let edge = Edge::configured("[limits]\nmemory_mib = 16").await;
    assert_fault(&edge.get("/eat").await);
    assert_eq!(edge.get("/").await, (200, "hello".into()));
}

#[tokio::test]
async fn an_instance_that_took_much_memory_is_replaced_after_its_request() {
    let edge = Edge::start(&[]).await;
    assert_eq!(edge.get("/").await.0, 200);
    let made = async || edge.counter("bodega_edge_instantiations_total").await;
    let before = made().await;
    assert_eq!(edge.get(&format!("/large/{}", 14 << 20)).await.0, 200);
    assert_eq!(edge.get("/").await.0, 200);
    assert_eq!(made().await, before, "some memory is no reason");
    assert_eq!(edge.get("/take/64").await.0, 200);
    assert_eq!(edge.get("/").await.0, 200);
    assert_eq!(made().await, before + 1);
    assert_eq!(edge.counter("bodega_edge_instance_faults_total").await, 0);
}

#[tokio::test]
async fn a_request_that_waits_too_long_is_told_so() {
    let edge = Edge::configured("[limits]\nrequest_s = 1").await;
    assert_fault(&edge.get("/pause/5000").await);
    assert_eq!(edge.get("/").await, (200, "hello".into()));
}
