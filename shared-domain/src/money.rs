//! Money: an integer of minor units and an ISO 4217 currency. Never a float.

use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};

use crate::limits::MONEY_AMOUNT_MAX;

/// What can be wrong with an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Two currencies met; a currency selects a price list, it is never converted.
    #[error("two currencies cannot be added")]
    CurrencyMismatch,
    /// Beyond ±10^13 minor units.
    #[error("the amount is out of range")]
    OutOfRange,
    /// Not a currency of ISO 4217 that this shop knows.
    #[error("unknown currency")]
    UnknownCurrency,
}

/// A currency of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Active codes with the exponent that ISO 4217 gives, where it is not two.
const EXPONENTS: &[(&[u8; 3], u8)] = &[
    (b"BHD", 3),
    (b"BIF", 0),
    (b"CLP", 0),
    (b"DJF", 0),
    (b"GNF", 0),
    (b"IQD", 3),
    (b"ISK", 0),
    (b"JOD", 3),
    (b"JPY", 0),
    (b"KMF", 0),
    (b"KRW", 0),
    (b"KWD", 3),
    (b"LYD", 3),
    (b"OMR", 3),
    (b"PYG", 0),
    (b"RWF", 0),
    (b"TND", 3),
    (b"UGX", 0),
    (b"UYI", 0),
    (b"VND", 0),
    (b"VUV", 0),
    (b"XAF", 0),
    (b"XOF", 0),
    (b"XPF", 0),
];

/// Active codes with two decimals, sorted.
const TWO_DECIMALS: [[u8; 3]; 129] = codes(
    b"AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF \
    CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR \
    ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR \
    MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP \
    STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW",
);

/// Codes of three letters each, with a blank between them. Anything else does not compile.
const fn codes<const N: usize>(text: &[u8]) -> [[u8; 3]; N] {
    assert!(text.len() == 4 * N - 1);
    let mut codes = [[0; 3]; N];
    let mut n = 0;
    while n < N {
        codes[n] = [text[4 * n], text[4 * n + 1], text[4 * n + 2]];
        n += 1;
    }
    codes
}

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");
    /// The US dollar.
    pub const USD: Self = Self(*b"USD");
    /// The Japanese yen, which has no minor unit.
    pub const JPY: Self = Self(*b"JPY");

    /// The three letters.
    #[must_use]
    pub fn code(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// Decimal digits of the minor unit by ISO 4217.
    #[must_use]
    pub fn exponent(self) -> u8 {
        other_exponent(&self.0).unwrap_or(2)
    }
}

/// The exponent of a code that has another one than two.
fn other_exponent(code: &[u8; 3]) -> Option<u8> {
    let place = EXPONENTS.binary_search_by(|(known, _)| (*known).cmp(code)).ok()?;
    EXPONENTS.get(place).map(|(_, exponent)| *exponent)
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| MoneyError::UnknownCurrency)?;
        // Read many times an order: every amount names its currency.
        let known = TWO_DECIMALS.binary_search(&code).is_ok() || other_exponent(&code).is_some();
        if known { Ok(Self(code)) } else { Err(MoneyError::UnknownCurrency) }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// An amount in minor units of a currency, `|amount| ≤ 10^13`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Money {
    amount: i64,
    currency: Currency,
}

impl Money {
    /// # Errors
    /// [`MoneyError::OutOfRange`] beyond ±10^13 minor units.
    pub fn new(amount: i64, currency: Currency) -> Result<Self, MoneyError> {
        if amount.unsigned_abs() > MONEY_AMOUNT_MAX.unsigned_abs() {
            return Err(MoneyError::OutOfRange);
        }
        Ok(Self { amount, currency })
    }

    /// Nothing of a currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self { amount: 0, currency }
    }

    /// Minor units.
    #[must_use]
    pub const fn amount(self) -> i64 {
        self.amount
    }

    /// Its currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// # Errors
    /// Another currency, or out of range.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        Self::new(self.amount.checked_add(other.amount).ok_or(MoneyError::OutOfRange)?, self.currency)
    }

    /// # Errors
    /// Another currency, or out of range.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        Self::new(self.amount.checked_sub(other.amount).ok_or(MoneyError::OutOfRange)?, self.currency)
    }

    /// # Errors
    /// Out of range.
    pub fn times(self, quantity: u32) -> Result<Self, MoneyError> {
        Self::new(self.amount.checked_mul(i64::from(quantity)).ok_or(MoneyError::OutOfRange)?, self.currency)
    }

    /// The part that a rate in basis points makes, half up (away from zero at the half).
    ///
    /// # Errors
    /// Out of range.
    pub fn basis_points(self, rate_bp: u32) -> Result<Self, MoneyError> {
        let product = i128::from(self.amount) * i128::from(rate_bp);
        let rounded = (product.abs() + 5_000) / 10_000 * product.signum();
        Self::new(i64::try_from(rounded).map_err(|_| MoneyError::OutOfRange)?, self.currency)
    }

    /// Splits by weights with the largest remainder; ties go to the earlier one. The parts add up exactly.
    /// Without any weight everything goes to the first part.
    #[must_use]
    pub fn split(self, weights: &[i64]) -> Vec<Self> {
        if weights.is_empty() {
            return Vec::new();
        }
        let total: i128 = weights.iter().map(|w| i128::from((*w).max(0))).sum();
        let sign = i128::from(self.amount.signum());
        let amount = i128::from(self.amount).abs();
        let mut parts: Vec<(i128, i128)> = if total == 0 {
            weights.iter().enumerate().map(|(i, _)| (if i == 0 { amount } else { 0 }, 0)).collect()
        } else {
            weights.iter().map(|w| amount * i128::from((*w).max(0))).map(|p| (p / total, p % total)).collect()
        };
        let left = amount - parts.iter().map(|(p, _)| p).sum::<i128>();
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|i| (-parts[*i].1, *i));
        for index in order.into_iter().take(usize::try_from(left).unwrap_or(0)) {
            parts[index].0 += 1;
        }
        let of = |part: i128| Self { amount: i64::try_from(part * sign).unwrap_or(0), currency: self.currency };
        parts.into_iter().map(|(part, _)| of(part)).collect()
    }

    /// The sum of many amounts of one currency.
    ///
    /// # Errors
    /// Another currency among them, or out of range.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::checked_add)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Plain {
            amount: i64,
            currency: Currency,
        }
        let plain = Plain::deserialize(d)?;
        Self::new(plain.amount, plain.currency).map_err(de::Error::custom)
    }
}

impl fmt::Display for Money {
    /// `19.99 EUR`, with the digits that ISO 4217 gives.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.amount < 0 { "-" } else { "" };
        let digits = usize::from(self.currency.exponent());
        let scale = 10_u64.pow(u32::from(self.currency.exponent()));
        let (whole, part) = (self.amount.unsigned_abs() / scale, self.amount.unsigned_abs() % scale);
        if digits == 0 {
            write!(f, "{sign}{whole} {}", self.currency)
        } else {
            write!(f, "{sign}{whole}.{part:0digits$} {}", self.currency)
        }
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn eur(amount: i64) -> Money {
        Money::new(amount, Currency::EUR).unwrap()
    }

    #[test]
    fn every_code_is_found_and_has_its_exponent() {
        assert!(TWO_DECIMALS.is_sorted() && EXPONENTS.is_sorted(), "they are searched as such");
        let all =
            TWO_DECIMALS.iter().map(|code| (code, 2)).chain(EXPONENTS.iter().map(|(code, digits)| (*code, *digits)));
        for (code, digits) in all {
            let currency: Currency = core::str::from_utf8(code).unwrap().parse().unwrap();
            assert_eq!(currency.exponent(), digits, "{currency}");
        }
        for unknown in ["", "EU", "eur", "EURO", "AAA", "ZZZ", "€"] {
            assert_eq!(unknown.parse::<Currency>(), Err(MoneyError::UnknownCurrency), "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn parts_of_a_split_add_up_and_are_fair(
            amount in -1_000_000_i64..1_000_000, weights in proptest::collection::vec(0_i64..10_000, 1..40),
        ) {
            let parts = eur(amount).split(&weights);
            prop_assert_eq!(parts.len(), weights.len());
            prop_assert_eq!(parts.iter().map(|p| p.amount()).sum::<i64>(), amount);
            let total: i64 = weights.iter().sum();
            if total > 0 {
                for (part, weight) in parts.iter().zip(&weights) {
                    let off = i128::from(part.amount()) * i128::from(total) - i128::from(amount) * i128::from(*weight);
                    prop_assert!(off.abs() < i128::from(total), "a part is off by a whole unit");
                }
            }
        }

        #[test]
        fn addition_never_mixes_or_overflows(a: i64, b: i64) {
            if let (Ok(a), Ok(b)) = (Money::new(a, Currency::EUR), Money::new(b, Currency::EUR)) {
                match a.checked_add(b) {
                    Ok(sum) => prop_assert_eq!(sum.checked_sub(b).unwrap(), a),
                    Err(error) => prop_assert_eq!(error, MoneyError::OutOfRange),
                }
            }
        }

        #[test]
        fn json_round_trips(amount in -MONEY_AMOUNT_MAX..=MONEY_AMOUNT_MAX) {
            let money = eur(amount);
            let json = serde_json::to_string(&money).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
        }
    }

    #[test]
    fn yen_have_no_decimals_and_dinars_three() {
        assert_eq!(Money::new(1234, Currency::JPY).unwrap().to_string(), "1234 JPY");
        assert_eq!(Money::new(1234, "KWD".parse().unwrap()).unwrap().to_string(), "1.234 KWD");
        assert_eq!(eur(-5).to_string(), "-0.05 EUR");
    }

    #[test]
    fn two_currencies_are_never_added() {
        let yen = Money::new(1, Currency::JPY).unwrap();
        assert_eq!(eur(1).checked_add(yen), Err(MoneyError::CurrencyMismatch));
    }

    #[test]
    fn halves_round_up() {
        assert_eq!(eur(250).basis_points(1_900).unwrap(), eur(48), "47.5 becomes 48");
        assert_eq!(eur(-250).basis_points(1_900).unwrap(), eur(-48));
        assert_eq!(eur(1).basis_points(4_999).unwrap(), eur(0));
    }

    #[test]
    fn amounts_outside_the_range_and_floats_are_refused() {
        assert!(serde_json::from_str::<Money>(r#"{"amount":10000000000001,"currency":"EUR"}"#).is_err());
        assert!(serde_json::from_str::<Money>(r#"{"amount":1.5,"currency":"EUR"}"#).is_err());
        assert!(serde_json::from_str::<Money>(r#"{"amount":1,"currency":"XXX"}"#).is_err());
    }
}
