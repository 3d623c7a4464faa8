//! The catalogue on real servers: what is written is what is read, and what edges get.

use std::collections::BTreeMap;

use bodega_domain::{
    Code,
    catalog::{Band, ListingPage, ProductView, SkuView, TaxClass, ViewEntry},
    id::{AccountId, MerchantId, SessionId},
    message::catalog::{
        Categories, Digests, Get, List, MerchantOf, PriceLines, ProductIn, PutViews, Retire, Search, SetBands, Views,
    },
    money::Currency,
    replication::entry_digest,
    token::{AccountClaims, Role, mint_account},
};
use bodega_test_core::goods::{merchant, product, products, shop, variant};
use bodega_test_core::{Core, code, fields};

async fn open() -> Core {
    Core::open(&[bodega_catalog::service()], "").await
}

/// Every view as an edge would hold it after following the log, with the position it is at.
async fn follow(core: &Core, held: &mut BTreeMap<(String, String), ViewEntry>, after: i64) -> i64 {
    let mut position = after;
    loop {
        let page = core.ask(Views { after: position, limit: 7, live_only: false }).await.unwrap();
        for (at, entry) in &page.entries {
            assert!(*at > position, "positions ascend");
            position = *at;
            let key = (entry.kind.clone(), entry.key.clone());
            if entry.body.is_some() { drop(held.insert(key, entry.clone())) } else { drop(held.remove(&key)) }
        }
        if page.entries.is_empty() {
            return page.head;
        }
    }
}

/// Waits until every change has its position, and gives what an edge holds then.
async fn settled(core: &Core) -> BTreeMap<(String, String), ViewEntry> {
    let digests = core.ask(Digests {}).await.unwrap();
    let mut held = BTreeMap::new();
    let head = follow(core, &mut held, 0).await;
    assert_eq!(head, digests.position);
    // What the log says is what the digests say.
    let mut sums: BTreeMap<String, (i64, u64)> = BTreeMap::new();
    for ((kind, key), entry) in &held {
        let sum = sums.entry(kind.clone()).or_default();
        *sum = (sum.0 + 1, sum.1.wrapping_add(entry_digest(&format!("{kind}/{key}"), entry.version).max(1)));
    }
    for (kind, (keys, digest)) in &digests.kinds {
        let expected = sums.get(kind).copied().unwrap_or_default();
        assert_eq!((*keys, digest.clone()), (expected.0, format!("{:016x}", expected.1)), "{kind}");
    }
    held
}

fn view<T: serde::de::DeserializeOwned>(
    held: &BTreeMap<(String, String), ViewEntry>,
    kind: &str,
    key: &str,
) -> Option<T> {
    let entry = held.get(&(kind.to_owned(), key.to_owned()))?;
    Some(serde_json::from_value(entry.body.clone().unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_upserted_is_read_searched_priced_and_replicated() {
    let core = open().await;
    let mut rye = product("rye-bread", "bakery", 499);
    rye.variants.push(variant("RYE-BREAD-BIG", 899));
    let answer = core.ask(shop(vec![rye, product("pear", "produce", 120)])).await.unwrap();
    assert_eq!(answer.sku_nos.values().copied().collect::<Vec<_>>(), [3, 1, 2], "dense, in the order of the request");

    let got = core.ask_as(None, Get { slug: "rye-bread".into() }).await.unwrap();
    assert_eq!((got.title.as_str(), got.variants.len(), got.merchant_name.as_str()), ("rye bread", 2, "Corner Goods"));
    assert_eq!(got.id, answer.products["rye-bread"]);
    let categories = core.ask_as(None, Categories {}).await.unwrap();
    assert_eq!(
        categories.iter().map(|c| (c.slug.as_str(), c.products)).collect::<Vec<_>>(),
        [("produce", 1), ("bakery", 1)]
    );
    assert!(categories[0].picture.is_some());
    assert_eq!(core.ask(MerchantOf { slug: merchant().slug }).await.unwrap(), merchant());
    assert_eq!(code(&core.ask(MerchantOf { slug: "nobody".into() }).await), Some(Code::NotFound));

    assert_eq!((got.tax_class, got.version), (Some(TaxClass::Reduced), Some(1)), "what a write has to say again");

    let list = |category: Option<&str>| List { category: category.map(Into::into), ..List::default() };
    let all = core.ask_as(None, list(None)).await.unwrap();
    assert_eq!(all.items.iter().map(|c| c.slug.as_str()).collect::<Vec<_>>(), ["rye-bread", "pear"]);
    assert_eq!((all.items[0].prices_from.0["EUR"], all.items[0].only_sku.as_deref()), (499, None));
    assert_eq!(all.items[1].only_sku.as_deref(), Some("PEAR"));
    assert_eq!(core.ask_as(None, list(Some("produce"))).await.unwrap().items.len(), 1);
    assert_eq!(code(&core.ask_as(None, list(Some("toys"))).await), Some(Code::CategoryNotFound));
    assert_eq!(code(&core.ask_as(None, list(Some("\u{1}"))).await), Some(Code::CategoryNotFound));
    for (of, found) in [(merchant().id, 2), (MerchantId::from_u128(404), 0)] {
        let own = core.ask_as(None, List { merchant: Some(of), ..List::default() }).await.unwrap();
        assert_eq!(own.items.len(), found);
    }

    let search = |q: &str| Search { q: q.into(), category: None, cursor: None, limit: None };
    for (q, found) in [
        ("rye", 1),
        ("br", 1),
        ("fresh pe", 1),
        ("FRESH", 2),
        ("\"rye bread\"", 1),
        ("fresh -pear", 1),
        ("'); --", 0),
        ("", 0),
        ("pears", 1),
        ("breads", 1),
        ("bicycles", 0),
    ] {
        let answer = core.ask_as(None, search(q)).await.unwrap();
        assert_eq!(answer.items.len(), found, "{q}");
    }

    let nowhere = Search { category: Some("\u{1}".into()), ..search("rye") };
    assert_eq!(core.ask_as(None, nowhere).await.unwrap().items, []);

    let priced = core.ask(PriceLines { sku_nos: vec![1, 3, 99], currency: Currency::JPY }).await.unwrap();
    let mut skus: Vec<_> = priced.skus.iter().map(|s| (s.sku_no, s.prices.0.clone())).collect();
    skus.sort_by_key(|s| s.0);
    let yen = |amount| BTreeMap::from([("JPY".to_owned(), amount)]);
    assert_eq!(skus, [(1, yen(998)), (3, yen(240))]);
    assert_eq!(priced.merchants[&merchant().id.to_string()], "Corner Goods");
    assert_eq!(priced.price_version, 1);
    let none = core.ask(PriceLines { sku_nos: vec![99], currency: Currency::EUR }).await.unwrap();
    assert_eq!((none.skus.len(), none.price_version), (0, 1));

    let held = settled(&core).await;
    let page: ProductView = view(&held, "product", "rye-bread").unwrap();
    assert_eq!(page, ProductView { tax_class: None, version: None, ..got }, "edges need neither");
    let sku: SkuView = view(&held, "sku", "2").unwrap();
    assert_eq!((sku.sku.as_str(), sku.product.as_str(), sku.band), ("RYE-BREAD-BIG", "rye-bread", Band::Out));
    assert_eq!(view::<u32>(&held, "skucode", "PEAR"), Some(3));
    let listing: ListingPage = view(&held, "listing", "all/1").unwrap();
    assert_eq!((listing.items, listing.pages, listing.total), (all.items, 1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_of_an_upsert_is_named_and_nothing_is_written() {
    let core = open().await;
    core.ask(shop(vec![product("pear", "produce", 120)])).await.unwrap();
    let mut toy = product("bear", "toys", 1);
    toy.merchant = MerchantId::from_u128(404);
    let mut thief = product("plum", "produce", 1);
    thief.variants[0].sku = "PEAR".into();
    let refused = core.ask(products(vec![toy, thief, product("fig", "produce", 5)])).await;
    assert_eq!(code(&refused), Some(Code::ValidationFailed));
    let named = fields(&refused);
    let expected = [
        ("/products/0/category", "unknown"),
        ("/products/0/merchant", "unknown"),
        ("/products/1/variants/0/sku", "taken"),
    ];
    assert_eq!(named, expected.map(|(p, c)| (p.to_owned(), c.to_owned())));
    assert_eq!(code(&core.ask_as(None, Get { slug: "fig".into() }).await), Some(Code::ProductNotFound));
    let answer = core.ask(products(vec![product("fig", "produce", 5)])).await.unwrap();
    assert_eq!(answer.sku_nos["FIG"], 2, "a refused request used no number");

    let mut other = merchant();
    other.id = MerchantId::from_u128(8);
    let taken =
        core.ask(bodega_domain::message::catalog::Upsert { merchants: vec![other], ..Default::default() }).await;
    assert_eq!(fields(&taken), [("/merchants".to_owned(), "taken".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_writes_their_own_products_only() {
    let core = open().await;
    core.ask(shop(vec![product("pear", "produce", 120)])).await.unwrap();
    let token = |roles| {
        let now = core.clock.now();
        let (account, session) = (AccountId::from_u128(1), SessionId::from_u128(2));
        let claims = AccountClaims { account, session, roles, issued: now, expires: now.plus_min(5) };
        mint_account(&core.config.keys.identity[0], &claims).unwrap()
    };
    let own = token(vec![Role::Merchant(merchant().id)]);
    let foreign = token(vec![Role::Merchant(MerchantId::from_u128(9))]);
    let admin = token(vec![Role::Admin]);
    let nobody = token(vec![]);
    let pears = || products(vec![product("pear", "produce", 99)]);
    assert_eq!(code(&core.ask_as(Some(&foreign), pears()).await), Some(Code::Forbidden));
    assert_eq!(code(&core.ask_as(Some(&nobody), pears()).await), Some(Code::Forbidden));
    assert_eq!(code(&core.ask_as(None, pears()).await), Some(Code::Unauthenticated));
    assert_eq!(
        code(&core.ask_as(Some(&own), shop(vec![])).await),
        Some(Code::Forbidden),
        "categories are the marketplace's"
    );
    let mut taken_over = product("pear", "produce", 99);
    taken_over.merchant = MerchantId::from_u128(9);
    assert_eq!(code(&core.ask_as(Some(&foreign), products(vec![taken_over])).await), Some(Code::Forbidden));
    assert_eq!(code(&core.ask_as(Some(&foreign), Retire { slug: "pear".into() }).await), Some(Code::Forbidden));
    core.ask_as(Some(&own), pears()).await.unwrap();
    core.ask_as(Some(&admin), shop(vec![])).await.unwrap();
    core.ask_as(Some(&own), Retire { slug: "pear".into() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_edit_at_once_do_not_write_over_each_other() {
    let core = open().await;
    let edit = |expected_version, cents| {
        products(vec![ProductIn { expected_version: Some(expected_version), ..product("pear", "produce", cents) }])
    };
    let stale = [("/products/0/expected_version".to_owned(), "stale".to_owned())];
    core.ask(shop(vec![])).await.unwrap();
    let missing = core.ask(edit(1, 120)).await;
    assert_eq!((code(&missing), fields(&missing)), (Some(Code::PreconditionFailed), stale.to_vec()));
    core.ask(edit(0, 120)).await.unwrap();
    assert_eq!(code(&core.ask(edit(0, 121)).await), Some(Code::PreconditionFailed), "it is there by now");

    let read = async || core.ask_as(None, Get { slug: "pear".into() }).await.unwrap();
    let seen = read().await.version.unwrap();
    let (one, other) = tokio::join!(core.ask(edit(seen, 130)), core.ask(edit(seen, 140)));
    assert_ne!(one.is_ok(), other.is_ok(), "{one:?} {other:?}");
    let now = read().await;
    assert_eq!(now.variants[0].prices.0["EUR"], if one.is_ok() { 130 } else { 140 });
    core.ask(SetBands { bands: vec![(now.variants[0].sku_no, Band::Low, 1)] }).await.unwrap();
    core.ask(edit(now.version.unwrap(), 150)).await.expect("stock changes by itself and stops no edit");
    core.ask(products(vec![product("pear", "produce", 160)])).await.expect("who does not ask for it writes over");
    let last = read().await.version.unwrap();
    core.ask(Retire { slug: "pear".into() }).await.unwrap();
    assert_eq!(code(&core.ask(edit(last, 170)).await), Some(Code::PreconditionFailed), "it was taken out meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_rewrites_only_what_it_touches() {
    let core = open().await;
    let goods: Vec<_> = (0..60).map(|n| product(&format!("loaf-{n:02}"), "bakery", 100 + n)).collect();
    core.ask(shop(goods.clone())).await.unwrap();
    let before = settled(&core).await;
    let listing: ListingPage = view(&before, "listing", "bakery/3").unwrap();
    assert_eq!((listing.items.len(), listing.pages, listing.total), (12, 3, 60));
    let empty: ListingPage = view(&before, "listing", "produce/1").unwrap();
    assert_eq!((empty.items.len(), empty.pages, empty.total), (0, 1, 0));

    let changed_since = async |before: &BTreeMap<(String, String), ViewEntry>| {
        let after = settled(&core).await;
        let changed: Vec<String> = after
            .iter()
            .filter(|(key, entry)| before.get(*key) != Some(entry))
            .map(|((kind, key), _)| format!("{kind}/{key}"))
            .collect();
        let gone: Vec<String> =
            before.keys().filter(|key| !after.contains_key(*key)).map(|(kind, key)| format!("{kind}/{key}")).collect();
        (after, changed, gone)
    };

    core.ask(products(goods.clone())).await.unwrap();
    let (before, changed, gone) = changed_since(&before).await;
    assert_eq!((changed.len(), gone.len()), (0, 0), "the same again changes nothing");

    let mut dearer = goods[30].clone();
    dearer.variants[0].prices.insert("EUR".into(), 9_999);
    core.ask(products(vec![dearer])).await.unwrap();
    let (before, changed, gone) = changed_since(&before).await;
    assert_eq!(changed, ["listing/all/2", "listing/bakery/2", "product/loaf-30", "sku/31"]);
    assert!(gone.is_empty());

    let band =
        |version, band| SetBands { bands: vec![(1, band, version), (1, Band::Out, version - 1), (777, Band::Low, 1)] };
    core.ask(band(5, Band::Low)).await.unwrap();
    let (before, changed, _) = changed_since(&before).await;
    assert_eq!(changed, ["listing/all/1", "listing/bakery/1", "product/loaf-00", "sku/1"]);
    assert_eq!(view::<SkuView>(&before, "sku", "1").unwrap().band, Band::Low);
    core.ask(band(5, Band::InStock)).await.unwrap();
    let (before, changed, _) = changed_since(&before).await;
    assert!(changed.is_empty(), "a report that is not newer is passed over: {changed:?}");

    core.ask(Retire { slug: "loaf-59".into() }).await.unwrap();
    core.ask(Retire { slug: "loaf-59".into() }).await.unwrap();
    let (before, changed, gone) = changed_since(&before).await;
    assert_eq!(gone, ["product/loaf-59", "sku/60", "skucode/LOAF-59"]);
    assert_eq!(changed.len(), 2 * 3 + 1, "every page of both listings shows the total, and the category: {changed:?}");

    let mut moved = goods[0].clone();
    moved.category = "produce".into();
    moved.variants[0].sku = "LOAF-NEW".into();
    core.ask(products(vec![moved])).await.unwrap();
    let (before, _, gone) = changed_since(&before).await;
    assert_eq!(gone, ["sku/1", "skucode/LOAF-00"], "a SKU that is no longer named retires");
    assert_eq!(view::<u32>(&before, "skucode", "LOAF-NEW"), Some(61));
    assert_eq!(view::<ListingPage>(&before, "listing", "produce/1").unwrap().total, 1);
    assert_eq!(view::<ListingPage>(&before, "listing", "bakery/1").unwrap().total, 58);

    core.ask(products(vec![goods[59].clone()])).await.unwrap();
    let (_, _, gone) = changed_since(&before).await;
    assert!(gone.is_empty());
    let back = core.ask_as(None, Get { slug: "loaf-59".into() }).await.unwrap();
    assert_eq!(back.variants[0].sku_no, 60, "back under its number");
    assert_eq!(code(&core.ask(Retire { slug: "nothing".into() }).await), Some(Code::ProductNotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_no_longer_there_are_deleted() {
    let core = open().await;
    let goods: Vec<_> = (0..25).map(|n| product(&format!("loaf-{n:02}"), "bakery", 100)).collect();
    core.ask(shop(goods)).await.unwrap();
    assert!(settled(&core).await.contains_key(&("listing".into(), "bakery/2".into())));
    core.ask(Retire { slug: "loaf-03".into() }).await.unwrap();
    let held = settled(&core).await;
    assert!(!held.contains_key(&("listing".into(), "bakery/2".into())));
    assert!(!held.contains_key(&("listing".into(), "all/2".into())));
    let page: ListingPage = view(&held, "listing", "bakery/1").unwrap();
    assert_eq!((page.items.len(), page.pages), (24, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_merchant_is_renamed_everywhere() {
    let core = open().await;
    core.ask(shop(vec![product("pear", "produce", 120)])).await.unwrap();
    let mut renamed = merchant();
    renamed.name = "Fine Goods".into();
    core.ask(bodega_domain::message::catalog::Upsert { merchants: vec![renamed], ..Default::default() }).await.unwrap();
    let held = settled(&core).await;
    assert_eq!(view::<ProductView>(&held, "product", "pear").unwrap().merchant_name, "Fine Goods");
    assert_eq!(view::<ListingPage>(&held, "listing", "produce/1").unwrap().items[0].merchant_name, "Fine Goods");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_results_are_paged_without_gaps() {
    let core = open().await;
    let goods: Vec<_> = (0..25).map(|n| product(&format!("loaf-{n:02}"), "bakery", 100)).collect();
    core.ask(shop(goods)).await.unwrap();
    let (mut listed, mut found) = (Vec::new(), Vec::new());
    let mut cursor = None;
    loop {
        let page = core
            .ask_as(None, List { category: Some("bakery".into()), cursor, limit: Some(10), ..List::default() })
            .await
            .unwrap();
        listed.extend(page.items.into_iter().map(|c| c.slug));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    loop {
        let page =
            core.ask_as(None, Search { q: "loaf".into(), category: None, cursor, limit: Some(7) }).await.unwrap();
        found.extend(page.items.into_iter().map(|c| c.slug));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..25).map(|n| format!("loaf-{n:02}")).collect();
    assert_eq!((&listed, &found), (&expected, &expected));
    let broken = core.ask_as(None, List { cursor: Some("x".into()), ..List::default() }).await;
    assert_eq!(code(&broken), Some(Code::BadRequest));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_services_put_views_of_their_kinds_only() {
    let core = open().await;
    let put = |kind: &str, key: &str, body: Option<serde_json::Value>| PutViews {
        entries: vec![(kind.into(), key.into(), body)],
    };
    let body = serde_json::json!([{"kid": "a"}]);
    core.ask(put("key", "identity", Some(body.clone()))).await.unwrap();
    assert_eq!(view::<serde_json::Value>(&settled(&core).await, "key", "identity"), Some(body));
    core.ask(put("key", "identity", None)).await.unwrap();
    core.ask(put("flag", "never-there", None)).await.unwrap();
    assert!(settled(&core).await.is_empty());
    assert_eq!(fields(&core.ask(put("product", "x", None)).await), [("/entries/0/0".to_owned(), "kind".to_owned())]);
    assert_eq!(fields(&core.ask(put("flag", "a/b", None)).await), [("/entries/0/1".to_owned(), "key".to_owned())]);
    assert_eq!(code(&core.ask_as(None, put("flag", "a", None)).await), Some(Code::Forbidden));
}
