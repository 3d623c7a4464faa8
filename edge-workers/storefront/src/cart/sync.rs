//! A cart's way to the core and back: behind the cell, at most once a second, and at once where this edge has not been in
//! touch for a while.

use bodega_domain::{
    cart::Cart,
    message::cart::Merge,
    token::{base64url, from_base64url},
};

use super::{
    basket::Basket,
    replica::{PUSH_EVERY_MS, Replica},
};
use crate::{
    core_link::{Patience, ask_by},
    platform::{CellKind, Platform},
    session::Shopper,
    visit::Visit,
};

/// After so many milliseconds without word from the core an edge asks before it answers.
const IN_TOUCH_MS: i64 = 5_000;
/// Milliseconds that such a question may take.
const ASK_MS: i64 = 150;
/// Milliseconds that a push after the answer may take.
const PUSH_MS: i64 = 1_100;
/// Attempts of a push. With its turn and the pause in between they fit into the 4 s that a runtime gives to such work.
const PUSH_ATTEMPTS: u32 = 2;
/// Milliseconds between them.
const PUSH_AGAIN_AFTER_MS: u64 = 500;

/// Everything that a push needs after the request is gone.
#[derive(Clone)]
struct Courier<P> {
    platform: P,
    request_id: String,
    token: Option<String>,
    key: String,
}

impl<P: Platform> Courier<P> {
    fn of(visit: &Visit<'_, P>, shopper: Option<&Shopper>, basket: &Basket) -> Self {
        Self {
            platform: visit.platform.clone(),
            request_id: visit.id.clone(),
            token: shopper.map(|shopper| shopper.token.clone()),
            key: Basket::cell_key(&basket.secret),
        }
    }

    /// Merges a state into the core's and the core's into the cell. Gives back what both hold now.
    async fn exchange(&self, cart: &Cart, wait_ms: i64) -> Option<Cart> {
        let request = Merge { cart: self.key.clone(), state: base64url(&cart.encode()), adopt: None };
        let (token, patience) = (self.token.as_deref(), Patience::of(wait_ms));
        let answer = ask_by(&self.platform, &self.request_id, token, None, &request, patience).await.ok()?;
        let theirs = Cart::decode(&from_base64url(&answer.state)?).ok()?;
        let delta = Replica { cart: theirs.clone(), met_ms: self.platform.now_ms(), ..Replica::default() };
        match self.platform.cell_merge(CellKind::Cart, &self.key, delta.encode()).await {
            Ok(bytes) => Replica::decode(&bytes).map(|cell| cell.cart),
            Err(_) => Some(theirs),
        }
    }

    /// Pushes what the cell holds by now. When that fails, the next request that has this cart in hand makes up for it.
    async fn push(&self) {
        for attempt in 0..PUSH_ATTEMPTS {
            if attempt > 0 {
                self.platform.pause(PUSH_AGAIN_AFTER_MS).await;
            }
            let Ok(Some(bytes)) = self.platform.cell_read(CellKind::Cart, &self.key).await else { return };
            let Some(cell) = Replica::decode(&bytes) else { return };
            if self.exchange(&cell.cart, PUSH_MS).await.is_some() {
                return;
            }
        }
    }

    /// For a change that came within a second of another push: waits for its turn, unless somebody else takes the change
    /// along.
    async fn push_in_turn(&self, changed_ms: i64, last_push_ms: i64) {
        let due = last_push_ms.saturating_add(PUSH_EVERY_MS).saturating_sub(self.platform.now_ms());
        self.platform.pause(u64::try_from(due).unwrap_or(0)).await;
        let mut random = [0; 8];
        self.platform.random(&mut random);
        let push_by = u64::from_le_bytes(random);
        let wish = Replica { push_ms: self.platform.now_ms(), push_by, ..Replica::default() };
        let granted = match self.platform.cell_merge(CellKind::Cart, &self.key, wish.encode()).await {
            Ok(bytes) => {
                Replica::decode(&bytes).is_none_or(|cell| cell.push_by == push_by || cell.push_ms <= changed_ms)
            }
            Err(_) => false,
        };
        if granted {
            self.push().await;
        }
    }
}

/// Before a cart is shown: asks the core if this edge has not been in touch for a while, and pushes news behind the answer.
pub(super) async fn meet<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: Option<&Shopper>,
    basket: &mut Basket,
    met_ms: i64,
    news: bool,
) {
    let courier = Courier::of(visit, shopper, basket);
    let in_touch = visit.now.unix_ms().saturating_sub(met_ms) <= IN_TOUCH_MS;
    if in_touch && !news {
        basket.synced = true;
        return;
    }
    if news {
        // What the cookie alone knew goes into the cell first: it holds also when the core is away.
        let delta = basket.delta();
        if let Err(error) = visit.platform.cell_merge(CellKind::Cart, &courier.key, delta.encode()).await {
            visit.warn("cart_cell", &error.to_string());
        }
    }
    ask_now(visit, &courier, basket).await;
}

/// After a change: at once when this edge has not been in touch for a while, else behind the answer.
pub(super) async fn after_change<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: Option<&Shopper>,
    basket: &mut Basket,
    cell: &Replica,
    push_by: u64,
) {
    let courier = Courier::of(visit, shopper, basket);
    if visit.now.unix_ms().saturating_sub(cell.met_ms) > IN_TOUCH_MS {
        ask_now(visit, &courier, basket).await;
        if basket.synced {
            return;
        }
    } else {
        basket.synced = true;
    }
    let (changed_ms, last_push_ms) = (visit.now.unix_ms(), cell.push_ms);
    if cell.push_by == push_by {
        visit.platform.defer(async move { courier.push().await });
    } else {
        visit.platform.defer(async move { courier.push_in_turn(changed_ms, last_push_ms).await });
    }
}

async fn ask_now<P: Platform>(visit: &Visit<'_, P>, courier: &Courier<P>, basket: &mut Basket) {
    visit.count_core_call();
    match courier.exchange(&basket.cart, ASK_MS).await {
        Some(cart) => {
            basket.cart = cart;
            basket.synced = true;
        }
        None => basket.synced = false,
    }
}
