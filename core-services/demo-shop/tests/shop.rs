//! The demo shop is what it promises: big enough, complete, consistent and believable.

use std::collections::{BTreeMap, BTreeSet};

use bodega_demo_shop::{
    AttributeValue, Discount, EXTENSION, PICTURES, Product, Role, Shop, TaxClass, Variant, demo_shop, picture,
};

const PICTURE_BYTES_MAX: usize = 25 * 1024;
const PICTURES_BYTES_MAX: usize = 4 * 1024 * 1024;

fn shop() -> Shop {
    demo_shop().expect("the compiled-in data fits together")
}

fn variants(shop: &Shop) -> impl Iterator<Item = (&Product, &Variant)> {
    shop.products.iter().flat_map(|p| p.variants.iter().map(move |v| (p, v)))
}

/// The first thing that occurs twice.
fn twice<T: Ord + Copy>(items: impl IntoIterator<Item = T>) -> Option<T> {
    let mut seen = BTreeSet::new();
    items.into_iter().find(|item| !seen.insert(*item))
}

fn is_word(text: &str, allowed: fn(u8) -> bool) -> bool {
    text.len() <= 40
        && text.bytes().all(|b| b == b'-' || allowed(b))
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
        && !text.is_empty()
}

#[test]
fn the_shop_is_as_big_as_promised() {
    let shop = shop();
    assert!(shop.products.len() >= 120, "{} products", shop.products.len());
    assert_eq!(shop.categories.len(), 10);
    assert_eq!(shop.merchants.len(), 2);
    assert_eq!(shop.locations.len(), 2);
    let with_variants = shop.products.iter().filter(|p| (2..=4).contains(&p.variants.len())).count();
    assert!(with_variants >= 30, "{with_variants} products have a choice");
    for category in &shop.categories {
        let here = shop.products.iter().filter(|p| p.category == category.slug).count();
        assert!(here >= 10, "{} has {here} products", category.slug);
    }
    for merchant in &shop.merchants {
        assert!(shop.products.iter().filter(|p| p.merchant == merchant.slug).count() >= 20, "{}", merchant.slug);
    }
}

#[test]
fn slugs_skus_titles_and_ids_are_unique_and_well_formed() {
    let shop = shop();
    assert_eq!(twice(shop.products.iter().map(|p| p.slug.as_str())), None);
    assert_eq!(twice(shop.products.iter().map(|p| p.title.as_str())), None);
    assert_eq!(twice(variants(&shop).map(|(_, v)| v.sku.as_str())), None);
    assert_eq!(twice(shop.categories.iter().map(|c| c.slug.as_str())), None);
    let ids = shop.merchants.iter().map(|m| m.id);
    let ids = ids.chain(shop.locations.iter().map(|l| l.id)).chain(shop.rules.iter().map(|r| r.id));
    let ids = ids.chain(shop.plugins.iter().map(|p| p.id)).chain(shop.products.iter().map(Product::id));
    let ids: Vec<u128> = ids.chain(variants(&shop).map(|(_, v)| v.id())).collect();
    assert_eq!(twice(ids.iter().copied()), None);
    for id in ids {
        assert_eq!((id >> 76) & 0xf, 7, "{id:032x} is of version 7");
        assert_eq!((id >> 62) & 0b11, 0b10, "{id:032x} has the RFC's variant");
    }
    for (product, variant) in variants(&shop) {
        assert!(is_word(&product.slug, |b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{}", product.slug);
        assert!(is_word(&variant.sku, |b| b.is_ascii_uppercase() || b.is_ascii_digit()), "{}", variant.sku);
    }
}

#[test]
fn ids_stay_the_same_on_every_machine_and_in_every_release() {
    let shop = shop();
    let apples = &shop.products[0];
    assert_eq!(apples.slug, "gala-apples");
    assert_eq!(format!("{:032x}", apples.id()), "019b76daa8007d0c89a84ba072cc5094");
    assert_eq!(format!("{:032x}", apples.variants[0].id()), "019b76daa80072da9d2e8ded6487b3c8");
}

#[test]
fn every_variant_has_a_price_in_three_currencies_that_belong_together() {
    for (_, variant) in variants(&shop()) {
        let sku = &variant.sku;
        let currencies: Vec<&str> = variant.prices.keys().map(String::as_str).collect();
        assert_eq!(currencies, ["EUR", "JPY", "USD"], "{sku}");
        let (eur, usd, jpy) = (variant.prices["EUR"], variant.prices["USD"], variant.prices["JPY"]);
        assert!((50..=10_000).contains(&eur), "{sku} costs {eur} euro cents");
        // A dollar is worth somewhat less than a euro.
        assert!((100..=130).contains(&(usd * 100 / eur)), "{sku}: {usd} dollar cents beside {eur} euro cents");
        // The yen has no minor unit: 2.49 euro are some 400 yen, not 40,000.
        assert!((140..=190).contains(&(jpy * 100 / eur)), "{sku}: {jpy} yen beside {eur} euro cents");
        assert_eq!(jpy % 10, 0, "{sku}: {jpy} yen is not how a shop writes it");
    }
}

#[test]
fn siblings_differ_in_one_option_and_only_variants_have_none() {
    for product in &shop().products {
        let slug = &product.slug;
        if let [only] = product.variants.as_slice() {
            assert!(only.options.is_empty() && only.title().is_empty(), "{slug}");
            continue;
        }
        let names: BTreeSet<Vec<&String>> = product.variants.iter().map(|v| v.options.keys().collect()).collect();
        assert_eq!(names.len(), 1, "{slug}: its variants differ in different things");
        assert_eq!(twice(product.variants.iter().map(|v| &v.options)), None, "{slug}");
        assert!(product.variants.iter().all(|v| !v.title().is_empty()), "{slug}");
    }
}

#[test]
fn descriptions_are_two_to_four_plain_sentences() {
    let shop = shop();
    for product in &shop.products {
        let text = &product.description;
        assert!((90..=400).contains(&text.len()), "{}: {} bytes", product.slug, text.len());
        assert!(text.ends_with('.') && text.trim() == text && !text.contains("  "), "{}", product.slug);
        let sentences = text.split(". ").count();
        assert!((2..=4).contains(&sentences), "{}: {sentences} sentences", product.slug);
        assert!(!text.contains(['<', '>', '\n', '|']), "{}: plain text", product.slug);
        assert!((3..=40).contains(&product.title.len()), "{}", product.title);
    }
    assert_eq!(twice(shop.products.iter().map(|p| p.description.as_str())), None);
}

#[test]
fn every_picture_is_in_the_folder_small_and_used() {
    let shop = shop();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/pictures");
    let mut in_folder: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder of pictures")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    in_folder.sort();
    let mut in_table: Vec<String> = PICTURES.iter().map(|p| format!("{}.{EXTENSION}", p.name)).collect();
    assert!(PICTURES.is_sorted_by_key(|p| p.name), "look-up is a binary search");
    in_table.sort();
    assert_eq!(in_table, in_folder);

    let used: BTreeSet<&str> = shop.products.iter().map(|p| p.picture.as_str()).collect();
    for file in PICTURES {
        assert!(used.contains(file.name), "{} shows no product", file.name);
        assert!(file.bytes.len() <= PICTURE_BYTES_MAX, "{}: {} bytes", file.name, file.bytes.len());
        assert!(file.bytes.starts_with(b"RIFF") && &file.bytes[8..12] == b"WEBP", "{} is a WebP file", file.name);
    }
    assert!(PICTURES.iter().map(|p| p.bytes.len()).sum::<usize>() <= PICTURES_BYTES_MAX);
    assert_eq!(twice(PICTURES.iter().map(|p| p.bytes)), None, "two names for one picture");
}

#[test]
fn a_picture_is_addressed_by_the_sha_256_of_its_bytes() {
    let apple = picture("red-apple").expect("a red apple");
    assert_eq!(apple.hash(), "88148f6ddd4fde65459b6f08c4ab82948a2bc355455f2f323e9fea167ce8c52a");
    assert_eq!(apple.alt(), "red apple");
    assert_eq!(picture("no-such-picture"), None);
}

#[test]
fn stock_lies_at_both_locations_and_some_is_nearly_gone() {
    let shop = shop();
    for (_, variant) in variants(&shop) {
        assert_eq!(variant.stock.len(), shop.locations.len(), "{}", variant.sku);
    }
    let on_hand: Vec<u64> = variants(&shop).map(|(_, v)| v.on_hand()).collect();
    assert!(on_hand.contains(&0), "one thing is sold out");
    assert!(on_hand.iter().any(|n| (1..10).contains(n)), "something is low");
    assert!(on_hand.iter().filter(|n| **n >= 40).count() * 10 >= on_hand.len() * 9, "most is plenty");
}

#[test]
fn both_tax_classes_are_used_and_food_is_reduced() {
    let shop = shop();
    let class = |slug: &str| shop.products.iter().find(|p| p.slug == slug).map(|p| p.tax);
    assert_eq!(class("gala-apples"), Some(TaxClass::Reduced));
    assert_eq!(class("city-umbrella"), Some(TaxClass::Standard));
    assert_eq!(TaxClass::Reduced.as_str(), "reduced");
}

#[test]
fn attributes_are_typed_shown_with_their_unit_and_in_one_order() {
    let shop = shop();
    let bananas = shop.products.iter().find(|p| p.slug == "bananas").expect("bananas");
    let shown: Vec<(String, String)> = bananas.attributes.iter().map(|a| (a.title.clone(), a.display())).collect();
    let expected = [("Origin", "Canary Islands, Spain"), ("Organic", "Yes"), ("Weight", "900 g")];
    assert_eq!(shown, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    for product in &shop.products {
        assert!(!product.attributes.is_empty(), "{} says nothing about itself", product.slug);
        for attribute in &product.attributes {
            assert!(attribute.value != AttributeValue::Text(String::new()), "{}", product.slug);
        }
    }
}

#[test]
fn promotions_are_paid_by_the_merchant_whose_products_they_reach() {
    let shop = shop();
    let sold_by = |merchant: &str, category: &str| {
        let mut here = shop.products.iter().filter(|p| p.category == category).peekable();
        here.peek().is_some() && here.all(|p| p.merchant == merchant)
    };
    let [rule] = shop.rules.as_slice() else { panic!("one rule, not {}", shop.rules.len()) };
    assert!(sold_by(&rule.funded_by, rule.category.as_deref().expect("a category")));
    assert_eq!(rule.discount, Discount::PercentageBp(1_000));
    for plugin in &shop.plugins {
        let configuration: serde_json::Value = serde_json::from_str(&plugin.configuration).expect("JSON");
        let categories = configuration["of"]["categories"].as_array().expect("categories");
        assert!(!categories.is_empty(), "{}", plugin.slug);
        for category in categories {
            assert!(sold_by(&plugin.funded_by, category.as_str().expect("a slug")), "{}: {category}", plugin.slug);
        }
    }
    let plugins: BTreeSet<&str> = shop.plugins.iter().map(|p| p.plugin.as_str()).collect();
    assert_eq!(plugins, BTreeSet::from(["buy-x-get-y", "tiered-discount"]));
}

#[test]
fn there_is_an_account_for_every_role_and_none_has_a_password() {
    let shop = shop();
    assert!(shop.accounts.iter().all(|a| a.email.ends_with("@bodega.example")));
    for role in [Role::Shopper, Role::Merchant, Role::Admin] {
        assert!(shop.accounts.iter().any(|a| a.role == role), "{role:?}");
    }
    let sellers: BTreeSet<_> = shop.accounts.iter().filter_map(|a| a.merchant.as_deref()).collect();
    assert_eq!(sellers, shop.merchants.iter().map(|m| m.slug.as_str()).collect());
    assert!(!include_str!("../data/shop.toml").lines().any(|line| line.starts_with("password")));
}

#[test]
fn a_longer_catalogue_begins_with_the_shorter_one() {
    let shop = shop();
    let short: Vec<Product> = shop.large(50, 7).collect();
    let long: Vec<Product> = shop.large(500, 7).collect();
    assert_eq!(short.len(), 50);
    assert_eq!(short, long[..50]);
    assert_ne!(short, shop.large(50, 8).collect::<Vec<_>>(), "another seed is another catalogue");
}

#[test]
fn a_generated_catalogue_is_as_sound_as_the_shop() {
    let shop = shop();
    let large: Vec<Product> = shop.large(20_000, 1).collect();
    let mut slugs: BTreeSet<&str> = shop.products.iter().map(|p| p.slug.as_str()).collect();
    let mut skus: BTreeSet<&str> = variants(&shop).map(|(_, v)| v.sku.as_str()).collect();
    let mut in_category: BTreeMap<&str, u32> = BTreeMap::new();
    for product in &large {
        assert!(slugs.insert(&product.slug), "{}", product.slug);
        assert!(product.slug.len() <= 64 && product.title.len() <= 120, "{}", product.title);
        assert!((90..=600).contains(&product.description.len()), "{}", product.description);
        assert!(!product.description.contains('{'), "{}", product.description);
        assert!(picture(&product.picture).is_some());
        *in_category.entry(&product.category).or_default() += 1;
        for variant in &product.variants {
            assert!(skus.insert(&variant.sku), "{}", variant.sku);
            let (eur, jpy) = (variant.prices["EUR"], variant.prices["JPY"]);
            assert!((30..=20_000).contains(&eur), "{}: {eur}", variant.sku);
            assert!((120..=200).contains(&(jpy * 100 / eur)), "{}: {jpy} yen, {eur} cents", variant.sku);
        }
    }
    assert_eq!(in_category.len(), shop.categories.len());
    assert!(in_category.values().all(|n| *n > 1_000), "{in_category:?}");
}
