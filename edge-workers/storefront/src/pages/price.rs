//! Money and stock in words.

use bodega_domain::{Currency, Money, catalog::Band};
use maud::{Markup, html};

/// As English readers write it: `€3.49`, `$1,299.00`, `¥470`, `CHF 12.00`.
pub(crate) fn text(money: Money) -> String {
    let currency = money.currency();
    let digits = usize::from(currency.exponent());
    let scale = 10_u64.checked_pow(u32::from(currency.exponent())).unwrap_or(1);
    let amount = money.amount().unsigned_abs();
    let whole = grouped(amount / scale);
    let sign = if money.amount() < 0 { "−" } else { "" };
    let number = if digits == 0 { whole } else { format!("{whole}.{:0digits$}", amount % scale) };
    match currency {
        Currency::EUR => format!("{sign}€{number}"),
        Currency::USD => format!("{sign}${number}"),
        Currency::JPY => format!("{sign}¥{number}"),
        other => format!("{sign}{other}\u{a0}{number}"),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len().saturating_add(digits.len() / 3));
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The sign on a currency's button.
pub(crate) fn sign(currency: Currency) -> &'static str {
    match currency {
        Currency::EUR => "€",
        Currency::USD => "$",
        Currency::JPY => "¥",
        _ => "¤",
    }
}

/// An amount in a running text or a table.
pub(crate) fn money(money: Money) -> Markup {
    html! { span.money { (text(money)) } }
}

/// The shelf label with a price.
pub(crate) fn tag(price: Option<Money>, from: bool) -> Markup {
    html! {
        @match price {
            Some(price) => span.tag { @if from { small { "from " } } (text(price)) },
            None => span.tag.none { "no price in this currency" },
        }
    }
}

/// How much there is.
pub(crate) fn band(band: Band) -> Markup {
    html! {
        @match band {
            Band::InStock => span.band.in { "In stock" },
            Band::Low => span.band.low { "Only a few left" },
            Band::Out => span.band.out { "Sold out" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_with_the_currency_s_own_decimals() {
        let of = |amount, currency: &str| text(Money::new(amount, currency.parse().unwrap()).unwrap());
        assert_eq!(of(349, "EUR"), "€3.49");
        assert_eq!(of(129_905, "USD"), "$1,299.05");
        assert_eq!(of(470, "JPY"), "¥470");
        assert_eq!(of(1_234_567, "JPY"), "¥1,234,567");
        assert_eq!(of(-5, "EUR"), "−€0.05");
        assert_eq!(of(1_234, "KWD"), "KWD\u{a0}1.234");
    }
}
