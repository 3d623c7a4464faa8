//! Stores and cells.

use crate::edge::{Edge, second_on};

#[tokio::test]
async fn a_value_is_read_written_and_deleted_and_each_is_counted() {
    let edge = Edge::start(&[]).await;
    assert_eq!(edge.get("/kv/p/soap").await.0, 404);
    edge.put("/kv/p/soap", "lavender").await;
    assert_eq!(edge.get("/kv/p/soap").await, (200, "lavender".into()));
    edge.client.delete(edge.url("/kv/p/soap")).send().await.expect("an answer");
    assert_eq!(edge.get("/kv/p/soap").await.0, 404);
    assert_eq!(edge.counter("bodega_edge_kv_reads_total").await, 3);
    assert_eq!(edge.counter("bodega_edge_kv_read_bytes_total").await, 8);
    assert_eq!(edge.counter("bodega_edge_kv_writes_total").await, 2);
    let line = edge.access_line("/kv/p/soap").await;
    assert_eq!(line["kv_reads"], 1);
}

#[tokio::test]
async fn concurrent_merges_of_one_cell_through_many_instances_lose_nothing() {
    let edge = Edge::start(&[]).await;
    let clients: Vec<_> = (0..32)
        .map(|_| {
            let (client, url) = (edge.client.clone(), edge.url("/cell/basket"));
            tokio::spawn(async move {
                for _ in 0..20 {
                    let answer = client.post(&url).body("1").send().await.expect("an answer");
                    assert_eq!(answer.status().as_u16(), 200);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no client fails");
    }
    assert_eq!(edge.get("/cell/basket").await, (200, "640".into()));
}

#[tokio::test]
async fn a_refused_delta_and_one_that_changes_nothing_leave_the_cell_as_it_is() {
    let edge = Edge::start(&[]).await;
    assert_eq!(edge.post("/cell/a", "4").await, (200, "4".into()));
    assert_eq!(edge.post("/cell/a", "no").await, (409, "not a number".into()));
    assert_eq!(edge.post("/cell/a", "0").await, (200, "4".into()));
    assert_eq!(edge.get("/cell/a").await, (200, "4".into()));
    assert_eq!(edge.counter("bodega_edge_kv_swaps_total").await, 1);
}

#[tokio::test]
async fn a_cell_and_what_was_written_before_it_survive_a_kill() {
    let mut edge = Edge::start(&[]).await;
    edge.put("/kv/p/soap", "lavender").await;
    assert_eq!(edge.post("/cell/position", "7").await, (200, "7".into()));
    edge.child().kill();
    edge.restart().await;
    assert_eq!(edge.get("/cell/position").await, (200, "7".into()));
    assert_eq!(edge.get("/kv/p/soap").await, (200, "lavender".into()));
}

#[tokio::test]
async fn a_plain_write_survives_an_orderly_stop() {
    let mut edge = Edge::start(&[]).await;
    edge.put("/kv/p/soap", "lavender").await;
    edge.terminate();
    edge.child().wait(std::time::Duration::from_secs(20)).expect("it ends");
    edge.restart().await;
    assert_eq!(edge.get("/kv/p/soap").await, (200, "lavender".into()));
}

#[tokio::test]
async fn a_store_that_is_not_listed_is_denied() {
    let edge = Edge::configured("stores = ['default']").await;
    assert_eq!(edge.get("/denied/default").await, (200, "opened".into()));
    assert_eq!(edge.get("/denied/secrets").await.0, 403);
    let (status, why) = edge.get("/cell/a").await;
    assert_eq!(status, 500);
    assert!(why.contains("AccessDenied"), "{why}");
}

#[tokio::test]
async fn a_second_host_on_the_same_data_refuses_to_start_and_says_why() {
    let edge = Edge::start(&[]).await;
    let (success, log) = second_on(&edge);
    assert!(!success);
    assert!(log.contains("is another host using it?"), "{log}");
    assert_eq!(edge.get("/").await.0, 200);
}
