//! A cart while a request has it in hand.

use bodega_domain::{
    Code, Currency, Failure,
    cart::{Cart, CartError, Tick},
    catalog::SkuNo,
    limits::{CART_LINES_MAX, LINE_QUANTITY_MAX},
    order::OrderView,
    token::{base64url, sha256},
};

use super::{
    adopt,
    cookie::{self, COOKIE, Contents, HEADER, Kind, Secret},
    replica::{Marks, Replica},
    sync,
};
use crate::{
    keys,
    platform::{CellKind, Platform},
    session::{Shopper, speaks_headers},
    visit::Visit,
};

/// Seconds for which a browser keeps the cart: as long as a guest's session.
const COOKIE_MAX_AGE_S: i64 = 90 * 24 * 60 * 60;
/// The price list of a shopper who has chosen none.
pub(crate) const DEFAULT_CURRENCY: Currency = Currency::EUR;
/// The price lists of this shop.
pub(crate) const CURRENCIES: [Currency; 3] = [Currency::EUR, Currency::USD, Currency::JPY];

/// A cart, whose it is, and whether the core has seen it lately.
#[derive(Clone, Debug)]
pub(crate) struct Basket {
    pub(crate) secret: Secret,
    pub(crate) kind: Kind,
    pub(crate) cart: Cart,
    pub(crate) quoted: Marks,
    pub(crate) keys: Marks,
    /// Whether this edge has been in touch with the core about it in the last seconds.
    pub(crate) synced: bool,
}

impl Basket {
    /// Names the cart's cell here and its row in the core, without giving the secret away.
    pub(crate) fn cell_key(secret: &Secret) -> String {
        base64url(&sha256(secret))
    }

    /// The id that clients see. Not the secret, and not the name of the cell either.
    pub(crate) fn public_id(&self) -> String {
        let digest = sha256(&[b"cart-id".as_slice(), &self.secret].concat());
        base64url(digest.get(..12).unwrap_or(&digest))
    }

    /// The price list.
    pub(crate) fn currency(&self) -> Currency {
        self.cart.currency().unwrap_or(DEFAULT_CURRENCY)
    }

    /// Units of everything, for the number beside the basket.
    pub(crate) fn units(&self) -> u32 {
        self.cart.lines().fold(0, |sum, (_, quantity)| sum.saturating_add(quantity))
    }

    fn contents(&self) -> Contents {
        Contents {
            secret: self.secret,
            kind: self.kind,
            quoted: self.quoted.clone(),
            keys: self.keys.clone(),
            cart: self.cart.clone(),
        }
    }

    /// What this replica brings to a cell.
    pub(crate) fn delta(&self) -> Replica {
        Replica { cart: self.cart.clone(), quoted: self.quoted.clone(), keys: self.keys.clone(), ..Replica::default() }
    }

    /// Takes over what a cell holds.
    fn take(&mut self, cell: &Replica) {
        self.cart = cell.cart.clone();
        self.quoted = cell.quoted.clone();
        self.keys = cell.keys.clone();
    }

    /// Sends the cart along with the answer.
    pub(crate) fn give_back<P: Platform>(&self, visit: &Visit<'_, P>) {
        let Some(token) = cookie::seal(&keys::guests(visit.platform), &self.contents()) else { return };
        visit.set_cookie(COOKIE, &token, COOKIE_MAX_AGE_S);
        if speaks_headers(visit) {
            visit.answer_header(HEADER, token);
        }
    }
}

/// The cart as the request itself carries it, without asking anybody: enough for the number beside the basket and the
/// price list.
pub(crate) fn peek<P: Platform>(visit: &Visit<'_, P>) -> Option<Basket> {
    if visit.is_cart_forgotten() {
        return None;
    }
    let ring = keys::guests(visit.platform);
    let contents =
        visit.header(HEADER).into_iter().chain(visit.cookies(COOKIE)).find_map(|t| cookie::unseal(&ring, t))?;
    let Contents { secret, kind, quoted, keys, cart } = contents;
    Some(Basket { secret, kind, cart, quoted, keys, synced: false })
}

fn peek_or_new<P: Platform>(visit: &Visit<'_, P>) -> Basket {
    peek(visit).unwrap_or_else(|| Basket {
        secret: visit.random(),
        kind: Kind::Guest,
        cart: Cart::new(),
        quoted: Marks::default(),
        keys: Marks::default(),
        synced: false,
    })
}

/// The cart with what the cell knows and, if this edge has not been in touch with the core for a while, what the core
/// knows.
pub(crate) async fn load<P: Platform>(visit: &Visit<'_, P>, shopper: Option<&Shopper>) -> Basket {
    let mut basket = peek_or_new(visit);
    adopt::resume(visit, shopper, &mut basket).await;
    let key = Basket::cell_key(&basket.secret);
    match visit.platform.cell_read(CellKind::Cart, &key).await {
        Ok(bytes) => {
            let mut cell = bytes.as_deref().and_then(Replica::decode).unwrap_or_default();
            let before = cell.cart.clone();
            cell.merge(&basket.delta());
            let news = cell.cart != before;
            basket.take(&cell);
            sync::meet(visit, shopper, &mut basket, cell.met_ms, news).await;
        }
        // The cell is away: the cookie alone, and the shopper is told that it is not synced.
        Err(error) => visit.warn("cart_cell", &error.to_string()),
    }
    basket.give_back(visit);
    basket
}

/// Changes the cart and merges the change into the cell.
pub(crate) async fn change<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: Option<&Shopper>,
    operation: impl FnOnce(&mut Cart, Tick) -> Result<(), CartError>,
) -> Result<Basket, Failure> {
    let mut basket = peek_or_new(visit);
    adopt::resume(visit, shopper, &mut basket).await;
    operate(visit, &mut basket.cart, operation)?;
    store(visit, shopper, &mut basket).await;
    Ok(basket)
}

fn operate<P: Platform>(
    visit: &Visit<'_, P>,
    cart: &mut Cart,
    operation: impl FnOnce(&mut Cart, Tick) -> Result<(), CartError>,
) -> Result<(), Failure> {
    let [random] = visit.random::<1>();
    cart.prune(visit.now);
    let tick = cart.next_tick(visit.now, random);
    operation(cart, tick).map_err(refusal)
}

/// Merges what the cell knows into the cart in hand; a cell that is away leaves it as it is.
async fn merge_cell<P: Platform>(visit: &Visit<'_, P>, basket: &mut Basket) {
    let key = Basket::cell_key(&basket.secret);
    if let Ok(Some(bytes)) = visit.platform.cell_read(CellKind::Cart, &key).await
        && let Some(mut cell) = Replica::decode(&bytes)
    {
        cell.merge(&basket.delta());
        basket.take(&cell);
    }
}

/// Merges the cart in hand into the cell, and lets the core know soon.
async fn store<P: Platform>(visit: &Visit<'_, P>, shopper: Option<&Shopper>, basket: &mut Basket) {
    let push_by = u64::from_le_bytes(visit.random());
    let delta = Replica { push_ms: visit.now.unix_ms(), push_by, ..basket.delta() };
    let key = Basket::cell_key(&basket.secret);
    match visit.platform.cell_merge(CellKind::Cart, &key, delta.encode()).await {
        Ok(bytes) => {
            if let Some(cell) = Replica::decode(&bytes) {
                basket.take(&cell);
                sync::after_change(visit, shopper, basket, &cell, push_by).await;
            }
        }
        // The change is in the cookie: the next request carries it into the cell.
        Err(error) => visit.warn("cart_cell", &error.to_string()),
    }
    basket.give_back(visit);
}

fn refusal(error: CartError) -> Failure {
    match error {
        CartError::Full => Failure::new(Code::CartFull, format!("A cart has room for {CART_LINES_MAX} articles.")),
        CartError::Quantity => Failure::from(Code::ValidationFailed).field(
            "/quantity",
            "out_of_range",
            format!("A quantity from 1 to {LINE_QUANTITY_MAX}."),
        ),
        CartError::Code => Failure::new(
            Code::CodeNotApplicable,
            "This code cannot be kept: it is too long, or there are too many codes already.",
        ),
        CartError::Malformed => Failure::internal(),
    }
}

/// Adds units of a SKU. With the same `key` it is the same add, however often and wherever it arrives.
///
/// # Errors
/// `idempotency_key_reused` for a key that this cart remembers for another add.
pub(crate) async fn add<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: Option<&Shopper>,
    sku: SkuNo,
    quantity: u32,
    key: Option<&str>,
) -> Result<Basket, Failure> {
    let Some(key) = key else {
        let id = u32::from_le_bytes(visit.random());
        return change(visit, shopper, |cart, tick| cart.add(sku, quantity, id, tick)).await;
    };
    let id = mark(key);
    let what = u64::from(mark(&format!("{sku}x{quantity}"))) & WHAT_BITS;
    let mut basket = peek_or_new(visit);
    adopt::resume(visit, shopper, &mut basket).await;
    merge_cell(visit, &mut basket).await;
    match basket.keys.get(id) {
        Some(known) if known & WHAT_BITS != what => return Err(Code::IdempotencyKeyReused.into()),
        // Done before, whatever has become of the line since: the answer is the cart as it is now.
        Some(_) => {}
        None => {
            let seconds = u64::try_from(visit.now.unix_ms() / 1000).unwrap_or(0);
            basket.keys.note(id, (seconds << WHAT_BITS.count_ones()) | what);
            operate(visit, &mut basket.cart, |cart, tick| cart.add(sku, quantity, id, tick))?;
        }
    }
    store(visit, shopper, &mut basket).await;
    Ok(basket)
}

/// The low bits of a remembered key say what was added, the others when, in seconds.
const WHAT_BITS: u64 = 0xff_ffff;

/// A short mark of a longer text: of an idempotency key, of a quote.
pub(crate) fn mark(text: &str) -> u32 {
    let digest = sha256(text.as_bytes());
    digest.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Remembers which tick of the cart a quote or a checkout saw.
pub(crate) async fn note_quote<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: Option<&Shopper>,
    basket: &mut Basket,
    name: &str,
    tick: Tick,
) {
    basket.quoted.note(mark(name), tick);
    store(visit, shopper, basket).await;
}

/// Remembers under a checkout's key what its quote saw, for a checkout whose answer did not come. In the cookie alone:
/// the browser that asks for the outcome is the one that sent it.
pub(crate) async fn note_checkout<P: Platform>(visit: &Visit<'_, P>, quote: &str, key: &str) {
    let Some(mut basket) = peek(visit) else { return };
    let tick = basket.quoted.get(mark(quote)).unwrap_or_else(|| basket.cart.largest_tick());
    basket.quoted.note(mark(key), tick);
    basket.give_back(visit);
}

/// Takes an order's articles out of the cart, as of what its quote saw; what was added after that stays. Where this cart
/// has forgotten the quote, the time of the order stands in for it.
pub(crate) async fn ordered<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: Option<&Shopper>,
    order: &OrderView,
    names: &[&str],
) {
    let Some(mut basket) = peek(visit) else { return };
    merge_cell(visit, &mut basket).await;
    let seen = names.iter().find_map(|name| basket.quoted.get(mark(name)));
    let tick = seen.unwrap_or_else(|| Cart::new().next_tick(order.placed_at, u8::MAX));
    for name in names {
        basket.quoted.note(mark(name), tick);
    }
    basket.cart.remove_ordered(order.lines.iter().map(|line| line.sku_no), tick);
    store(visit, shopper, &mut basket).await;
}
