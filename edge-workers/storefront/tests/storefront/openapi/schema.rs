//! The shapes of the JSON API for its OpenAPI document. Each is held against what the shop really answers and reads.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::BTreeMap;

use utoipa::{OpenApi, ToSchema};

use super::order::*;

/// An amount: an integer of minor units, |amount| ≤ 10^13, and an ISO 4217 code. Never a float.
#[derive(ToSchema)]
pub struct Money {
    /// Minor units.
    amount: i64,
    /// ISO 4217.
    currency: String,
}

/// total = subtotal − discount + shipping + (tax_included ? 0 : tax); all parts are ≥ 0.
#[derive(ToSchema)]
pub struct Totals {
    subtotal: Money,
    discount: Money,
    shipping: Money,
    tax: Money,
    total: Money,
    tax_included: bool,
}

/// How much there is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Band {
    InStock,
    Low,
    Out,
}

/// A picture under `/media/{hash}.{ext}`.
#[derive(ToSchema)]
pub struct Picture {
    hash: String,
    ext: String,
    alt: String,
}

#[derive(ToSchema)]
pub struct Category {
    slug: String,
    title: String,
    description: String,
    products: u32,
    picture: Option<Picture>,
}

#[derive(ToSchema)]
pub struct CategoryList {
    items: Vec<Category>,
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
pub struct ProductCard {
    slug: String,
    title: String,
    category: String,
    merchant_name: String,
    picture: Option<Picture>,
    /// Currency → minor units of the cheapest kind.
    prices_from: BTreeMap<String, i64>,
    variants: u32,
    /// The SKU to add when there is only one kind.
    #[schema(nullable = false)]
    only_sku: Option<String>,
    band: Band,
}

#[derive(ToSchema)]
pub struct ProductPage {
    items: Vec<ProductCard>,
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
pub struct Variant {
    sku: String,
    sku_no: u32,
    title: String,
    #[schema(nullable = false)]
    options: Option<BTreeMap<String, String>>,
    /// Currency → minor units.
    prices: BTreeMap<String, i64>,
    band: Band,
}

#[derive(ToSchema)]
pub struct Product {
    id: String,
    slug: String,
    title: String,
    description: String,
    category: String,
    merchant: String,
    merchant_name: String,
    /// Name and value, in display order.
    #[schema(nullable = false)]
    attributes: Option<Vec<Vec<String>>>,
    picture: Option<Picture>,
    variants: Vec<Variant>,
}

/// A cart line. `unit_price` is 0 when there is none in the cart's currency; `available` is false then.
#[derive(ToSchema)]
pub struct CartLine {
    sku: String,
    title: String,
    #[schema(nullable = false)]
    product: Option<String>,
    #[schema(nullable = false)]
    picture: Option<Picture>,
    quantity: u32,
    unit_price: Money,
    total: Money,
    available: bool,
    band: Band,
}

/// Who gave a discount.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Source {
    Rule(String),
    Plugin { promotion: String, hash: String },
}

#[derive(ToSchema)]
pub struct CartDiscount {
    source: Source,
    label: String,
    amount: Money,
}

/// The cart, with totals estimated at this edge.
#[derive(ToSchema)]
pub struct Cart {
    id: String,
    currency: String,
    lines: Vec<CartLine>,
    codes: Vec<String>,
    discounts: Vec<CartDiscount>,
    totals: Totals,
    /// Always true: the quote is what counts.
    estimated: bool,
    /// Whether the core has seen it in the last seconds.
    synced: bool,
}

#[derive(ToSchema)]
pub struct CartLineIn {
    sku: String,
    #[schema(minimum = 1, maximum = 999)]
    quantity: u32,
}

#[derive(ToSchema)]
pub struct CartLinePatch {
    #[schema(minimum = 0, maximum = 999)]
    quantity: u32,
}

#[derive(ToSchema)]
pub struct CartPatch {
    /// EUR, USD or JPY.
    currency: String,
}

#[derive(ToSchema)]
pub struct CodeIn {
    code: String,
}

#[derive(ToSchema)]
pub struct Address {
    name: String,
    line1: String,
    line2: Option<String>,
    city: String,
    region: Option<String>,
    postal_code: String,
    /// ISO 3166-1 alpha-2.
    country: String,
}

#[derive(ToSchema)]
pub struct Contact {
    email: String,
    name: String,
}

#[derive(ToSchema)]
pub struct QuoteIn {
    /// Without one the answer is an estimate.
    shipping_address: Option<Address>,
    shipping_method: Option<String>,
    currency: Option<String>,
}

#[derive(ToSchema)]
pub struct QuoteLine {
    sku_no: u32,
    sku: String,
    title: String,
    merchant: String,
    quantity: u32,
    unit_price: Money,
    subtotal: Money,
    discount: Money,
    tax_rate_bp: u32,
    tax: Money,
    total: Money,
}

/// What a discount lowers.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum DiscountClass {
    Line,
    Order,
    Shipping,
}

#[derive(ToSchema)]
pub struct Discount {
    source: Source,
    class: DiscountClass,
    label: String,
    #[schema(nullable = false)]
    funded_by: Option<String>,
    amount: Money,
    /// Index of the line and its share.
    #[schema(nullable = false, value_type = Option<Vec<Vec<Object>>>)]
    lines: Option<Vec<Vec<serde_json::Value>>>,
}

#[derive(ToSchema)]
pub struct Tax {
    /// Basis points.
    rate_bp: u32,
    base: Money,
    amount: Money,
}

#[derive(ToSchema)]
pub struct Shipping {
    method: String,
    amount: Money,
}

/// A plugin that took part: its promotion, the hash of its component, and how its run ended.
#[derive(ToSchema)]
pub struct PluginRun {
    promotion: String,
    hash: String,
    config_hash: String,
    fuel: u64,
    outcome: String,
}

#[derive(ToSchema)]
pub struct Quote {
    /// What checkout takes; null for an estimate.
    token: Option<String>,
    expires_at: String,
    currency: String,
    lines: Vec<QuoteLine>,
    discounts: Vec<Discount>,
    plugins: Vec<PluginRun>,
    taxes: Vec<Tax>,
    shipping: Shipping,
    totals: Totals,
    /// Code and reason.
    codes_refused: Vec<Vec<String>>,
}

#[derive(ToSchema)]
pub struct PaymentChoice {
    provider: String,
    method: String,
}

#[derive(ToSchema)]
pub struct CheckoutIn {
    /// The quote's token.
    quote: String,
    contact: Contact,
    shipping_address: Address,
    billing_address: Option<Address>,
    payment: PaymentChoice,
}

#[derive(ToSchema)]
pub struct SignInIn {
    email: String,
    password: String,
}

#[derive(ToSchema)]
pub struct RegisterIn {
    email: String,
    /// At least 10 characters.
    password: String,
    name: String,
}

#[derive(ToSchema)]
pub struct DeletionIn {
    /// The account's.
    password: String,
}

#[derive(ToSchema)]
pub struct AccountPatch {
    name: Option<String>,
    address: Option<Address>,
}

#[derive(ToSchema)]
pub struct Account {
    id: String,
    email: String,
    name: String,
    /// `"admin"`, or `{"merchant": id}`.
    #[schema(value_type = Vec<Object>)]
    roles: Vec<serde_json::Value>,
    #[schema(nullable = false)]
    address: Option<Address>,
}

#[derive(ToSchema)]
pub struct Session {
    account: Account,
    expires_at: String,
    refresh_expires_at: String,
}

#[derive(ToSchema)]
pub struct WrongField {
    /// JSON pointer (RFC 6901).
    pointer: String,
    code: String,
    detail: String,
}

/// A refusal (RFC 9457). `code` is stable and listed in docs/ERRORS.md.
#[derive(ToSchema)]
pub struct Problem {
    r#type: String,
    title: String,
    status: u16,
    code: String,
    detail: String,
    #[schema(nullable = false)]
    fields: Option<Vec<WrongField>>,
    #[schema(nullable = false)]
    about: Option<String>,
    #[schema(nullable = false)]
    r#final: Option<bool>,
    request_id: String,
}

#[derive(OpenApi)]
#[openapi(components(schemas(
    Money,
    Totals,
    Band,
    Picture,
    Category,
    CategoryList,
    ProductCard,
    ProductPage,
    Variant,
    Product,
    CartLine,
    Source,
    CartDiscount,
    Cart,
    CartLineIn,
    CartLinePatch,
    CartPatch,
    CodeIn,
    Address,
    Contact,
    QuoteIn,
    QuoteLine,
    DiscountClass,
    Discount,
    Tax,
    Shipping,
    PluginRun,
    Quote,
    PaymentChoice,
    CheckoutIn,
    OrderStatus,
    Fulfilment,
    Returns,
    PaymentStatus,
    PaymentAmounts,
    NextAction,
    Payment,
    OrderPart,
    Units,
    OrderLine,
    ShipmentState,
    Shipment,
    ReturnState,
    ReturnRequest,
    Order,
    OrderPage,
    PayIn,
    CancelIn,
    PiecesIn,
    ReturnIn,
    Return,
    SignInIn,
    RegisterIn,
    DeletionIn,
    AccountPatch,
    Account,
    Session,
    WrongField,
    Problem
)))]
pub struct Schemas;
