//! The quote *is* the order's content: minted by pricing, carried by the shopper, turned into an order unchanged.

use serde::{Deserialize, Serialize};

use crate::{
    address::Destination,
    catalog::SkuNo,
    failure::{Code, Failure},
    id::{MerchantId, OrderId},
    limits::QUOTE_TOKEN_BYTES_MAX,
    money::{Currency, Money, MoneyError},
    principal::Owner,
    time::Timestamp,
    token::{KeyRing, TokenError, mint_compressed, verify_compressed},
};

/// `total = subtotal − discount + shipping + (tax_included ? 0 : tax)`, all parts ≥ 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Sum of quantity × unit price.
    pub subtotal: Money,
    /// Sum of all discounts, on lines and on shipping.
    pub discount: Money,
    /// Shipping before discounts.
    pub shipping: Money,
    /// Tax, inside the prices or on top of them.
    pub tax: Money,
    /// What is paid.
    pub total: Money,
    /// Whether prices contain the tax.
    pub tax_included: bool,
}

impl Totals {
    /// Adds the parts up.
    ///
    /// # Errors
    /// Mixed currencies, out of range, or a negative part or total.
    pub fn new(
        subtotal: Money,
        discount: Money,
        shipping: Money,
        tax: Money,
        tax_included: bool,
    ) -> Result<Self, MoneyError> {
        let mut total = subtotal.checked_sub(discount)?.checked_add(shipping)?;
        if !tax_included {
            total = total.checked_add(tax)?;
        }
        let parts = [subtotal, discount, shipping, tax, total];
        if parts.iter().any(|part| part.amount() < 0 || part.currency() != total.currency()) {
            return Err(MoneyError::OutOfRange);
        }
        Ok(Self { subtotal, discount, shipping, tax, total, tax_included })
    }

    /// Nothing bought.
    #[must_use]
    pub fn zero(currency: Currency, tax_included: bool) -> Self {
        let zero = Money::zero(currency);
        Self { subtotal: zero, discount: zero, shipping: zero, tax: zero, total: zero, tax_included }
    }
}

/// A line of a quote and then of its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteLine {
    /// What carts and stock count by.
    pub sku_no: SkuNo,
    /// The code that people use.
    pub sku: String,
    /// Product and variant title as shown.
    pub title: String,
    /// Who sells it.
    pub merchant: MerchantId,
    /// How many, ≥ 1.
    pub quantity: u32,
    /// Price of one.
    pub unit_price: Money,
    /// Quantity × unit price.
    pub subtotal: Money,
    /// Its share of all discounts, ≥ 0.
    pub discount: Money,
    /// Tax rate in basis points (1900 = 19 %).
    pub tax_rate_bp: u32,
    /// Its share of the tax.
    pub tax: Money,
    /// Subtotal − discount (+ tax when prices do not contain it).
    pub total: Money,
}

/// Where an adjustment came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A declarative rule, by its id.
    Rule(String),
    /// A plugin, by its promotion and the hash of its component.
    Plugin {
        /// The promotion that activated it.
        promotion: String,
        /// SHA-256 of the component, hexadecimal.
        hash: String,
    },
}

/// What an adjustment lowers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjustmentClass {
    /// Named lines.
    Line,
    /// All lines, by their value.
    Order,
    /// Shipping.
    Shipping,
}

/// One discount as it was granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// Who gave it.
    pub source: Source,
    /// What it lowers.
    pub class: AdjustmentClass,
    /// What the shopper reads.
    pub label: String,
    /// Who funds it; `None` is the marketplace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funded_by: Option<MerchantId>,
    /// How much, > 0.
    pub amount: Money,
    /// Its shares: index into the lines, amount. Empty for shipping.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<(usize, Money)>,
}

/// How a plugin's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginOutcome {
    /// It answered, perhaps with no discount.
    Ok,
    /// It declined.
    Refused,
    /// It broke.
    Trapped,
    /// It ran out of fuel.
    OutOfFuel,
    /// It wanted more memory than it may have.
    OutOfMemory,
    /// Its answer was too large.
    OutputTooLarge,
    /// Its answer made no sense.
    InvalidOutput,
    /// The plugin host was away.
    Unavailable,
}

/// A plugin that took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRun {
    /// The promotion that activated it.
    pub promotion: String,
    /// SHA-256 of the component, hexadecimal.
    pub hash: String,
    /// SHA-256 of its configuration, hexadecimal.
    pub config_hash: String,
    /// Fuel it used.
    pub fuel: u64,
    /// How it ended.
    pub outcome: PluginOutcome,
}

/// Tax at one rate over the whole order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxLine {
    /// Basis points.
    pub rate_bp: u32,
    /// What was taxed.
    pub base: Money,
    /// How much tax.
    pub amount: Money,
}

/// Shipping as chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipping {
    /// For instance `standard`.
    pub method: String,
    /// Before discounts.
    pub amount: Money,
}

/// Use of a promotion's budget that the order holds until it is paid or given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetUse {
    /// The promotion.
    pub promotion: String,
    /// The code it was used with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How much of the budget, in the order's currency.
    pub amount: Money,
    /// How many uses there are in all; `None` is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_max: Option<u32>,
    /// How many uses a buyer has; `None` is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_per_buyer_max: Option<u32>,
}

/// Everything an order will be, before it is one. No name, no street.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteContent {
    /// The order it becomes: at most one, by primary key.
    pub order_id: OrderId,
    /// Whose it is.
    pub owner: Owner,
    /// Largest cart tick that the quote saw: ordered lines are set to zero just after it.
    pub cart_tick: u64,
    /// Currency of all amounts.
    pub currency: Currency,
    /// The market, by country.
    pub market: String,
    /// What decided tax and shipping.
    pub destination: Destination,
    /// Shipping.
    pub shipping: Shipping,
    /// At least one.
    pub lines: Vec<QuoteLine>,
    /// Every discount.
    pub adjustments: Vec<Adjustment>,
    /// Every plugin that took part, also without effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<PluginRun>,
    /// Codes that counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// Budgets it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetUse>,
    /// Version of the price data.
    pub price_version: i64,
    /// Tax by rate.
    pub taxes: Vec<TaxLine>,
    /// What is paid.
    pub totals: Totals,
    /// When it was minted.
    pub issued: Timestamp,
    /// Until when it can be ordered.
    pub expires: Timestamp,
}

/// A quote whose signature held and that is the asker's own. Only [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedQuote(QuoteContent);

impl VerifiedQuote {
    /// What it says.
    #[must_use]
    pub const fn content(&self) -> &QuoteContent {
        &self.0
    }

    /// What it says, taken out.
    #[must_use]
    pub fn into_content(self) -> QuoteContent {
        self.0
    }
}

/// Mints the token of a quote. `None` when the ring is empty or the quote is too large.
#[must_use]
pub fn mint(ring: &KeyRing, content: &QuoteContent) -> Option<String> {
    mint_compressed(ring, "q1", content).filter(|token| token.len() <= QUOTE_TOKEN_BYTES_MAX)
}

/// Verifies signature and owner. Expiry is judged apart, because a used quote is answered before an expired one.
///
/// # Errors
/// `quote_invalid` for anything that is not exactly a quote of ours for this owner.
pub fn verify(ring: &KeyRing, token: &str, owner: Owner) -> Result<VerifiedQuote, Failure> {
    let invalid = || Failure::new(Code::QuoteInvalid, "This quote is not valid here. Ask for a new one.");
    if token.len() > QUOTE_TOKEN_BYTES_MAX {
        return Err(invalid());
    }
    let content: QuoteContent = verify_compressed(ring, "q1", token).map_err(|_: TokenError| invalid())?;
    if content.owner == owner { Ok(VerifiedQuote(content)) } else { Err(invalid()) }
}
