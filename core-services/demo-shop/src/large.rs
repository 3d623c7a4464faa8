//! A large catalogue in the shop's likeness: each product is one of the shop's, from another maker, at another price.

use crate::shop::{Product, Shop, Variant};

/// Products that a generated catalogue may have: what slugs have digits for.
pub const PRODUCTS_MAX: u64 = 99_999_999;

/// Who makes it, first word.
const PLACES: &[&str] = &[
    "Alder Lane",
    "Ash Hill",
    "Beech Row",
    "Birch Ferry",
    "Bramble Yard",
    "Bridge End",
    "Chapel Green",
    "Clay Pit",
    "Copper Gate",
    "Crow's Nest",
    "Dove Court",
    "Dyer's Wharf",
    "Elm Corner",
    "Fern Hollow",
    "Ferry Lane",
    "Fox Field",
    "Garnet Street",
    "Gooseberry Hill",
    "Harbour Walk",
    "Hawthorn",
    "Hazel Bank",
    "Heron Quay",
    "Holly Mews",
    "Ivy House",
    "Juniper Bend",
    "Kestrel Heights",
    "Lark Rise",
    "Lime Tree",
    "Long Meadow",
    "Maple Rise",
    "Market Cross",
    "Mill Pond",
    "Moss Side",
    "North Gate",
    "Oak Apple",
    "Old Orchard",
    "Otter Creek",
    "Pear Tree",
    "Plum Alley",
    "Poplar Row",
    "Quarry Road",
    "Rook Wood",
    "Rowan Tree",
    "Salt Marsh",
    "Sheep Street",
    "Sorrel Hill",
    "Stone Bridge",
    "Swan Lock",
    "Thistle Down",
    "Tinker's Yard",
    "Upper Mill",
    "Vine Court",
    "Walnut Grove",
    "Weaver's Row",
    "West Pier",
    "Willow Bank",
    "Wren Cottage",
    "Yarrow Field",
];

/// Who makes it, second word.
const HOUSES: &[&str] = &[
    "& Daughters",
    "& Sons",
    "Brothers",
    "Collective",
    "Company",
    "Cooperative",
    "Family",
    "House",
    "Sisters",
    "Works",
];

/// The opening sentence; `{place}` is the maker's place, `{title}` the product's.
const OPENINGS: &[&str] = &[
    "A small house at {place} makes this in weekly batches and tells us when the next one is ready.",
    "From {place}, where three people do what a factory does elsewhere.",
    "Our regulars asked for {title} from another maker, and {place} won the tasting.",
    "We met the people of {place} at a Sunday market and have ordered from them ever since.",
    "{place} has made this for two generations without changing much.",
    "New on the shelf: {title} as they like it at {place}.",
];

/// The closing sentence.
const CLOSINGS: &[&str] = &[
    "Delivered to us on Tuesdays and Fridays.",
    "Good to have in the house when somebody rings.",
    "If it is not what you hoped for, bring it back and tell us why.",
    "The label is printed by hand, so yours may be a little crooked.",
    "We keep a few aside for regulars; just ask.",
    "Wrapped in paper, like everything that can be.",
];

/// Per-mille bounds of a price beside its model's.
const PRICE_PER_MILLE: (u64, u64) = (650, 1_650);

/// Pieces at one location, at most.
const STOCK_MAX: u64 = 500;

impl Shop {
    /// `count` synthetic products, at most [`PRODUCTS_MAX`]. The n-th depends on the seed and n alone, so that a
    /// longer catalogue begins with the shorter one and an interrupted seeding can go on.
    pub fn large(&self, count: u64, seed: u64) -> impl Iterator<Item = Product> + '_ {
        (0..count.min(PRODUCTS_MAX)).filter_map(move |number| self.synthetic(number, seed))
    }

    /// `None` only for a shop without products.
    fn synthetic(&self, number: u64, seed: u64) -> Option<Product> {
        let mut dice = Dice::new(seed, number);
        let model = dice.pick(&self.products)?;
        let place = *dice.pick(PLACES)?;
        let house = *dice.pick(HOUSES)?;
        let title = model.title.to_lowercase();
        let opening = dice.pick(OPENINGS)?.replace("{place}", place).replace("{title}", &title);
        let closing = *dice.pick(CLOSINGS)?;
        let per_mille = i64::try_from(dice.between(PRICE_PER_MILLE.0, PRICE_PER_MILLE.1)).ok()?;
        let variants = model
            .variants
            .iter()
            .zip(1_u32..)
            .map(|(variant, position)| Variant {
                sku: format!("L{number:08}-{position}"),
                options: variant.options.clone(),
                prices: variant
                    .prices
                    .iter()
                    .map(|(currency, amount)| (currency.clone(), (amount * per_mille / 1_000).max(1)))
                    .collect(),
                stock: self
                    .locations
                    .iter()
                    .map(|l| (l.slug.clone(), u32::try_from(dice.between(0, STOCK_MAX)).unwrap_or_default()))
                    .collect(),
            })
            .collect();
        Some(Product {
            slug: format!("{}-{number:08}", model.slug),
            title: format!("{place} {house} {title}"),
            description: format!("{opening} {} {closing}", first_sentence(&model.description)),
            category: model.category.clone(),
            merchant: model.merchant.clone(),
            picture: model.picture.clone(),
            tax: model.tax,
            attributes: model.attributes.clone(),
            variants,
        })
    }
}

fn first_sentence(text: &str) -> &str {
    text.find(". ").map_or(text, |end| &text[..=end])
}

/// SplitMix64 (Steele, Lea, Flood 2014): written out here, because a catalogue must stay the same when a library's
/// generator changes.
struct Dice(u64);

impl Dice {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

    fn new(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed);
        let stream = dice.next();
        Self(stream ^ number.wrapping_mul(Self::GAMMA))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::GAMMA);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Both bounds included; the bias of the remainder is far below what a catalogue shows.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(items.len()).ok().filter(|count| *count > 0)?;
        items.get(usize::try_from(self.next() % count).ok()?)
    }
}
