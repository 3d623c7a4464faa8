//! `bodega seed`: puts the demo shop, and on request a large catalogue, into a running core, over the bus like anybody.
//!
//! Everything is written under names and references of its own, so that an interrupted seed may simply be run again.
//! What merchants have changed since is only overwritten with `--fresh`.

mod progress;
mod translate;

use std::{error::Error, path::PathBuf};

use bodega_demo_shop::{PICTURES, Product, Shop, demo_shop};
use bodega_domain::{
    catalog::SkuNo,
    id::PluginId,
    message::{Request, catalog, identity, inventory, pricing},
    token::base64url,
};
use bodega_platform::Config;

use crate::operator::{Operator, OperatorError};
use progress::Progress;

/// Products in one message: some 300 KB, below the bus's 1 MiB.
const PRODUCTS_PER_MESSAGE: usize = 200;
/// Stock changes in one message.
const ADJUSTMENTS_PER_MESSAGE: usize = 1_000;
/// Seed of the large catalogue: the same everywhere.
const LARGE_SEED: u64 = 1;
/// Variable with the password of the demo accounts.
const PASSWORD_VARIABLE: &str = "BODEGA_DEMO_PASSWORD";
/// Variable with the folder of the example plugins.
const PLUGINS_VARIABLE: &str = "BODEGA_DEMO_PLUGINS";

/// What to put in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Products beside the demo shop.
    pub(crate) products: u64,
    /// Also what is there already.
    pub(crate) fresh: bool,
}

/// Something that keeps the seed from being put in.
#[derive(Debug, thiserror::Error)]
enum SeedError {
    #[error(transparent)]
    Core(#[from] OperatorError),
    #[error("pictures cannot be written to {folder}: {source}", folder = folder.display())]
    Pictures { folder: PathBuf, source: std::io::Error },
    #[error("the plugin {path} cannot be read: {source}", path = path.display())]
    Plugin { path: PathBuf, source: std::io::Error },
}

struct Seed {
    core: Operator,
    progress: Progress,
}

/// Puts it in.
pub(crate) async fn run(config: &Config, wanted: Wanted) -> Result<(), Box<dyn Error>> {
    let shop = demo_shop()?;
    let seed = Seed { core: Operator::connect(config).await?, progress: Progress::new() };
    seed.progress.step("pictures");
    write_pictures(config)?;
    if wanted.fresh || !seed.is_complete(&shop).await? {
        seed.put_shop(&shop).await?;
    } else {
        seed.progress.step("the demo shop is there already; --fresh writes it again");
    }
    if wanted.products > 0 {
        seed.put_large(&shop, wanted.products).await?;
    }
    seed.progress.done();
    Ok(())
}

impl Seed {
    async fn ask<R: Request + Sync>(&self, request: &R) -> Result<R::Answer, SeedError> {
        Ok(self.core.ask(request).await?)
    }

    /// Accounts are written last: when they are there, so is the rest.
    async fn is_complete(&self, shop: &Shop) -> Result<bool, SeedError> {
        let Some(last) = shop.accounts.last() else { return Ok(false) };
        let mut users = identity::Users::default();
        loop {
            let page = self.ask(&users).await?;
            if page.items.iter().any(|account| account.email == last.email) {
                return Ok(true);
            }
            match page.next_cursor {
                Some(cursor) => users.cursor = Some(cursor),
                None => return Ok(false),
            }
        }
    }

    async fn put_shop(&self, shop: &Shop) -> Result<(), SeedError> {
        self.progress.step("merchants and categories");
        self.ask(&translate::frame(shop)).await?;
        self.ask(&translate::locations(shop)).await?;
        self.put_products(shop, "products", shop.products.iter().cloned(), shop.products.len()).await?;
        self.progress.step("promotions");
        for rule in &shop.rules {
            self.ask(&translate::rule(shop, rule)).await?;
        }
        self.put_plugins(shop).await?;
        self.put_accounts(shop).await
    }

    async fn put_large(&self, shop: &Shop, products: u64) -> Result<(), SeedError> {
        let total = usize::try_from(products).unwrap_or(usize::MAX);
        self.put_products(shop, "the large catalogue", shop.large(products, LARGE_SEED), total).await
    }

    /// Products and their stock, some at a time, with a bar.
    async fn put_products(
        &self,
        shop: &Shop,
        what: &str,
        mut products: impl Iterator<Item = Product>,
        total: usize,
    ) -> Result<(), SeedError> {
        let mut done = 0;
        loop {
            let part: Vec<Product> = products.by_ref().take(PRODUCTS_PER_MESSAGE).collect();
            if part.is_empty() {
                return Ok(());
            }
            let upsert = catalog::Upsert {
                products: part.iter().map(|product| translate::product(shop, product)).collect(),
                ..Default::default()
            };
            let numbers = self.ask(&upsert).await?.sku_nos;
            let number = |sku: &str| -> Option<SkuNo> { numbers.get(sku).copied() };
            let adjustments = translate::stock(shop, &part, number);
            for adjustments in adjustments.chunks(ADJUSTMENTS_PER_MESSAGE) {
                self.ask(&inventory::Adjust { adjustments: adjustments.to_vec() }).await?;
            }
            done += part.len();
            self.progress.at(what, done, total);
        }
    }

    async fn put_plugins(&self, shop: &Shop) -> Result<(), SeedError> {
        let Some(folder) = std::env::var_os(PLUGINS_VARIABLE).map(PathBuf::from) else {
            self.progress.step("no plugins: BODEGA_DEMO_PLUGINS names no folder");
            return Ok(());
        };
        let active = self.active_promotions().await?;
        for promotion in shop.plugins.iter().filter(|promotion| !active.contains(&promotion.label)) {
            self.progress.step(&format!("plugin {}", promotion.plugin));
            let path = folder.join(format!("{}.wasm", promotion.plugin));
            let component = std::fs::read(&path).map_err(|source| SeedError::Plugin { path, source })?;
            let config = translate::plugin_configuration(promotion);
            let upload = pricing::PluginUpload {
                name: promotion.plugin.clone(),
                merchant: translate::merchant(shop, &promotion.funded_by),
                component: base64url(&component),
                config: config.clone(),
            };
            let plugin: PluginId = self.ask(&upload).await?.id;
            self.ask(&pricing::PluginActivate { plugin, key: None, label: promotion.label.clone(), config }).await?;
        }
        Ok(())
    }

    async fn active_promotions(&self) -> Result<Vec<String>, SeedError> {
        let mut labels = Vec::new();
        let mut ask = pricing::Promotions::default();
        loop {
            let page = self.ask(&ask).await?;
            labels.extend(page.items.into_iter().filter(|p| p.active).map(|p| p.label));
            match page.next_cursor {
                Some(cursor) => ask.cursor = Some(cursor),
                None => return Ok(labels),
            }
        }
    }

    async fn put_accounts(&self, shop: &Shop) -> Result<(), SeedError> {
        let password = std::env::var(PASSWORD_VARIABLE).ok().filter(|password| !password.is_empty());
        let Some(password) = password else {
            self.progress.step("no accounts: BODEGA_DEMO_PASSWORD gives no password for them");
            return Ok(());
        };
        self.progress.step("accounts");
        for account in &shop.accounts {
            self.ask(&translate::account(shop, account, &password)).await?;
        }
        Ok(())
    }
}

/// Pictures go straight to the object store; their names are their content's, so that twice is once.
fn write_pictures(config: &Config) -> Result<(), SeedError> {
    let folder = config.media.directory.clone();
    let failed = |source| SeedError::Pictures { folder: folder.clone(), source };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    for picture in PICTURES {
        let path = folder.join(format!("{}.{}", picture.hash(), bodega_demo_shop::EXTENSION));
        if !path.exists() {
            let unfinished = path.with_extension("unfinished");
            std::fs::write(&unfinished, picture.bytes).map_err(failed)?;
            std::fs::rename(&unfinished, &path).map_err(failed)?;
        }
    }
    Ok(())
}
