//! The embedded edge: wasmtime runs the storefront component beside its own key-value store.

mod access_log;
mod artefact;
mod capability;
mod exchange;
mod guest;
mod guest_log;
mod kv;
mod media;
mod metrics;
mod outbound;
mod problem;
mod room;
mod runtime;
mod serve;
mod settings;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use http::HeaderName;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::handler::ProxyHandler;

use crate::access_log::AccessLog;
use crate::capability::Shared;
use crate::exchange::Exchange;
use crate::kv::Stores;
use crate::media::MediaOrigin;
use crate::metrics::Metrics;
use crate::outbound::{Allowed, Server};
use crate::room::Room;
use crate::runtime::Runtime;
use crate::settings::{Flags, Settings, mib};

/// How often expired keys are looked for: they expire by the day.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3_600);

/// Why the host cannot start. Each is one line that says what to change.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Settings(#[from] settings::Error),
    #[error("{0}: {1}")]
    Folder(String, io::Error),
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    #[error("the key-value store in {0} cannot be opened (is another host using it?): {1}")]
    Stores(String, kv::Error),
    #[error(transparent)]
    Artefact(#[from] artefact::Error),
    #[error("the component does not fit this host: {0:#}")]
    Component(wasmtime::Error),
    #[error("the access log {0}: {1}")]
    AccessLog(String, io::Error),
    #[error("`client_address_header` is not a header's name: {0}")]
    Header(String),
    #[error(transparent)]
    Media(#[from] media::OriginError),
    #[error(transparent)]
    Nats(#[from] outbound::UrlError),
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("BODEGA_EDGE_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| StartError::Folder("tokio".into(), error))
        .and_then(|tokio| tokio.block_on(run(&flags)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> Result<(), StartError> {
    let begun = Instant::now();
    let settings = Settings::load(flags)?;
    if flags.imports {
        return print_imports(&settings);
    }
    private_folder(&settings.data)?;
    // Ports first: a taken one is the most likely mistake and costs nothing to find.
    let (listener, address) = listen(settings.bind).await?;
    let (internal, internal_address) = listen(settings.internal_bind).await?;

    let file = settings.data.join("kv.redb");
    let stores = Stores::open(&file, mib(settings.limits.kv_cache_mib), settings.expire.clone(), kv::today)
        .map_err(|error| StartError::Stores(settings.data.display().to_string(), error))?;
    tokio::spawn(sweep(stores.clone()));
    let exchange = Arc::new(prepare(&settings, &stores)?);
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    tokio::spawn(serve::operators(internal, Arc::clone(&exchange)));
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%address, %internal_address, ms, "serving");

    serve::shoppers(listener, Arc::clone(&exchange), stop).await;

    exchange.handler.state().stop();
    if let Err(error) = stores.flush().await {
        tracing::error!(%error, "the stores could not be made durable");
    }
    exchange.access_log.flush();
    tracing::info!("stopped");
    Ok(())
}

/// Removes expired keys, now and again.
async fn sweep(stores: Stores) {
    loop {
        match stores.sweep().await {
            Ok(0) => {}
            Ok(keys) => tracing::info!(keys, "expired keys removed"),
            Err(error) => tracing::warn!(%error, "expired keys could not be removed"),
        }
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}

fn print_imports(settings: &Settings) -> Result<(), StartError> {
    let engine = runtime::engine().map_err(StartError::Component)?;
    let component = artefact::compile(&engine, &settings.component)?;
    for name in runtime::imports(&engine, &component) {
        println!("{name}");
    }
    Ok(())
}

/// The component, compiled and linked, with all that a request needs.
fn prepare(settings: &Settings, stores: &Stores) -> Result<Exchange, StartError> {
    let engine = runtime::engine().map_err(StartError::Component)?;
    let artefacts = settings.data.join("artefacts");
    private_folder(&artefacts)?;
    let begun = Instant::now();
    let loaded = artefact::load(&engine, &settings.component, &artefacts)?;
    tracing::info!(
        component = %settings.component.display(),
        sha256 = loaded.hash,
        cached = loaded.cached,
        ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        imports = runtime::imports(&engine, &loaded.component).len(),
        "component loaded"
    );

    let allowed = Allowed::default();
    let nats = settings.variables.get("nats_url").map(|url| Server::parse(url)).transpose()?;
    let names = nats.as_ref().is_some_and(Server::is_name);
    if let Some(server) = nats {
        tokio::spawn(allowed.clone().follow(server));
    }
    let shared = Shared {
        stores: stores.clone(),
        allowed: settings.stores.iter().map(|name| Arc::from(name.as_str())).collect(),
        variables: settings.variables.clone(),
        media: settings
            .variables
            .get("media_origin")
            .map(|origin| MediaOrigin::parse(origin))
            .transpose()?
            .map(Arc::new),
    };
    let metrics = Arc::new(Metrics::default());
    let limits = settings.limits;
    let runtime = Runtime::new(engine, &loaded, shared, allowed, names, limits, Arc::clone(&metrics))
        .map_err(StartError::Component)?;
    Ok(Exchange {
        tasks: runtime.tasks().clone(),
        handler: ProxyHandler::new(runtime),
        metrics,
        access_log: AccessLog::open(&settings.access_log)
            .map_err(|error| StartError::AccessLog(settings.access_log.clone(), error))?,
        limits,
        client_address_header: client_address_header(&settings.client_address_header)?,
        room: Room::new(limits.instances, limits.queue),
    })
}

fn client_address_header(name: &str) -> Result<Option<HeaderName>, StartError> {
    if name.is_empty() {
        return Ok(None);
    }
    name.to_lowercase().parse().map(Some).map_err(|_| StartError::Header(name.to_owned()))
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|error| StartError::Bind(address, error))
}

/// What is kept there is the shop's; artefacts in it are run.
fn private_folder(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| StartError::Folder(path.display().to_string(), error))
}

async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be received: only killing stops this host");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
}
