//! HTTP for merchants, admins, integrations and payment providers.
//!
//! It keeps nothing and decides nothing: it turns HTTP into requests on the bus and failures into `problem+json`. Who may
//! call what is in the one operation table of the platform; [`api`] maps paths to subjects, [`pages`] are the same for
//! people. A write is a tracked task,
//! so that a client going away changes nothing.

mod api;
mod exchange;
mod health;
mod media;
mod openapi;
mod pages;
mod problem;
mod webhooks;

use axum::{Json, Router, extract::State, http::StatusCode, middleware, response::IntoResponse, routing};
use bodega_domain::Code;
use bodega_platform::{Context, Service, StartError, Wiring};

use exchange::Exchange;
use problem::Problem;

/// The service, for `bodega serve`.
#[must_use]
pub fn service() -> Service {
    Service::without_database("gateway", |context| Box::pin(start(context)))
}

async fn start(context: Context) -> Result<Wiring, StartError> {
    let address = context.config().http.gateway;
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| StartError::Config(format!("http.gateway {address} cannot be listened on: {error}")))?;
    let router = router(&context);
    let stopping = context.tasks().stopping();
    context.tasks().background(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the gateway is not served any more");
        }
    });
    tracing::info!(%address, "the gateway listens");
    Ok(Wiring::new(&context))
}

fn router(context: &Context) -> Router {
    api::routes()
        .merge(pages::routes())
        .route("/api/v1/services", routing::get(health::get))
        .route("/webhooks/payments/{provider}", routing::post(webhooks::payment))
        .route("/media/{name}", routing::get(media::get))
        .route("/healthz", routing::get(|| async { "ok" }))
        .route("/readyz", routing::get(ready))
        .route("/openapi.json", routing::get(openapi_json))
        .fallback(async |exchange: Exchange| Problem::new(Code::NotFound, &exchange))
        .method_not_allowed_fallback(async |exchange: Exchange| Problem::new(Code::MethodNotAllowed, &exchange))
        .layer(middleware::from_fn_with_state(context.clone(), exchange::begin))
        .with_state(context.clone())
}

/// Ready as soon as the bus can be asked: what is behind it answers for itself.
async fn ready(State(context): State<Context>, exchange: Exchange) -> axum::response::Response {
    if context.bus().is_connected() {
        (StatusCode::OK, "ok").into_response()
    } else {
        Problem::new(Code::CoreUnavailable, &exchange).into_response()
    }
}

async fn openapi_json() -> impl IntoResponse {
    Json(openapi::document())
}
