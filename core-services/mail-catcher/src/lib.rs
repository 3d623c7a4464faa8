//! A mail server that delivers nothing and shows everything.
//!
//! It takes mail for anybody over SMTP, keeps the newest in memory, and shows them on a page and as JSON, so that a shop
//! on one machine can send mail that no stranger ever gets. It can be told to refuse recipients, so that the patience of
//! senders can be tried. It knows neither TLS nor passwords: it belongs on loopback.

mod api;
mod letterbox;
mod mail;
mod page;
mod smtp;

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bodega_domain::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::letterbox::Letterbox;
pub use crate::letterbox::{KEPT_MAX, Refusal, RefusalCode};
pub use crate::mail::{Header, Mail};
pub use crate::smtp::{MAIL_BYTES_MAX, RECIPIENTS_MAX};

/// How long open conversations are given when it stops.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Where a catcher listens; port 0 takes a free one.
#[derive(Debug, Clone)]
pub struct Options {
    /// For mail.
    pub smtp: SocketAddr,
    /// For the page and the JSON.
    pub http: SocketAddr,
}

impl Default for Options {
    fn default() -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Options { smtp: free, http: free }
    }
}

/// Why a catcher did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, most often.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

/// A running catcher; dropping it stops it.
#[derive(Debug)]
pub struct MailCatcher {
    smtp: SocketAddr,
    http: SocketAddr,
    letterbox: Arc<Letterbox>,
    running: DropGuard,
    served: [JoinHandle<()>; 2],
}

impl MailCatcher {
    /// Starts listening on both ports.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: Options) -> Result<MailCatcher, StartError> {
        let (smtp_listener, smtp) = listen(options.smtp).await?;
        let (http_listener, http) = listen(options.http).await?;
        let letterbox = Arc::new(Letterbox::default());
        let stop = CancellationToken::new();
        let mail = tokio::spawn(smtp::serve(smtp_listener, Arc::clone(&letterbox), stop.clone()));
        let pages = axum::serve(http_listener, api::router(Arc::clone(&letterbox)))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let pages = tokio::spawn(async { drop(pages.into_future().await) });
        Ok(MailCatcher { smtp, http, letterbox, running: stop.drop_guard(), served: [mail, pages] })
    }

    /// Where mail is sent to, `smtp://127.0.0.1:1025`.
    #[must_use]
    pub fn smtp_url(&self) -> String {
        format!("smtp://{}", self.smtp)
    }

    /// The address of the page, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The mails that came for an address, newest first.
    #[must_use]
    pub fn mails_to(&self, address: &str) -> Vec<Mail> {
        self.letterbox.newest(Some(address)).iter().map(|mail| Mail::clone(mail)).collect()
    }

    /// Refuses the next recipients.
    pub fn refuse(&self, refusal: Refusal) {
        self.letterbox.refuse(refusal);
    }

    /// Stops, and returns when both ports are free again.
    pub async fn stop(self) {
        drop(self.running);
        for task in self.served {
            let abort = task.abort_handle();
            if tokio::time::timeout(STOP_WITHIN, task).await.is_err() {
                abort.abort();
            }
        }
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn now() -> Timestamp {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
    Timestamp::from_unix_ms(i64::try_from(now_ms).unwrap_or(i64::MAX))
}
