//! A payment provider that misbehaves on request.
//!
//! It owns intents, refunds, disputes and a settlement report, speaks the Stripe-shaped API over HTTP with signed
//! webhooks, and promises what a real provider promises: one effect per idempotency key, nothing captured beyond what
//! was authorised, nothing refunded beyond what was captured, and memory of all that over a restart. Everything else
//! can be ordered to go wrong, by the payment method or at the control page.

pub mod api;
pub mod book;
mod challenge;
pub mod control;
mod desk;
pub mod form;
pub mod intent;
pub mod objects;
pub mod refusal;
pub mod webhook;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::book::{Book, JournalError};
use crate::control::Switches;
use crate::intent::Moment;

/// Largest request body.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How a simulator runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where webhooks go; can be changed at the control page.
    pub webhook_url: Option<String>,
    /// Signs webhooks.
    pub webhook_secret: String,
    /// The bearer key of the API.
    pub api_key: String,
    /// The journal; nothing is kept without one.
    pub journal: Option<PathBuf>,
    /// How long slow cards and disputes take, milliseconds.
    pub slow_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            webhook_url: None,
            webhook_secret: "whsec_simulator".to_owned(),
            api_key: "sk_test_simulator".to_owned(),
            journal: None,
            slow_ms: 3_000,
        }
    }
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, most often.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The client for webhooks cannot be built.
    #[error("HTTP client for webhooks: {0}")]
    Client(#[from] reqwest::Error),
}

/// What all handlers share.
#[derive(Debug)]
pub struct App {
    options: Options,
    /// Its own address, `http://127.0.0.1:8095`.
    base: String,
    book: Mutex<Book>,
    switches: Mutex<Switches>,
    sender: webhook::Sender,
}

impl App {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn switches(&self) -> MutexGuard<'_, Switches> {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moment(&self) -> Moment {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
        Moment { now_ms: u64::try_from(now_ms).unwrap_or(u64::MAX), slow_ms: self.options.slow_ms }
    }

    fn seconds(&self) -> i64 {
        i64::try_from(self.moment().now_ms / 1_000).unwrap_or(i64::MAX)
    }
}

/// A running simulator; dropping it leaves it running until the process ends, [`Simulator::stop`] ends it.
#[derive(Debug)]
pub struct Simulator {
    /// Where it listens.
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Simulator {
    /// Starts listening, takes up what the journal says was under way.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: Options) -> Result<Simulator, StartError> {
        let listen = options.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| StartError::Listen(listen, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(listen, error))?;
        let book = Book::open(options.journal.as_deref())?;
        let switches = Switches { webhook_url: options.webhook_url.clone(), ..Switches::default() };
        let app = Arc::new(App {
            base: format!("http://{address}"),
            book: Mutex::new(book),
            switches: Mutex::new(switches),
            sender: webhook::Sender::new()?,
            options,
        });
        desk::resume(&app);
        let router = router(app);
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(async {
                    // A dropped sender is no order to stop.
                    if stopped.await.is_err() {
                        std::future::pending::<()>().await;
                    }
                })
                .await
        });
        Ok(Simulator { address, stop, served })
    }

    /// The address as a URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening; open connections that do not end within a second are cut.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let abort = self.served.abort_handle();
        if tokio::time::timeout(Duration::from_secs(1), self.served).await.is_err() {
            abort.abort();
        }
    }
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(api::routes())
        .merge(challenge::routes())
        .merge(control::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app)
}
