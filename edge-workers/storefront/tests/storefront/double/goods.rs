//! What the shop of the tests sells, as views.

use std::collections::BTreeMap;

use bodega_domain::{
    catalog::{
        Band, CategoryView, ListingPage, Picture, Prices, ProductCard, ProductView, SkuNo, SkuView, TaxClass,
        VariantView, ViewEntry,
    },
    id::{MerchantId, ProductId, PromotionId},
    promotion::{Benefit, Rule},
};

pub type Entry = ViewEntry;

/// Slug, title, category, and kinds: SKU, number, title, EUR, band.
type Good = (&'static str, &'static str, &'static str, &'static [(&'static str, SkuNo, &'static str, i64, Band)]);

pub const GOODS: &[Good] = &[
    (
        "sourdough",
        "Country sourdough",
        "bakery",
        &[("BREAD-HALF", 1, "Half", 289, Band::InStock), ("BREAD-WHOLE", 2, "Whole", 549, Band::Low)],
    ),
    ("baguette", "Baguette", "bakery", &[("BAGUETTE", 3, "", 179, Band::InStock)]),
    ("croissant", "Butter croissant 🥐", "bakery", &[("CROISSANT", 4, "", 190, Band::Out)]),
    ("tea", "شاي أخضر", "drinks", &[("TEA", 5, "", 650, Band::InStock)]),
    ("nasty", "<script>alert(1)</script>&\"'", "drinks", &[("NASTY", 6, "<b>bold</b>", 100, Band::InStock)]),
];

pub const MERCHANT: MerchantId = MerchantId::from_u128(77);

pub fn prices(eur: i64) -> Prices {
    let list = [("EUR", eur), ("USD", eur * 11 / 10), ("JPY", eur * 16 / 10)];
    Prices(list.into_iter().map(|(code, amount)| (code.to_owned(), amount)).collect())
}

pub fn picture() -> Picture {
    Picture { hash: "ab".repeat(32), ext: "webp".into(), alt: "A picture".into() }
}

pub fn sku_view(no: SkuNo) -> Option<SkuView> {
    GOODS.iter().find_map(|(slug, title, category, kinds)| {
        let (sku, sku_no, kind, eur, band) = kinds.iter().find(|kind| kind.1 == no)?;
        Some(SkuView {
            sku: (*sku).into(),
            sku_no: *sku_no,
            product: (*slug).into(),
            title: format!("{title} {kind}").trim().to_owned(),
            category: (*category).into(),
            merchant: MERCHANT,
            tax_class: TaxClass::Reduced,
            prices: prices(*eur),
            band: *band,
            picture: Some(picture()),
        })
    })
}

pub fn product((slug, title, category, kinds): &Good) -> ProductView {
    ProductView {
        id: ProductId::from_u128(u128::from(kinds[0].1)),
        slug: (*slug).into(),
        title: (*title).into(),
        description: format!("All about {title}. <i>Really</i>."),
        category: (*category).into(),
        merchant: MERCHANT,
        merchant_name: "Corner & Sons <x>".into(),
        attributes: vec![("Origin".into(), "Here <u>".into())],
        picture: Some(picture()),
        variants: kinds
            .iter()
            .map(|(sku, sku_no, kind, eur, band)| VariantView {
                sku: (*sku).into(),
                sku_no: *sku_no,
                title: (*kind).into(),
                options: BTreeMap::new(),
                prices: prices(*eur),
                band: *band,
            })
            .collect(),
        tax_class: None,
        version: None,
    }
}

pub fn card(good: &Good) -> ProductCard {
    let (slug, title, category, kinds) = good;
    ProductCard {
        slug: (*slug).into(),
        title: (*title).into(),
        category: (*category).into(),
        merchant_name: "Corner & Sons <x>".into(),
        picture: Some(picture()),
        prices_from: prices(kinds.iter().map(|kind| kind.3).min().unwrap()),
        variants: u32::try_from(kinds.len()).unwrap(),
        only_sku: (kinds.len() == 1).then(|| kinds[0].0.to_owned()),
        band: kinds.iter().map(|kind| kind.4).min_by_key(|band| *band as u8).unwrap(),
    }
}

pub fn categories() -> Vec<CategoryView> {
    [("bakery", "Bakery <&>", 3), ("drinks", "Drinks", 2)]
        .map(|(slug, title, products)| CategoryView {
            slug: slug.into(),
            title: title.into(),
            description: "From the <oven>.".into(),
            products,
            picture: Some(picture()),
        })
        .into()
}

fn entry(kind: &str, key: &str, body: impl serde::Serialize) -> Entry {
    Entry { kind: kind.into(), key: key.into(), version: 1, body: Some(serde_json::to_value(body).unwrap()) }
}

/// 10 % off the bakery for everybody, and 5 % off all with a code.
pub fn rules() -> Vec<Rule> {
    let rule = |id, label: &str, code: Option<&str>, category: Option<&str>, bp| Rule {
        id: PromotionId::from_u128(id),
        merchant: None,
        label: label.into(),
        code: code.map(str::to_owned),
        categories: category.map(str::to_owned).into_iter().collect(),
        skus: Vec::new(),
        min_quantity: 0,
        min_subtotal: BTreeMap::new(),
        benefit: Benefit::PercentageBp(bp),
        uses_max: None,
        uses_per_buyer_max: None,
    };
    vec![
        rule(1, "10 % off the <bakery>", None, Some("bakery"), 1_000),
        rule(2, "5 % for friends", Some("FRIENDS"), None, 500),
    ]
}

/// Everything that a snapshot brings.
pub fn entries() -> Vec<Entry> {
    let mut all = vec![entry("categories", "all", categories()), entry("promotions", "active", rules())];
    for category in ["all", "bakery", "drinks"] {
        let items: Vec<_> = GOODS.iter().filter(|good| category == "all" || good.2 == category).map(card).collect();
        let total = u32::try_from(items.len()).unwrap();
        all.push(entry("listing", &format!("{category}/1"), ListingPage { items, pages: 1, total }));
    }
    for good in GOODS {
        all.push(entry("product", good.0, product(good)));
        for (sku, no, ..) in good.3 {
            all.push(entry("skucode", sku, no));
            all.push(entry("sku", &no.to_string(), sku_view(*no)));
        }
    }
    all
}
