//! Markets: what tax is, whether prices contain it, and what shipping costs. The demo shop's table; a rate is data, so
//! a shop that sells elsewhere adds a row here until tax providers come.
//!
//! Rates: the EU Commission's table of VAT rates, Japan's National Tax Agency, and state sales taxes of the US (state
//! level only, without counties and cities), as of 2026.

use crate::{
    Currency, Money,
    address::{Country, Destination},
    catalog::TaxClass,
};

/// What a destination decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Market {
    /// Two letters of ISO 3166-1.
    pub country: &'static str,
    /// Whether prices contain the tax.
    pub tax_included: bool,
    /// Basis points of the standard rate; shipping is taxed with it.
    pub standard_bp: u32,
    /// Basis points of the reduced rate.
    pub reduced_bp: u32,
}

const MARKETS: &[Market] = &[
    Market { country: "AT", tax_included: true, standard_bp: 2_000, reduced_bp: 1_000 },
    Market { country: "BE", tax_included: true, standard_bp: 2_100, reduced_bp: 600 },
    Market { country: "DE", tax_included: true, standard_bp: 1_900, reduced_bp: 700 },
    Market { country: "ES", tax_included: true, standard_bp: 2_100, reduced_bp: 1_000 },
    Market { country: "FR", tax_included: true, standard_bp: 2_000, reduced_bp: 550 },
    Market { country: "IE", tax_included: true, standard_bp: 2_300, reduced_bp: 900 },
    Market { country: "IT", tax_included: true, standard_bp: 2_200, reduced_bp: 1_000 },
    Market { country: "JP", tax_included: true, standard_bp: 1_000, reduced_bp: 800 },
    Market { country: "NL", tax_included: true, standard_bp: 2_100, reduced_bp: 900 },
    Market { country: "PT", tax_included: true, standard_bp: 2_300, reduced_bp: 600 },
    // The US by state, below.
    Market { country: "US", tax_included: false, standard_bp: 0, reduced_bp: 0 },
];

/// State sales tax, basis points. Food is not taxed in these states.
const US_STATES: &[(&str, u32)] = &[
    ("CA", 725),
    ("FL", 600),
    ("IL", 625),
    ("MA", 625),
    ("NJ", 663),
    ("NY", 400),
    ("PA", 600),
    ("TX", 625),
    ("WA", 650),
];

/// Minor units of standard shipping by price list.
const SHIPPING: &[(&str, i64)] = &[("EUR", 490), ("USD", 590), ("JPY", 600)];

impl Market {
    /// The market of a destination; `None` where the shop does not deliver.
    #[must_use]
    pub fn of(destination: &Destination) -> Option<Self> {
        let mut market = Self::of_country(destination.country)?;
        if let (false, Some(region)) = (market.tax_included, &destination.region) {
            let rate = US_STATES.iter().find(|(state, _)| state.eq_ignore_ascii_case(region));
            market.standard_bp = rate.map_or(0, |(_, bp)| *bp);
        }
        Some(market)
    }

    fn of_country(country: Country) -> Option<Self> {
        MARKETS.iter().find(|market| market.country == country.code()).copied()
    }

    /// The market that an estimate assumes before an address is known, by price list.
    #[must_use]
    pub fn assumed(currency: Currency) -> Self {
        let country = match currency {
            Currency::JPY => "JP",
            Currency::USD => "US",
            _ => "DE",
        };
        let fallback = Self { country: "DE", tax_included: true, standard_bp: 1_900, reduced_bp: 700 };
        MARKETS.iter().find(|market| market.country == country).copied().unwrap_or(fallback)
    }

    /// Countries that the shop delivers to, two letters each.
    pub fn countries() -> impl Iterator<Item = &'static str> {
        MARKETS.iter().map(|market| market.country)
    }

    /// The rate of a tax class, basis points.
    #[must_use]
    pub const fn rate_bp(&self, class: TaxClass) -> u32 {
        match class {
            TaxClass::Standard => self.standard_bp,
            TaxClass::Reduced => self.reduced_bp,
            TaxClass::Zero => 0,
        }
    }
}

/// Price of a shipping method; `None` for an unknown method or a currency without a price list.
#[must_use]
pub fn shipping_price(method: &str, currency: Currency) -> Option<Money> {
    let (_, amount) = SHIPPING.iter().find(|(code, _)| *code == currency.code())?;
    if method == "standard" { Money::new(*amount, currency).ok() } else { None }
}

/// The shop's price lists.
#[must_use]
pub fn is_offered(currency: Currency) -> bool {
    SHIPPING.iter().any(|(code, _)| *code == currency.code())
}
