//! Protocol 6 at the edge: sessions are renewed, ended and denied; forms come from this shop only.

use crate::double::{Edge, Link, client::Client, identity_key};
use bodega_domain::{Code, Failure};
use serde_json::json;

fn ada() -> serde_json::Value {
    json!({"email": "ada@example.org", "password": "correct horse"})
}

#[test]
fn an_account_signs_in_is_shown_and_signs_out() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    assert_eq!(browser.get("/api/v1/account").code(), "unauthenticated");
    assert_eq!(
        browser.json("POST", "/api/v1/session", &json!({"email": "ada@example.org", "password": "x"})).code(),
        "credentials_invalid"
    );
    let answer = browser.json("POST", "/api/v1/session", &ada());
    assert_eq!((answer.status, &answer.json()["account"]["email"]), (200, &json!("ada@example.org")));
    assert!(answer.headers.get_all("set-cookie").iter().all(|cookie| {
        let cookie = cookie.to_str().unwrap();
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/")
    }));
    assert_eq!(browser.get("/api/v1/account").json()["name"], "Ada <Lovelace>");
    assert_eq!(browser.json("PATCH", "/api/v1/account", &json!({"name": "Ada"})).status, 200);
    assert_eq!(browser.send("DELETE", "/api/v1/session", &[], b"").status, 204);
    assert_eq!(browser.get("/api/v1/account").code(), "unauthenticated");
}

#[test]
fn a_token_that_has_run_out_is_renewed_with_the_refresh_cookie_once() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    browser.json("POST", "/api/v1/session", &ada());
    let old = browser.jar.clone();
    edge.pass_ms(11 * 60_000);
    assert_eq!(browser.get("/api/v1/account").status, 200);
    assert_ne!(browser.jar["bodega_session"], old["bodega_session"]);
    assert_ne!(browser.jar["bodega_refresh"], old["bodega_refresh"]);
    let mut thief = Client::new(&edge);
    thief.jar = old;
    assert_eq!(thief.get("/api/v1/account").code(), "session_expired");
    assert!(thief.jar.is_empty(), "what has ended is removed, the account's cart too: {:?}", thief.jar);
}

#[test]
fn signing_out_ends_the_session_also_when_its_access_token_has_run_out() {
    let edge = Edge::stocked();
    // At once; long after; and when the core's clock is a little ahead, so that only the core takes it for run out.
    for (passed_ms, ahead_ms) in [(0, 0), (11 * 60_000, 0), (10 * 60_000 - 2_000, 4_000)] {
        let mut browser = Client::new(&edge);
        browser.json("POST", "/api/v1/session", &ada());
        let mut copy = Client::new(&edge);
        copy.jar = browser.jar.clone();
        edge.pass_ms(passed_ms);
        edge.core.ahead_ms.set(ahead_ms);
        edge.forget_asked();
        assert_eq!(browser.send("DELETE", "/api/v1/session", &[], b"").status, 204);
        assert_eq!(edge.asked(), ["identity.v1.sign_out"], "nothing is renewed in order to be ended");
        assert!(browser.jar.is_empty(), "{:?}", browser.jar);
        edge.core.ahead_ms.set(0);
        copy.jar.remove("bodega_session");
        assert_eq!(copy.get("/api/v1/account").code(), "session_expired", "{passed_ms} ms later");
    }
}

#[test]
fn while_the_core_is_away_a_token_that_has_run_out_is_kept_and_the_cart_goes_on() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    browser.json("POST", "/api/v1/session", &ada());
    edge.pass_ms(11 * 60_000);
    edge.set_link(Link::Away);
    assert_eq!(browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 1})).status, 200);
    assert_eq!(browser.get("/api/v1/account").code(), "core_unavailable");
    edge.set_link(Link::Up);
    assert_eq!(browser.get("/api/v1/account").status, 200);
    assert_eq!(browser.cart().len(), 1);
}

#[test]
fn a_revoked_session_is_denied_at_the_edge_and_a_missing_record_signs_nobody_out() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    browser.json("POST", "/api/v1/session", &ada());
    assert_eq!(browser.get("/api/v1/account").status, 200);
    let session = bodega_domain::id::SessionId::from_u128(1);
    edge.put(&format!("revoked/{session}"), &json!("2026-11-24T00:00:00Z"));
    browser.jar.remove("bodega_refresh");
    assert_eq!(browser.get("/api/v1/account").code(), "session_expired");
}

#[test]
fn a_replicated_key_verifies_tokens_that_the_settings_do_not_know() {
    let edge = Edge::stocked();
    let mut key = identity_key();
    key.kid = "i2".into();
    let claims = bodega_domain::token::AccountClaims {
        account: bodega_domain::id::AccountId::from_u128(4),
        session: bodega_domain::id::SessionId::from_u128(5),
        roles: Vec::new(),
        issued: bodega_domain::Timestamp::from_unix_ms(crate::double::NOON_MS),
        expires: bodega_domain::Timestamp::from_unix_ms(crate::double::NOON_MS).plus_min(10),
    };
    let mut browser = Client::new(&edge);
    browser.jar.insert("bodega_session".into(), bodega_domain::token::mint_account(&key, &claims).unwrap());
    assert_eq!(browser.get("/api/v1/account").code(), "unauthenticated");
    edge.put("key/identity", &serde_json::to_value([key.public().unwrap()]).unwrap());
    let mut browser = Client::new(&edge);
    browser.jar.insert("bodega_session".into(), bodega_domain::token::mint_account(&key, &claims).unwrap());
    // The double's core knows one key only: what counts here is that the edge took the token for an account's.
    assert_ne!(browser.get("/account").text().find("Hello"), Some(0));
    assert!(edge.asked().contains(&"identity.v1.account".to_owned()));
}

#[test]
fn a_program_keeps_its_tokens_in_headers() {
    let edge = Edge::stocked();
    let mut program = Client::new(&edge);
    let body = ada().to_string();
    let answer =
        program.send_apart("POST", "/api/v1/session", &[("content-type", "application/json")], body.as_bytes());
    let (session, refresh) = (answer.header("bodega-session").to_owned(), answer.header("bodega-refresh").to_owned());
    program.headers.push(("bodega-session", session));
    assert_eq!(program.send_apart("GET", "/api/v1/account", &[], b"").status, 200);
    let renewed = program.send_apart("POST", "/api/v1/session/refresh", &[("bodega-refresh", &refresh)], b"");
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    assert!(!renewed.header("bodega-session").is_empty());
    let mut browser = Client::new(&edge);
    browser.get("/api/v1/cart");
    let answer = browser.json("POST", "/api/v1/session", &ada());
    assert_eq!(answer.header("bodega-session"), "", "a browser's token stays out of reach of scripts");
}

#[test]
fn people_register_and_sign_in_on_a_page_and_mistakes_are_said() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    let mut fields =
        vec![("action", "register"), ("name", "Grace"), ("email", "grace@example.org"), ("password", "short")];
    let answer = browser.form("/account", &fields);
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("At least 10 characters."));
    fields[2].1 = "ada@example.org";
    fields[3].1 = "long enough";
    assert_eq!(browser.form("/account", &fields).status, 409);
    let sign_in =
        [("action", "sign_in"), ("email", "ada@example.org"), ("password", "correct horse"), ("next", "/checkout")];
    assert_eq!(browser.form("/account", &sign_in).header("location"), "/checkout");
    let page = browser.get("/account").text();
    assert!(page.contains("Hello, <bdi>Ada &lt;Lovelace&gt;</bdi>"));
    let away = [
        ("action", "sign_in"),
        ("email", "ada@example.org"),
        ("password", "correct horse"),
        ("next", "//evil.example"),
    ];
    assert_eq!(browser.form("/account", &away).header("location"), "/account", "never to another site");
    browser.form("/account", &[("action", "sign_out")]);
    assert!(browser.get("/account").text().contains("Sign in"));
}

#[test]
fn an_account_is_deleted_on_its_page_with_its_password() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    browser.json("POST", "/api/v1/session", &ada());
    browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 1}));
    let page = browser.get("/account").text();
    let (_, form) = page.split_once("Delete the account</summary>").expect("the form");
    for said in ["cannot be undone", "under its number", "90 days at most", "without signing in"] {
        assert!(form.contains(said), "{said}: {form}");
    }
    let wrong = browser.form("/account", &[("action", "delete"), ("password", "correct house")]);
    assert_eq!(wrong.status, 401);
    let page = wrong.text();
    assert!(page.contains("<details class=\"sheet\" open><summary>Delete the account"), "{page}");
    assert!(!page.contains("<details class=\"sheet\" open><summary>Name and address"), "{page}");
    assert_eq!(browser.get("/api/v1/account").status, 200, "nothing has happened");
    let roles = Failure::new(Code::Forbidden, "This account has roles.");
    edge.core.refuse.replace(Some(("identity.v1.delete_account".into(), roles)));
    let refused = browser.form("/account", &[("action", "delete"), ("password", "correct horse")]);
    assert_eq!((refused.status, refused.text().contains("This account has roles.")), (403, true));
    let done = browser.form("/account", &[("action", "delete"), ("password", "correct horse")]);
    assert_eq!((done.status, done.header("location")), (303, "/account?deleted=yes"));
    assert!(browser.jar.is_empty(), "session, refresh token and cart are gone: {:?}", browser.jar);
    let page = browser.get("/account?deleted=yes").text();
    assert!(page.contains("Your account is deleted") && page.contains("Sign in"), "{page}");
    assert!(!browser.get("/account").text().contains("is deleted"));
}

#[test]
fn a_program_deletes_its_account_with_a_body_and_no_other_site_does() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    let password = json!({"password": "correct horse"});
    let at = "/api/v1/account/deletion";
    assert_eq!(browser.json("POST", at, &password).code(), "unauthenticated");
    browser.json("POST", "/api/v1/session", &ada());
    assert_eq!(browser.json("POST", at, &json!({"password": "x"})).code(), "credentials_invalid");
    assert_eq!(browser.json("POST", at, &json!({"password": "x".repeat(2000)})).code(), "credentials_invalid");
    assert_eq!(browser.json("POST", at, &json!({})).code(), "validation_failed");
    let elsewhere = [("content-type", "application/json"), ("origin", "http://evil.test")];
    assert_eq!(browser.send("POST", at, &elsewhere, password.to_string().as_bytes()).code(), "origin_forbidden");
    edge.set_link(Link::Away);
    assert_eq!(browser.json("POST", at, &password).code(), "core_unavailable");
    edge.set_link(Link::Up);
    assert_eq!(browser.get("/api/v1/account").status, 200);
    assert_eq!(browser.json("POST", at, &password).status, 204);
    assert!(browser.jar.is_empty(), "{:?}", browser.jar);
    assert_eq!(browser.get("/api/v1/account").code(), "unauthenticated");
}

#[test]
fn forms_and_scripts_of_other_sites_are_refused() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    let key = browser.get("/p/tea").field("key");
    let form = format!("action=add&sku=TEA&key={key}");
    let form_type = ("content-type", "application/x-www-form-urlencoded");
    for headers in [
        vec![form_type],
        vec![form_type, ("origin", "http://evil.test")],
        vec![form_type, ("origin", "null")],
        vec![form_type, ("sec-fetch-site", "cross-site")],
        vec![form_type, ("referer", "http://evil.test/p/tea")],
    ] {
        let answer = browser.send("POST", "/p/tea", &headers, form.as_bytes());
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    for headers in
        [vec![form_type, ("sec-fetch-site", "same-origin")], vec![form_type, ("referer", "http://shop.test/p/tea")]]
    {
        assert_eq!(browser.send("POST", "/p/tea", &headers, form.as_bytes()).status, 303, "{headers:?}");
    }
    let json = [("content-type", "application/json"), ("origin", "http://evil.test")];
    assert_eq!(browser.send("POST", "/api/v1/cart/lines", &json, b"{}").code(), "origin_forbidden");
    assert_eq!(
        browser.send("DELETE", "/api/v1/session", &[("origin", "http://evil.test")], b"").code(),
        "origin_forbidden"
    );
}

#[test]
fn the_core_gets_the_shopper_s_own_token_and_the_request_s_id_is_in_the_log() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    let answer = browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 1}));
    let id = answer.header("bodega-request-id").to_owned();
    assert!(id.starts_with("req_"));
    assert!(edge.log_lines().iter().any(|line| line.contains(&id)));
}
