//! The whole shop, as many processes as `cargo xtask up` starts, and a shopper who only speaks HTTP.

mod shopper;
mod staff;

use bodega_stack::shop::{Ports, Programs, Shop, ShopOptions};
use bodega_stack::{Durability, StackError, Tools, silent, sweep_abandoned, test_folder, workspace_root};
pub use shopper::{Answer, Shopper, address, checkout_body, fresh_key};
pub use staff::{ADMIN, MERCHANT, Staff};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

/// In which a shopper of [`OpenShop::start_apart`] says its address.
pub const ADDRESS_HEADER: &str = "x-test-address";

/// Set to `cloudflare`, the suite talks to the storefront in workerd.
const RUNTIME: &str = "BODEGA_TEST_RUNTIME";
/// Set to anything, every service gets a database of its own.
const DATABASE_PER_SERVICE: &str = "BODEGA_TEST_DATABASE_PER_SERVICE";

/// A shop of the tests' own, on free ports, gone with the test process.
#[derive(Debug)]
pub struct OpenShop {
    shop: Mutex<Shop>,
    edges: Vec<String>,
    gateway: String,
    simulator: String,
    mail_catcher: String,
}

impl OpenShop {
    /// The shop shared by the tests of this process: two edges, the demo shop's products. In workerd's suite the first
    /// edge is the one in workerd.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<OpenShop> = OnceCell::const_new();
        SHARED.get_or_init(|| async { Self::start(2).await }).await
    }

    /// A shop that nobody else uses: for tests that break it.
    ///
    /// # Panics
    /// When it does not open; the message carries the log of what did not.
    pub async fn start(edges: u16) -> Self {
        Self::start_apart(edges, &[]).await
    }

    /// The same with a process for each of these services, and edges that believe a shopper's address in
    /// [`ADDRESS_HEADER`].
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_apart(edges: u16, services: &'static [&'static str]) -> Self {
        let started = tokio::task::spawn_blocking(move || Self::start_blocking(edges, services)).await;
        match started {
            Ok(Ok(shop)) => shop,
            Ok(Err(error)) => panic!("the shop does not open: {error}"),
            Err(error) => panic!("the shop does not open: {error}"),
        }
    }

    fn start_blocking(edges: u16, services: &[&str]) -> Result<Self, StackError> {
        static SHOPS: AtomicU32 = AtomicU32::new(0);
        let parent = test_folder();
        sweep_abandoned(&parent);
        let number = SHOPS.fetch_add(1, Ordering::Relaxed);
        let ports = Ports::free().map_err(|source| StackError::File {
            doing: "no free ports for",
            path: PathBuf::from("the shop"),
            source,
        })?;
        let cloudflare = std::env::var(RUNTIME).is_ok_and(|runtime| runtime == "cloudflare");
        let options = ShopOptions {
            folder: parent.join(format!("run-{}-shop-{number}", std::process::id())),
            workspace: workspace_root(),
            ports: ports.clone(),
            edges,
            cloudflare,
            durability: Durability::None,
            demo: true,
            database_per_service: std::env::var_os(DATABASE_PER_SERVICE).is_some(),
            core_environment: Vec::new(),
            service_per_process: services.iter().map(|name| (*name).to_owned()).collect(),
            client_address_header: if services.is_empty() { String::new() } else { ADDRESS_HEADER.to_owned() },
        };
        let shop = Shop::start(&Tools::obtain(&silent)?, &Programs::built_in(&target_folder()), options, &())?;
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let mut urls: Vec<String> = (0..edges).map(|number| url(ports.edge + number)).collect();
        if cloudflare {
            urls.insert(0, url(ports.cloudflare));
        }
        Ok(Self {
            shop: Mutex::new(shop),
            edges: urls,
            gateway: url(ports.gateway),
            simulator: url(ports.simulator),
            mail_catcher: url(ports.mail_catcher),
        })
    }

    /// The address of an edge, from 0.
    #[must_use]
    pub fn edge(&self, number: usize) -> &str {
        &self.edges[number]
    }

    /// The address of the gateway.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// The address of the payment simulator.
    #[must_use]
    pub fn simulator(&self) -> &str {
        &self.simulator
    }

    /// The address of the mail catcher: `GET /api/mails?to=ADDRESS` has the mails of the shop.
    #[must_use]
    pub fn mail_catcher(&self) -> &str {
        &self.mail_catcher
    }

    /// Processes and files. Do not hold it across an `await`.
    pub fn processes(&self) -> MutexGuard<'_, Shop> {
        self.shop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new shopper at an edge, from 0.
    #[must_use]
    pub fn shopper(&self, edge: usize) -> Shopper {
        Shopper::at(self.edge(edge))
    }
}

/// Where cargo puts what it builds.
#[must_use]
pub fn target_folder() -> PathBuf {
    let root = workspace_root();
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}
