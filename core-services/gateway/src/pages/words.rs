//! How codes, times and prices are written for people, and read from them.

use bodega_domain::{Currency, Timestamp};
use maud::{Markup, html};
use serde::Serialize;

/// `awaiting_payment` → `Awaiting payment`.
pub(crate) fn plain(code: &str) -> String {
    let text = code.replace('_', " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The code of a unit variant, as it is sent.
pub(crate) fn code<T: Serialize>(value: T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Something stored, as JSON to be unfolded.
pub(crate) fn json(summary: &Markup, value: &impl Serialize) -> Markup {
    html! {
        details {
            summary { (summary) }
            pre tabindex="0" { (serde_json::to_string_pretty(value).unwrap_or_default()) }
        }
    }
}

/// To the minute, in UTC.
pub(crate) fn time(at: Timestamp) -> Markup {
    let exact = at.to_string();
    let short = exact.get(..16).unwrap_or(&exact).replace('T', " ");
    html! { time datetime=(exact) title=(exact) { (short) } }
}

/// A coloured word for a state.
pub(crate) fn badge(code: &str) -> Markup {
    let mood = match code {
        "paid" | "in_fulfilment" | "delivered" | "completed" | "captured" | "following" | "running" | "active"
        | "passed" | "shipped" | "received" => "good",
        "awaiting_payment" | "pending" | "requires_action" | "processing" | "authorised" | "snapshot" | "short"
        | "preparing" | "requested" | "approved" | "receiving" | "low" => "warn",
        "unreachable" | "silent" | "disputed" | "unknown" | "refused" | "failed" | "parked" | "out" => "bad",
        _ => "calm",
    };
    html! { span class={ "badge " (mood) } { (plain(code)) } }
}

/// Minor units as an amount that [`price`] reads again.
pub(crate) fn amount(minor: i64, currency: Currency) -> String {
    let digits = usize::from(currency.exponent());
    let scale = 10_u64.pow(u32::from(currency.exponent()));
    let (sign, value) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
    if digits == 0 { format!("{sign}{value}") } else { format!("{sign}{}.{:0digits$}", value / scale, value % scale) }
}

/// `3.5` or `3,50` in a currency of two digits → 350. Nothing is rounded: too many digits are not a price.
pub(crate) fn price(text: &str, currency: Currency) -> Option<i64> {
    let digits = usize::from(currency.exponent());
    let text = text.trim().replace(',', ".");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > digits || !is_number(whole) || !is_number(part) {
        return None;
    }
    format!("{whole}{part:0<digits$}").parse().ok()
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1024 { format!("{bytes} B") } else { format!("{} KB", bytes.div_ceil(1024)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_without_rounding_and_written_so_that_they_can_be_read() {
        let (eur, jpy): (Currency, Currency) = (Currency::EUR, "JPY".parse().unwrap());
        for (text, minor) in [("3.5", 350), ("3,50", 350), ("3", 300), (" 0.05 ", 5), ("0012.00", 1200)] {
            assert_eq!(price(text, eur), Some(minor), "{text}");
            assert_eq!(price(&amount(minor, eur), eur), Some(minor));
        }
        assert_eq!(price("350", jpy), Some(350));
        assert_eq!(amount(350, jpy), "350");
        for text in ["", ".", ".5", "3.505", "-3", "+3", "1e3", "3.5.1", "1 000", "٣", "99999999999999999999"] {
            assert_eq!(price(text, eur), None, "{text}");
        }
        assert_eq!(price("3.5", jpy), None);
    }

    #[test]
    fn codes_become_words() {
        assert_eq!(plain("awaiting_payment"), "Awaiting payment");
        assert_eq!(plain(""), "");
        assert_eq!(code(bodega_domain::order::OrderStatus::InFulfilment), "in_fulfilment");
    }
}
