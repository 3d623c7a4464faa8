//! Carts under rules and effects.

use proptest::prelude::*;

use super::*;
use crate::{
    address::Destination,
    catalog::{Band, Prices, TaxClass},
    id::PromotionId,
};

fn line(sku_no: SkuNo, merchant: u128, category: &str, class: TaxClass, price: i64, quantity: u32) -> PricedLine {
    let sku = SkuView {
        sku: format!("S{sku_no}"),
        sku_no,
        product: format!("p{sku_no}"),
        title: format!("Product {sku_no}"),
        category: category.into(),
        merchant: MerchantId::from_u128(merchant),
        tax_class: class,
        prices: Prices::default(),
        band: Band::InStock,
        picture: None,
    };
    PricedLine { sku, quantity, unit_price: Money::new(price, Currency::EUR).unwrap() }
}

fn rule(benefit: Benefit) -> Rule {
    Rule {
        id: PromotionId::from_u128(1),
        merchant: None,
        label: "Less".into(),
        code: None,
        categories: Vec::new(),
        skus: Vec::new(),
        min_quantity: 0,
        min_subtotal: BTreeMap::new(),
        benefit,
        uses_max: None,
        uses_per_buyer_max: None,
    }
}

#[test]
fn no_rule_is_left_out_of_a_quote_however_many_there_are() {
    let lines = [line(1, 1, "a", TaxClass::Standard, 1_000, 1)];
    let rules = vec![rule(Benefit::PercentageBp(1)); 300];
    assert_eq!(evaluate(&rules, &lines, &[], Currency::EUR).effects.len(), 300);
}

fn shipping(amount: i64) -> Shipping {
    Shipping { method: "standard".into(), amount: Money::new(amount, Currency::EUR).unwrap() }
}

fn germany() -> Market {
    Market::assumed(Currency::EUR)
}

#[test]
fn ten_percent_off_the_bakery_and_nothing_else() {
    let lines = [line(1, 1, "bakery", TaxClass::Reduced, 333, 3), line(2, 1, "drinks", TaxClass::Standard, 500, 1)];
    let bakery = Rule { categories: vec!["bakery".into()], ..rule(Benefit::PercentageBp(1_000)) };
    let ruled = evaluate(&[bakery], &lines, &[], Currency::EUR);
    let priced = price(&lines, &ruled.effects, &shipping(490), &germany()).unwrap();
    assert_eq!(priced.totals.discount.amount(), 100, "99.9 becomes 100");
    assert_eq!(priced.lines[0].total.amount(), 899);
    assert_eq!(priced.lines[1].discount.amount(), 0);
    assert_eq!(priced.totals.total.amount(), 999 + 500 - 100 + 490);
}

#[test]
fn german_tax_is_inside_the_price_and_rounded_once_a_rate() {
    let lines = [line(1, 1, "a", TaxClass::Reduced, 107, 1), line(2, 1, "a", TaxClass::Standard, 119, 1)];
    let priced = price(&lines, &[], &shipping(119), &germany()).unwrap();
    let of = |t: &TaxLine| (t.rate_bp, t.base.amount(), t.amount.amount());
    assert_eq!(priced.taxes.iter().map(of).collect::<Vec<_>>(), [(700, 100, 7), (1_900, 200, 38)]);
    assert_eq!(priced.totals.total.amount(), 345);
    assert_eq!(priced.lines[1].tax.amount(), 19, "the other half is shipping's");
}

#[test]
fn american_tax_comes_on_top() {
    let to = Destination { country: "US".parse().unwrap(), region: Some("TX".into()), postal_code: "1".into() };
    let lines = [line(1, 1, "a", TaxClass::Standard, 1_000, 1)];
    let priced = price(&lines, &[], &shipping(0), &Market::of(&to).unwrap()).unwrap();
    assert_eq!(priced.totals.tax.amount(), 63, "6.25 % of 10.00 is 62.5");
    assert_eq!(priced.totals.total.amount(), 1_063);
}

#[test]
fn codes_count_once_their_conditions_are_met() {
    let lines = [line(1, 1, "a", TaxClass::Standard, 1_000, 1)];
    let minimum = BTreeMap::from([("EUR".to_owned(), 2_000)]);
    let off = || Benefit::Amount(BTreeMap::from([("EUR".to_owned(), 500)]));
    let with_code = |code: &str, rule: Rule| Rule { code: Some(code.into()), ..rule };
    let rules = [with_code("FIVE", rule(off())), with_code("BIG", Rule { min_subtotal: minimum, ..rule(off()) })];
    let codes: Vec<String> = ["five", "BIG", "NONE"].map(String::from).to_vec();
    let ruled = evaluate(&rules, &lines, &codes, Currency::EUR);
    assert_eq!((ruled.effects.len(), ruled.codes), (1, vec!["five".to_owned()]));
    assert_eq!(ruled.refused.iter().map(|(c, _)| c.as_str()).collect::<Vec<_>>(), ["BIG", "NONE"]);
}

#[test]
fn a_merchant_lowers_only_its_own_lines() {
    let lines = [line(1, 1, "a", TaxClass::Standard, 1_000, 1), line(2, 2, "a", TaxClass::Standard, 1_000, 1)];
    let own = Rule { merchant: Some(MerchantId::from_u128(2)), ..rule(Benefit::PercentageBp(5_000)) };
    let ruled = evaluate(&[own], &lines, &[], Currency::EUR);
    let priced = price(&lines, &ruled.effects, &shipping(0), &germany()).unwrap();
    assert_eq!(priced.lines.iter().map(|l| l.discount.amount()).collect::<Vec<_>>(), [0, 500]);
}

#[test]
fn three_for_two_takes_one_unit_off() {
    let lines = [line(1, 1, "drinks", TaxClass::Standard, 250, 3)];
    let effect = Effect {
        source: Source::Rule("x".into()),
        label: "3 for 2".into(),
        funded_by: None,
        target: Target::Lines(vec![(0, Some(1))]),
        discount: Discount::Bp(WHOLE_BP),
    };
    let priced = price(&lines, &[effect], &shipping(0), &germany()).unwrap();
    assert_eq!(priced.totals.total.amount(), 500);
}

fn any_effect(lines: usize) -> impl Strategy<Value = Effect> {
    let target = prop_oneof![
        proptest::collection::vec((0..lines + 1, proptest::option::of(0_u32..5)), 0..4).prop_map(Target::Lines),
        proptest::collection::vec(0..lines + 1, 0..4).prop_map(Target::Order),
        Just(Target::Shipping),
    ];
    let discount = prop_oneof![(0_u32..20_000).prop_map(Discount::Bp), (-100_i64..100_000).prop_map(Discount::Amount)];
    (target, discount).prop_map(|(target, discount)| Effect {
        source: Source::Rule("r".into()),
        label: "Less".into(),
        funded_by: None,
        target,
        discount,
    })
}

proptest! {
    #[test]
    fn whatever_is_asked_for_everything_adds_up_and_nothing_is_negative(
        goods in proptest::collection::vec((0_i64..5_000, 1_u32..5, 0_u8..3), 1..6),
        effects in proptest::collection::vec(any_effect(6), 0..8),
        post in 0_i64..1_000,
        included: bool,
    ) {
        let class = |n| [TaxClass::Standard, TaxClass::Reduced, TaxClass::Zero][usize::from(n)];
        let lines: Vec<PricedLine> = (1_u32..).zip(goods).map(|(n, (price, quantity, c))| {
            line(n, 1, "a", class(c), price, quantity)
        }).collect();
        let market = Market { tax_included: included, ..germany() };
        let priced = price(&lines, &effects, &shipping(post), &market).unwrap();
        let sum = |f: &dyn Fn(&QuoteLine) -> i64| priced.lines.iter().map(f).sum::<i64>();
        let t = priced.totals;
        prop_assert!(t.total.amount() >= 0);
        prop_assert!(priced.lines.iter().all(|l| l.total.amount() >= 0 && l.discount.amount() >= 0 && l.tax.amount() >= 0));
        prop_assert_eq!(sum(&|l| l.subtotal.amount()), t.subtotal.amount());
        let on_shipping: i64 = priced.adjustments.iter()
            .filter(|a| a.class == AdjustmentClass::Shipping).map(|a| a.amount.amount()).sum();
        prop_assert_eq!(sum(&|l| l.discount.amount()) + on_shipping, t.discount.amount());
        for a in &priced.adjustments {
            let shares: i64 = a.lines.iter().map(|(_, m)| m.amount()).sum();
            prop_assert!(a.amount.amount() > 0);
            prop_assert!(a.class == AdjustmentClass::Shipping || shares == a.amount.amount());
        }
        prop_assert_eq!(priced.taxes.iter().map(|x| x.amount.amount()).sum::<i64>(), t.tax.amount());
        prop_assert!(sum(&|l| l.tax.amount()) <= t.tax.amount());
    }
}
