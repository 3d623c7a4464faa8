//! Sessions of a desk whose access token has run out.

use bodega_domain::{
    Code,
    message::identity::{Refresh, SessionOpened, SignIn},
    token::{AccountClaims, Session, mint_account, verify_session},
};
use bodega_test_core::code;

use crate::shop::{ADMIN, Browser, MERCHANT, PASSWORD, Shop};

/// A browser as it is after ten minutes: the cookie is there, its access token has run out.
async fn ten_minutes_later(shop: &Shop, desk: &str, email: &str) -> (Browser, SessionOpened) {
    let sign_in = SignIn { email: email.into(), password: PASSWORD.into() };
    let opened = shop.core.ask_as(None, sign_in).await.unwrap();
    let keys = &shop.core.config.keys;
    let now = shop.core.clock.now();
    let Ok(Session::Account(claims)) = verify_session(&opened.token, &keys.guest, &keys.account_keys(), now) else {
        panic!("not an account's token");
    };
    let stale = AccountClaims { issued: now.plus_min(-11), expires: now.plus_min(-1), ..claims };
    let token = mint_account(&keys.identity[0], &stale).unwrap();
    let mut browser = Browser::new(shop);
    browser.cookie = format!("bodega_{}={token}~{}", desk.trim_start_matches('/'), opened.refresh);
    (browser, opened)
}

pub(crate) async fn a_session_that_ran_out_is_carried_on(shop: &Shop) {
    let (mut admin, _) = ten_minutes_later(shop, "/admin", ADMIN).await;
    let page = admin.get("/admin/orders").await;
    assert_eq!((page.status, page.cookies.len()), (200, 1), "{}", page.body);
    admin.cookie.clear();
    admin.keep(&page);
    let again = admin.get("/admin/orders").await;
    assert_eq!((again.status, again.cookies.len()), (200, 0), "the new token counts");

    // What is refused afterwards must not cost the session: the old refresh token is used up.
    let (broken, _) = ten_minutes_later(shop, "/admin", ADMIN).await;
    let json = broken.send("/admin/stock", "application/json", b"{}".to_vec()).await;
    assert_eq!((json.status, json.cookies.len()), (415, 1), "{}", json.body);
    let (lost, _) = ten_minutes_later(shop, "/admin", ADMIN).await;
    let nowhere = lost.get("/admin/orders/ord_x").await;
    assert_eq!((nowhere.status, nowhere.cookies.len()), (404, 1));
    let (elsewhere, _) = ten_minutes_later(shop, "/admin", MERCHANT).await;
    let refused = elsewhere.get("/admin/orders").await;
    assert_eq!((refused.status, refused.cookies.len()), (403, 1), "of the wrong desk, and still signed in");
}

pub(crate) async fn a_form_that_was_open_too_long_leads_back_to_its_page(shop: &Shop) {
    let order = format!("/admin/orders/{}", shop.order);
    let mut nobody = Browser::new(shop);
    let base = nobody.origin.clone().unwrap();
    let next_after = |referer: Option<String>| {
        nobody.referer = referer;
        let (browser, path) = (nobody.clone(), format!("{order}/cancel"));
        async move {
            let sent = browser.post(&path, &[("key", "k")]).await;
            assert_eq!(sent.status, 303);
            sent.location.split_once("next=").unwrap().1.to_owned()
        }
    };
    let escaped = |path: &str| path.replace('/', "%2F");
    let mut next_after = next_after;
    assert_eq!(next_after(Some(format!("{base}{order}"))).await, escaped(&order));
    assert_eq!(next_after(None).await, escaped("/admin"));
    assert_eq!(next_after(Some(format!("https://evil.example{order}"))).await, escaped("/admin"));
    let signed_in = Browser::signed_in(shop, "/admin", ADMIN).await;
    assert_eq!(signed_in.get(&order).await.status, 200, "what signing in leads to can be read");
}

pub(crate) async fn signing_out_ends_a_session_whose_access_token_has_run_out(shop: &Shop) {
    let (admin, opened) = ten_minutes_later(shop, "/admin", ADMIN).await;
    assert_eq!(admin.post("/admin/sign-out", &[]).await.location, "/admin/sign-in");
    let refreshed = shop.core.ask_as(None, Refresh { refresh: opened.refresh }).await;
    assert_eq!(code(&refreshed), Some(Code::SessionExpired), "the session would have lived on for a month");
}
