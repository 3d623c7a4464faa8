//! `cart.v1.merge`

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    cart::Cart,
    failure::Validation,
    message::cart::{Adopt, Merge, Merged},
    principal::Principal,
    token::{base64url, from_base64url},
};
use bodega_platform::{Call, DatabaseError};
use uuid::Uuid;

use crate::{
    State, cache,
    limits::{CART_NAME_CHARS, STATE_CHARS_MAX},
    merging::{Command, decode},
    store,
};

pub(crate) async fn merge(state: Arc<State>, call: Call, request: Merge) -> Result<Merged, Failure> {
    let account = match &call.principal {
        Principal::Account { account, .. } => Some(Uuid::from_u128(account.as_u128())),
        _ => None,
    };
    if request.adopt.is_some() && account.is_none() {
        return Err(Code::Unauthenticated.into());
    }
    let merged = if request.state.is_empty() && request.adopt.is_none() {
        read(&state, &request.cart, account).await?
    } else {
        state.merges.submit(command(request, account)?).await??
    };
    Ok(Merged { state: base64url(&merged) })
}

/// A merge of nothing changes nothing, so it need not lock anything.
async fn read(state: &State, cart: &str, account: Option<Uuid>) -> Result<Vec<u8>, Failure> {
    let mut v = Validation::new();
    name(&mut v, "/cart", cart);
    v.finish()?;
    let redis = state.context.redis();
    let row = match cache::get(redis, cart).await {
        Some(row) => row,
        None => {
            let row = store::read(state.context.postgres().pool(), cart).await.map_err(DatabaseError::from)?;
            let row = row.unwrap_or_default();
            cache::set(redis, cart, &row).await;
            row
        }
    };
    if row.account.is_some() && row.account != account {
        return Err(Code::Forbidden.into());
    }
    Ok(decode(cart, &row.state).encode())
}

fn command(request: Merge, account: Option<Uuid>) -> Result<Command, Failure> {
    let mut v = Validation::new();
    name(&mut v, "/cart", &request.cart);
    let state = content(&mut v, "/state", &request.state);
    let adopt = request.adopt.map(|Adopt { cart, state }| {
        name(&mut v, "/adopt/cart", &cart);
        v.check(cart != request.cart, "/adopt/cart", "same", "A cart cannot go into itself.");
        let content = content(&mut v, "/adopt/state", &state);
        (cart, content)
    });
    v.finish()?;
    Ok(Command { cart: request.cart, state, account, adopt })
}

fn name(v: &mut Validation, at: &str, cart: &str) {
    let proper = CART_NAME_CHARS.contains(&cart.len())
        && cart.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    v.check(proper, at, "cart", "The hash of a cart's secret in base64url.");
}

/// The cart of an encoded state; an empty text is an empty cart.
fn content(v: &mut Validation, at: &str, state: &str) -> Cart {
    if state.is_empty() {
        return Cart::new();
    }
    let bytes = if state.len() > STATE_CHARS_MAX { None } else { from_base64url(state) };
    let cart = bytes.and_then(|bytes| Cart::decode(&bytes).ok());
    v.check(cart.is_some(), at, "state", "Not the encoding of a cart.");
    cart.unwrap_or_default()
}
