//! Shows the shop in a browser while its pages are worked on: `cargo run --example window -- 8099 [views.json] [pictures]`.
//!
//! The runtime is the double of the tests and the core beside it keeps everything in memory: for looking, not for selling.
//! `views.json` is a list of edge views; `pictures` a folder of files named by their hash.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

// Only a part of it is needed here.
#[allow(dead_code)]
#[path = "../tests/storefront/double/mod.rs"]
mod double;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
};

use bodega_storefront::{
    handle,
    platform::{Request, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue};

fn main() {
    let mut args = std::env::args().skip(1);
    let port = args.next().unwrap_or_else(|| "8099".into());
    let edge = double::Edge::stocked();
    if let Some(file) = args.next() {
        let views: Vec<double::goods::Entry> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for view in views {
            if view.kind == "sku" {
                let sku = serde_json::from_value(view.body.clone().unwrap()).unwrap();
                edge.core.more.borrow_mut().insert(view.key.parse().unwrap(), sku);
            }
            edge.put(&format!("{}/{}", view.kind, view.key), &view.body.unwrap());
        }
    }
    if let Some(folder) = args.next() {
        for file in std::fs::read_dir(folder).unwrap().flatten() {
            edge.put_media(&file.file_name().to_string_lossy(), &std::fs::read(file.path()).unwrap());
        }
    }
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    println!("http://127.0.0.1:{port}");
    for stream in listener.incoming().flatten() {
        let _ = serve(&edge, stream);
    }
}

fn serve(edge: &double::Edge, stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut parts = line.split_whitespace();
    let (method, target) = (parts.next().unwrap_or("GET").to_owned(), parts.next().unwrap_or("/").to_owned());
    let mut headers = HeaderMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.trim())) {
            headers.append(name, value);
        }
    }
    let length = headers.get("content-length").and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(0_usize);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let method = http::Method::from_bytes(method.as_bytes()).unwrap_or(http::Method::GET);
    let request = Request { method, path: path.into(), query: query.into(), headers, body };
    let Response { status, headers, body } = futures::executor::block_on(handle(edge, request));
    edge.run_deferred();
    let mut stream = reader.into_inner();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len())?;
    for (name, value) in &headers {
        write!(stream, "{name}: {}\r\n", value.to_str().unwrap_or_default())?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&body)
}
