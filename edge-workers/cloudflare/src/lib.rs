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
    if request.path.starts_with(PLANTED_PANIC) {
        planted_panic(&request.path, &env).await;
    }
    let platform = CloudflarePlatform::new(env, context);
    exchange::response(bodega_storefront::handle(&platform, request).await)
}

/// Where a panic is planted, in a worker that has the variable of that name.
const PLANTED_PANIC: &str = "/_edge/v1/planted-panic";

/// What must never happen, to see that it costs its own requests only: always compiled, so that what is tried is what is
/// shipped, and armed by a variable that no deployment has.
#[allow(clippy::panic)]
async fn planted_panic(path: &str, env: &Env) {
    if settings::Settings::new(env.clone()).get("planted_panic").is_none() {
        return;
    }
    if path.ends_with("/late") {
        // After a wait the runtime has nobody to give an exception to.
        let _ = kv::get(env, "planted").await;
    }
    panic!("planted");
}
