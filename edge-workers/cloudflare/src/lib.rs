//! The storefront as a Cloudflare Worker.
//!
//! A thin adapter: [`platform`] answers what the storefront asks of its runtime, [`exchange`] translates HTTP. The key-value
//! store is a KV namespace, each atomic cell a Durable Object ([`cell`]), and one more Durable Object keeps the
//! connection to NATS ([`link`]). All configuration comes from variables and secrets ([`settings`]).
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cell;
mod clock;
mod entropy;
mod exchange;
mod kv;
mod link;
mod platform;
mod settings;

use worker::{Context, Env, Request, Response, event};

use platform::CloudflarePlatform;

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let request = exchange::request(request).await?;
    #[cfg(feature = "planted-panic")]
    planted_panic(&request.path, &env).await;
    let platform = CloudflarePlatform::new(env, context);
    exchange::response(bodega_storefront::handle(&platform, request).await)
}

/// What must never happen, to see that it costs its own request only.
#[cfg(feature = "planted-panic")]
#[allow(clippy::panic)]
async fn planted_panic(path: &str, env: &Env) {
    match path {
        "/_edge/v1/panic" => panic!("planted"),
        "/_edge/v1/panic-late" => {
            // After a wait the runtime has nobody to give an exception to.
            let _ = kv::get(env, "planted").await;
            panic!("planted late");
        }
        _ => {}
    }
}
