//! What is cheaper today, as far as the edge knows: declarative rules that need no code.

use bodega_domain::promotion::Rule;
use maud::{Markup, html};

/// Offers on a page at most: more would be noise.
const OFFERS: usize = 4;

/// The offers of one shelf, or of the whole shop.
pub(crate) fn offers(rules: &[Rule], category: Option<&str>) -> Markup {
    let here = |rule: &&Rule| match category {
        Some(slug) => rule.categories.iter().any(|category| category == slug),
        None => true,
    };
    let open: Vec<&Rule> = rules.iter().filter(|rule| rule.code.is_none()).filter(here).take(OFFERS).collect();
    html! {
        @if !open.is_empty() {
            ul.offers aria-label="Offers" {
                @for rule in open {
                    li {
                        @match (category, rule.categories.as_slice()) {
                            (None, [only]) => a href={ "/c/" (only) } dir="auto" { (rule.label) },
                            _ => span dir="auto" { (rule.label) },
                        }
                    }
                }
            }
        }
    }
}
