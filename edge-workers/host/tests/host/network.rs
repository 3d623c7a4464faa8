//! The component reaches NATS and pictures, and nothing else.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::edge::Edge;

/// A gateway that has one picture, and counts nothing else.
async fn gateway() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("accepts");
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let count = stream.read(&mut request).await.unwrap_or(0);
                let found = request[..count].starts_with(b"GET /media/soap.png ");
                let (status, body) = if found { ("200 OK", "pixels") } else { ("404 Not Found", "") };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_socket_opens_to_nats_and_to_no_other_address() {
    let nats = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let other = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = |listener: &TcpListener| listener.local_addr().expect("an address").to_string();
    let edge = Edge::start(&["--variable", &format!("nats_url=nats://{}", address(&nats))]).await;
    assert_eq!(edge.get(&format!("/connect/{}", address(&nats))).await, (200, "connected".into()));
    let (status, why) = edge.get(&format!("/connect/{}", address(&other))).await;
    assert_eq!(status, 403);
    assert!(why.contains("AccessDenied"), "{why}");
    let reached = tokio::time::timeout(Duration::from_millis(200), other.accept()).await;
    assert!(reached.is_err(), "nobody came");
}

#[tokio::test]
async fn pictures_are_read_through_from_the_gateway_and_nothing_else_of_it() {
    let gateway = gateway().await;
    let edge = Edge::start(&["--variable", &format!("media_origin=http://{gateway}")]).await;
    assert_eq!(edge.get("/media/soap.png").await, (200, "pixels".into()));
    assert_eq!(edge.get("/media/none.png").await.0, 404);
    for denied in [format!("{gateway}/api/v1/orders"), "127.0.0.1:1/media/soap.png".into()] {
        let (status, why) = edge.get(&format!("/out/{denied}")).await;
        assert_eq!(status, 403, "{why}");
        assert!(why.contains("HttpRequestDenied"), "{why}");
    }
}
