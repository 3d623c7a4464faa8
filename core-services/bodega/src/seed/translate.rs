//! From the demo shop's own words to the wire's.

use bodega_demo_shop::{
    Account, Discount, PluginPromotion, Product, Role as DemoRole, Rule as DemoRule, Shop, TaxClass as DemoTax, picture,
};
use bodega_domain::{
    catalog::{Picture, SkuNo, TaxClass},
    id::{LocationId, MerchantId, PromotionId},
    message::{
        catalog::{CategoryIn, Merchant, ProductIn, Upsert, VariantIn},
        identity::PutUser,
        inventory::{Adjustment, Location, PutLocations},
        pricing::PutRule,
    },
    promotion::{Benefit, Rule},
    token::Role,
};

/// The merchant of a slug.
pub(super) fn merchant(shop: &Shop, slug: &str) -> Option<MerchantId> {
    shop.merchants.iter().find(|merchant| merchant.slug == slug).map(|merchant| MerchantId::from_u128(merchant.id))
}

/// The data is checked when it is loaded: every slug in it names a merchant of the shop.
fn seller(shop: &Shop, slug: &str) -> MerchantId {
    merchant(shop, slug).unwrap_or(MerchantId::from_u128(0))
}

/// Merchants and categories: what products stand in.
pub(super) fn frame(shop: &Shop) -> Upsert {
    let merchants = shop.merchants.iter().map(|merchant| Merchant {
        id: MerchantId::from_u128(merchant.id),
        slug: merchant.slug.clone(),
        name: merchant.name.clone(),
    });
    let categories = shop.categories.iter().zip(1..).map(|(category, position)| CategoryIn {
        slug: category.slug.clone(),
        title: category.title.clone(),
        description: category.about.clone(),
        position,
    });
    Upsert { merchants: merchants.collect(), categories: categories.collect(), products: Vec::new() }
}

/// A product.
pub(super) fn product(shop: &Shop, product: &Product) -> ProductIn {
    ProductIn {
        slug: product.slug.clone(),
        expected_version: None,
        title: product.title.clone(),
        description: product.description.clone(),
        category: product.category.clone(),
        merchant: seller(shop, &product.merchant),
        tax_class: match product.tax {
            DemoTax::Standard => TaxClass::Standard,
            DemoTax::Reduced => TaxClass::Reduced,
        },
        attributes: product.attributes.iter().map(|a| (a.title.clone(), a.display())).collect(),
        picture: picture(&product.picture).map(|picture| Picture {
            hash: picture.hash(),
            ext: bodega_demo_shop::EXTENSION.to_owned(),
            alt: picture.alt(),
        }),
        variants: product
            .variants
            .iter()
            .map(|variant| VariantIn {
                sku: variant.sku.clone(),
                title: variant.title(),
                options: variant.options.clone(),
                prices: variant.prices.clone(),
            })
            .collect(),
    }
}

/// Locations, the shop itself first.
pub(super) fn locations(shop: &Shop) -> PutLocations {
    let locations = shop.locations.iter().zip(1..).map(|(location, priority)| Location {
        id: LocationId::from_u128(location.id),
        name: location.name.clone(),
        priority,
    });
    PutLocations { locations: locations.collect() }
}

/// The first delivery of products; its references make sure that it comes once.
pub(super) fn stock(shop: &Shop, products: &[Product], number: impl Fn(&str) -> Option<SkuNo>) -> Vec<Adjustment> {
    let mut adjustments = Vec::new();
    for product in products {
        for variant in &product.variants {
            let Some(sku_no) = number(&variant.sku) else { continue };
            for location in &shop.locations {
                let Some(pieces) = variant.stock.get(&location.slug).filter(|pieces| **pieces > 0) else { continue };
                adjustments.push(Adjustment {
                    sku_no,
                    location: LocationId::from_u128(location.id),
                    merchant: seller(shop, &product.merchant),
                    delta: i64::from(*pieces),
                    reason: "seed".to_owned(),
                    reference: format!("seed:{}:{}", variant.sku, location.slug),
                });
            }
        }
    }
    adjustments
}

/// A declarative promotion.
pub(super) fn rule(shop: &Shop, rule: &DemoRule) -> PutRule {
    let id = PromotionId::from_u128(rule.id);
    let merchant = merchant(shop, &rule.funded_by);
    let content = Rule {
        id,
        merchant,
        label: rule.label.clone(),
        code: None,
        categories: rule.category.iter().cloned().collect(),
        skus: Vec::new(),
        min_quantity: 0,
        min_subtotal: rule.min_subtotal.clone(),
        benefit: match &rule.discount {
            Discount::PercentageBp(bp) => Benefit::PercentageBp(*bp),
            Discount::Amount(amounts) => Benefit::Amount(amounts.clone()),
        },
        uses_max: None,
        uses_per_buyer_max: None,
    };
    PutRule {
        id,
        merchant,
        label: rule.label.clone(),
        // A rule is plain data, which can always be written.
        rule: serde_json::to_value(content).unwrap_or_default(),
        active: true,
    }
}

/// A plugin's configuration; the data keeps it as JSON text.
pub(super) fn plugin_configuration(promotion: &PluginPromotion) -> serde_json::Value {
    serde_json::from_str(&promotion.configuration).unwrap_or_default()
}

/// Somebody who can sign in.
pub(super) fn account(shop: &Shop, account: &Account, password: &str) -> PutUser {
    PutUser {
        email: account.email.clone(),
        password: Some(password.to_owned()),
        name: account.name.clone(),
        roles: match account.role {
            DemoRole::Shopper => Vec::new(),
            DemoRole::Admin => vec![Role::Admin],
            DemoRole::Merchant => {
                account.merchant.iter().filter_map(|slug| merchant(shop, slug)).map(Role::Merchant).collect()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use bodega_demo_shop::demo_shop;

    use super::*;

    #[test]
    fn everything_in_the_demo_shop_has_a_seller_a_picture_and_a_price() {
        let shop = demo_shop().unwrap();
        assert!(shop.products.len() >= 120);
        for demo in &shop.products {
            let product = product(&shop, demo);
            assert!(shop.merchants.iter().any(|m| MerchantId::from_u128(m.id) == product.merchant), "{}", product.slug);
            assert!(product.picture.is_some(), "{}", product.slug);
            assert!(product.variants.iter().all(|variant| variant.prices.contains_key("EUR")), "{}", product.slug);
        }
    }

    #[test]
    fn rules_of_the_demo_shop_have_no_faults() {
        let shop = demo_shop().unwrap();
        for demo in &shop.rules {
            let rule: Rule = serde_json::from_value(rule(&shop, demo).rule).unwrap();
            assert_eq!(rule.faults(), []);
        }
        assert!(!shop.rules.is_empty());
    }

    #[test]
    fn a_first_delivery_has_a_reference_for_each_sku_and_location() {
        let shop = demo_shop().unwrap();
        let adjustments = stock(&shop, &shop.products, |_| Some(1));
        let references: std::collections::BTreeSet<_> = adjustments.iter().map(|a| &a.reference).collect();
        assert_eq!(references.len(), adjustments.len());
        assert!(adjustments.iter().all(|a| a.delta > 0));
        let locations: std::collections::BTreeSet<_> = adjustments.iter().map(|a| a.location).collect();
        assert_eq!(locations.len(), 2);
    }

    #[test]
    fn merchants_and_admins_get_their_roles() {
        let shop = demo_shop().unwrap();
        let roles: Vec<_> = shop.accounts.iter().map(|a| (a.role, account(&shop, a, "secret").roles)).collect();
        assert!(roles.iter().any(|(role, roles)| *role == DemoRole::Admin && *roles == [Role::Admin]));
        assert!(roles.iter().filter(|(role, _)| *role == DemoRole::Merchant).all(|(_, roles)| roles.len() == 1));
    }
}
