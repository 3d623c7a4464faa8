//! Which lines a merchant means.

use crate::Line;
use serde::Deserialize;

/// A choice of lines in a plugin's configuration: a line is chosen when one of its properties is listed. A selection
/// that lists nothing chooses every line.
///
/// ```json
/// {"categories": ["coffee"], "skus": ["mug-blue"]}
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Slugs of categories.
    pub categories: Vec<String>,
    /// Slugs of products.
    pub products: Vec<String>,
    /// SKU codes.
    pub skus: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
}

impl Selection {
    /// Whether the merchant means this line.
    #[must_use]
    pub fn chooses(&self, line: &Line) -> bool {
        let everything =
            self.categories.is_empty() && self.products.is_empty() && self.skus.is_empty() && self.tags.is_empty();
        everything
            || self.products.contains(&line.product)
            || self.skus.contains(&line.sku)
            || self.categories.iter().any(|category| line.categories.contains(category))
            || self.tags.iter().any(|tag| line.tags.contains(tag))
    }

    /// The lines that the merchant means, in the cart's order.
    pub fn of<'a>(&self, lines: &'a [Line]) -> impl Iterator<Item = &'a Line> {
        lines.iter().filter(|line| self.chooses(line))
    }
}
