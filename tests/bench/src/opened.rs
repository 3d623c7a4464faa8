//! A shop of the measurement's own, on free ports, gone at the end.

use std::path::PathBuf;

use bodega_platform::sqlx::{self, PgPool};
use bodega_stack::shop::{Ports, Programs, Shop, ShopOptions};
use bodega_stack::{Durability, Tools, local_folder, silent, sweep_abandoned, workspace_root};
use clap::ValueEnum;

use crate::Fault;

/// How the core's programs were built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Optimised.
    Release,
    /// Not optimised: figures are lower bounds.
    Debug,
}

impl Profile {
    const fn folder(self) -> &'static str {
        match self {
            Profile::Release => "release",
            Profile::Debug => "debug",
        }
    }
}

pub(crate) struct Opened {
    pub(crate) shop: Shop,
    pub(crate) ports: Ports,
    folder: PathBuf,
}

pub(crate) fn target_folder() -> PathBuf {
    let root = workspace_root();
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// The optimised edge host: a debug build says nothing about an edge.
pub(crate) fn edge_host() -> PathBuf {
    target_folder().join("release/bodega-edge-host")
}

impl Opened {
    /// Opens a shop with the demo's products and Postgres as it is by default: every commit reaches the disk.
    pub(crate) async fn start(edges: u16, core: Profile) -> Result<Self, Fault> {
        tokio::task::spawn_blocking(move || Self::start_blocking(edges, false, core)).await?
    }

    /// The same with one embedded edge, and one in workerd beside it.
    pub(crate) async fn start_with_workerd(core: Profile) -> Result<Self, Fault> {
        tokio::task::spawn_blocking(move || Self::start_blocking(1, true, core)).await?
    }

    fn start_blocking(edges: u16, cloudflare: bool, core: Profile) -> Result<Self, Fault> {
        let parent = local_folder().join("test");
        sweep_abandoned(&parent);
        let folder = parent.join(format!("run-{}-bench", std::process::id()));
        let ports = Ports::free()?;
        let options = ShopOptions {
            folder: folder.clone(),
            workspace: workspace_root(),
            ports: ports.clone(),
            edges,
            cloudflare,
            durability: Durability::Full,
            demo: true,
            database_per_service: false,
            core_environment: Vec::new(),
            service_per_process: Vec::new(),
            client_address_header: String::new(),
        };
        let target = target_folder();
        let native = target.join(core.folder());
        let programs = Programs {
            bodega: native.join("bodega"),
            simulator: native.join("bodega-payment-simulator"),
            edge_host: edge_host(),
            ..Programs::built_in(&target)
        };
        let shop = Shop::start(&Tools::obtain(&silent)?, &programs, options, &())?;
        Ok(Self { shop, ports, folder })
    }

    /// Everything of this shop is in here, and gone at the end.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// The superuser's connections.
    pub(crate) async fn database(&mut self) -> Result<PgPool, Fault> {
        Ok(PgPool::connect(&self.shop.postgres().url("bodega")).await?)
    }

    /// More of everything than a measurement buys, and the numbers of what there is.
    pub(crate) async fn fill_the_shelves(&mut self) -> Result<Vec<u32>, Fault> {
        let pool = self.database().await?;
        sqlx::query("update inventory.stock set on_hand = 1000000000").execute(&pool).await?;
        let skus: Vec<i64> =
            sqlx::query_scalar("select distinct sku_no from inventory.stock order by 1").fetch_all(&pool).await?;
        pool.close().await;
        skus.into_iter().map(|sku| Ok(u32::try_from(sku)?)).collect()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // What is still written to is swept away by a later run.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
