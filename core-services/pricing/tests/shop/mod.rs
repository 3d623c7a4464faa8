//! A small shop of two merchants, and those who ask it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use bodega_domain::{
    Failure,
    address::Destination,
    catalog::SkuNo,
    id::{AccountId, MerchantId, SessionId},
    message::{
        catalog::{Get, Merchant, ProductIn, Upsert},
        pricing::{Quote, QuoteAnswer},
    },
    money::Currency,
    token::{AccountClaims, GuestClaims, Role, mint_account, mint_guest},
};
use bodega_plugin_build::{build_host, workspace};
use bodega_test_core::Core;
use bodega_test_core::goods::{self, category, product};

/// Sells the bread of the catalogue's usual merchant's shop.
pub(crate) const BAKER: MerchantId = MerchantId::from_u128(8);

/// The guest who asks for quotes.
pub(crate) const GUEST: SessionId = SessionId::from_u128(1);

/// Catalogue and pricing on servers of their own.
pub(crate) struct Shop {
    pub(crate) core: Core,
    skus: BTreeMap<String, SkuNo>,
    artefacts: PathBuf,
}

impl Shop {
    /// With the real plugin host.
    pub(crate) async fn with_plugins() -> Self {
        Self::open(build_host(&workspace()).expect("the plugin host builds")).await
    }

    /// Without one: nothing here is about plugins.
    pub(crate) async fn without_plugins() -> Self {
        Self::open(PathBuf::from("/nonexistent/bodega-plugin-host")).await
    }

    async fn open(program: PathBuf) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let artefacts =
            std::env::temp_dir().join(format!("bodega-pricing-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed)));
        let more = format!("[pricing]\nplugin_host = {program:?}\nartefacts = {artefacts:?}");
        let core = Core::open(&[bodega_catalog::service(), bodega_pricing::service()], &more).await;
        let baker = Merchant { id: BAKER, slug: "baker".into(), name: "Baker".into() };
        let bread = |slug: &str, cents| ProductIn { merchant: BAKER, ..product(slug, "bakery", cents) };
        let goods = Upsert {
            merchants: vec![goods::merchant(), baker],
            categories: vec![category("bakery", 1), category("drinks", 2)],
            products: vec![
                bread("roll", 60),
                bread("loaf", 400),
                product("cola", "drinks", 200),
                product("tea", "drinks", 300),
            ],
        };
        core.ask(goods).await.expect("goods");
        let mut skus = BTreeMap::new();
        for slug in ["roll", "loaf", "cola", "tea"] {
            let found = core.ask(Get { slug: slug.into() }).await.expect("a product");
            skus.insert(slug.to_owned(), found.variants[0].sku_no);
        }
        Self { core, skus, artefacts }
    }

    /// A token of whoever acts for this merchant.
    pub(crate) fn merchant(&self, merchant: MerchantId) -> String {
        let now = self.core.clock.now();
        let claims = AccountClaims {
            account: AccountId::from_u128(merchant.as_u128()),
            session: SessionId::from_u128(merchant.as_u128()),
            roles: vec![Role::Merchant(merchant)],
            issued: now,
            expires: now.plus_min(10),
        };
        mint_account(&self.core.config.keys.identity[0], &claims).expect("a token")
    }

    /// The token of [`GUEST`].
    pub(crate) fn guest(&self) -> String {
        let claims = GuestClaims { session: GUEST, expires: self.core.clock.now().plus_days(1) };
        mint_guest(&self.core.config.keys.guest, &claims).expect("a token")
    }

    /// What a guest in Germany would ask about these articles.
    pub(crate) fn request(&self, lines: &[(&str, u32)]) -> Quote {
        Quote {
            lines: lines.iter().map(|(slug, quantity)| (self.skus[*slug], *quantity)).collect(),
            cart_tick: 1,
            currency: Currency::EUR,
            codes: vec![],
            destination: Some(germany()),
            shipping_method: None,
        }
    }

    /// Asks as the guest.
    pub(crate) async fn ask(&self, request: Quote) -> Result<QuoteAnswer, Failure> {
        self.core.ask_as(Some(&self.guest()), request).await
    }

    /// A quote of a guest in Germany for these articles.
    pub(crate) async fn quote(&self, lines: &[(&str, u32)]) -> QuoteAnswer {
        self.ask(self.request(lines)).await.expect("a quote")
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.artefacts);
    }
}

/// Where the guest lives.
pub(crate) fn germany() -> Destination {
    Destination { country: "DE".parse().expect("a country"), region: None, postal_code: "10115".into() }
}
