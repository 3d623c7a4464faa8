//! The storefront as a WASI 0.3 component for Spin and for the embedded host.
//!
//! What a shop is, `bodega-storefront` knows; how it reaches the runtime, `bodega-spin-platform`.

use bodega_spin_platform::{SpinPlatform, exchange};
use bodega_storefront::cell;
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};

struct Shop;

spin_sdk::wasip3::http::service::export!(Shop);

impl Guest for Shop {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let answer = match exchange::read(request).await {
            Ok(request) => bodega_storefront::handle(&SpinPlatform::new(cell::merge).await, request).await,
            Err(answer) => answer,
        };
        exchange::write(answer)
    }
}
