//! What articles are called, by the numbers that stock knows them by.

use std::collections::{BTreeSet, HashMap};

use bodega_domain::{Currency, catalog::SkuNo, limits::CART_LINES_MAX, message::catalog::PriceLines};
use maud::{Markup, html};

use super::visit::Visit;

/// Titles and SKUs by number.
pub(crate) struct Names(HashMap<SkuNo, (String, String)>);

impl Names {
    /// Asks the catalogue for all of them. What it does not tell has none: the numbers are right without.
    pub(crate) async fn of(visit: &Visit, numbers: impl Iterator<Item = SkuNo>) -> Self {
        let numbers: Vec<SkuNo> = numbers.collect::<BTreeSet<_>>().into_iter().collect();
        let mut names = HashMap::new();
        for sku_nos in numbers.chunks(CART_LINES_MAX) {
            let ask = PriceLines { sku_nos: sku_nos.to_vec(), currency: Currency::EUR };
            if let Ok(known) = visit.ask_as_service(ask).await {
                names.extend(known.skus.into_iter().map(|sku| (sku.sku_no, (sku.title, sku.sku))));
            }
        }
        Self(names)
    }

    /// The SKU, if it is known.
    pub(crate) fn sku(&self, number: SkuNo) -> Option<&str> {
        self.0.get(&number).map(|(_, sku)| sku.as_str())
    }

    /// What it is called in a sentence.
    pub(crate) fn title(&self, number: SkuNo) -> &str {
        self.0.get(&number).map_or("this article", |(title, _)| title)
    }

    /// A table's cell.
    pub(crate) fn cell(&self, number: SkuNo) -> Markup {
        html! {
            @if let Some((title, sku)) = self.0.get(&number) { (title) br; code { (sku) } } @else { "SKU number " (number) }
        }
    }
}
