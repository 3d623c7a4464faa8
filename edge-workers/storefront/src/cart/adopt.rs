//! Signing in: the guest's cart goes into the account's, once, and is replaced by it.

use bodega_domain::{
    cart::Cart,
    message::{
        cart::{Adopt, Merge},
        identity::SessionOpened,
    },
    token::{base64url, from_base64url},
};

use super::{
    basket::{Basket, peek},
    cookie::{Kind, Secret},
    replica::{Marks, Replica},
};
use crate::{
    core_link::ask,
    platform::{CellKind, Platform},
    session::Shopper,
    visit::Visit,
};

/// Milliseconds that taking a cart over may take: the core has just answered a sign-in.
const ADOPT_MS: i64 = 2_000;
/// Milliseconds that a later request may spend on one that failed.
const RESUME_MS: i64 = 300;

/// After a sign-in: the account's cart with the guest's in it, in the answer's cookie.
pub(crate) async fn sign_in<P: Platform>(visit: &Visit<'_, P>, opened: &SessionOpened, token: &str) {
    let Some(account) = from_base64url(&opened.cart_secret).and_then(|bytes| Secret::try_from(bytes).ok()) else {
        visit.warn("cart_secret", "the account's cart has no usable secret");
        return;
    };
    let guest = peek(visit).filter(|basket| basket.secret != account && basket.kind != Kind::Account);
    let basket = match guest {
        Some(mut guest) => {
            guest.kind = Kind::Adopting(account);
            match adopt(visit, Some(token), &guest, account, ADOPT_MS).await {
                Some(basket) => basket,
                // The core will be asked again by the next request that has this cart in hand.
                None => guest,
            }
        }
        None => of_account(visit, token, account).await,
    };
    basket.give_back(visit);
}

/// Takes up an adoption that the core did not answer.
pub(super) async fn resume<P: Platform>(visit: &Visit<'_, P>, shopper: Option<&Shopper>, basket: &mut Basket) {
    let (Kind::Adopting(account), Some(shopper)) = (basket.kind, shopper) else { return };
    if shopper.account().is_none() {
        return;
    }
    if let Some(adopted) = adopt(visit, Some(&shopper.token), basket, account, RESUME_MS).await {
        *basket = adopted;
    }
}

async fn adopt<P: Platform>(
    visit: &Visit<'_, P>,
    token: Option<&str>,
    guest: &Basket,
    account: Secret,
    budget_ms: i64,
) -> Option<Basket> {
    let guest_key = Basket::cell_key(&guest.secret);
    let mut cart = guest.cart.clone();
    if let Ok(Some(bytes)) = visit.platform.cell_read(CellKind::Cart, &guest_key).await
        && let Some(cell) = Replica::decode(&bytes)
    {
        cart.merge(&cell.cart);
    }
    let request = Merge {
        cart: Basket::cell_key(&account),
        state: String::new(),
        adopt: Some(Adopt { cart: guest_key, state: base64url(&cart.encode()) }),
    };
    let answer = ask(visit, token, &request, budget_ms).await.ok()?;
    let cart = Cart::decode(&from_base64url(&answer.state)?).ok()?;
    Some(keep(visit, account, cart, true).await)
}

/// The account's cart where there is no guest's to take over.
async fn of_account<P: Platform>(visit: &Visit<'_, P>, token: &str, account: Secret) -> Basket {
    let request = Merge { cart: Basket::cell_key(&account), state: String::new(), adopt: None };
    let answered = ask(visit, Some(token), &request, ADOPT_MS).await.ok();
    let cart = answered.and_then(|answer| from_base64url(&answer.state)).and_then(|state| Cart::decode(&state).ok());
    let met = cart.is_some();
    keep(visit, account, cart.unwrap_or_default(), met).await
}

async fn keep<P: Platform>(visit: &Visit<'_, P>, secret: Secret, cart: Cart, met: bool) -> Basket {
    let met_ms = if met { visit.platform.now_ms() } else { 0 };
    let delta = Replica { cart: cart.clone(), met_ms, ..Replica::default() };
    let cell = match visit.platform.cell_merge(CellKind::Cart, &Basket::cell_key(&secret), delta.encode()).await {
        Ok(bytes) => Replica::decode(&bytes).unwrap_or(delta),
        Err(error) => {
            visit.warn("cart_cell", &error.to_string());
            delta
        }
    };
    Basket {
        secret,
        kind: Kind::Account,
        cart: cell.cart,
        quoted: Marks::default(),
        keys: Marks::default(),
        synced: met,
    }
}
