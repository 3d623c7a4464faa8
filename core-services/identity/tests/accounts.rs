//! Accounts and their sessions on real servers.

use std::sync::Mutex;

use bodega_domain::{
    Code,
    address::Address,
    id::MerchantId,
    message::{
        catalog::{Views, ViewsPage},
        identity::{
            Account, DeleteAccount, PublicKeys, PutUser, Refresh, Register, Revoked, RoleChanges, SessionOpened,
            SignIn, SignOut, Update, Users,
        },
    },
    token::{PublicKey, Role, Session, from_base64url, verify_session},
};
use bodega_platform::sqlx;
use bodega_test_core::{Core, code, fields};
use bodega_tests::eventually;
use futures::StreamExt as _;

const PASSWORD: &str = "long enough";

async fn open() -> Core {
    Core::open(&[bodega_identity::service()], "").await
}

fn ada() -> Register {
    Register { email: " Ada@Example.org ".into(), password: PASSWORD.into(), name: "Ada".into() }
}

fn sign_in(email: &str, password: &str) -> SignIn {
    SignIn { email: email.into(), password: password.into() }
}

fn delete(password: &str) -> DeleteAccount {
    DeleteAccount { password: password.into() }
}

fn refresh(session: &SessionOpened) -> Refresh {
    Refresh { refresh: session.refresh.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_registers_is_signed_in_and_signs_in_again_as_the_same() {
    let core = open().await;
    let first = core.ask_as(None, ada()).await.unwrap();
    assert_eq!((first.account.email.as_str(), first.account.name.as_str()), ("Ada@Example.org", "Ada"));
    let keys = core.ask(PublicKeys {}).await.unwrap();
    let now = core.clock.now();
    let Ok(Session::Account(claims)) = verify_session(&first.token, &core.config.keys.guest, &keys, now) else {
        panic!("not an account's token");
    };
    assert_eq!(claims.account, first.account.id);
    assert_eq!(claims.expires, first.expires);
    assert_eq!(core.ask_as(Some(&first.token), Account {}).await.unwrap(), first.account);

    let second = core.ask_as(None, sign_in("ADA@example.ORG", PASSWORD)).await.unwrap();
    assert_eq!(second.account, first.account);
    assert_eq!(second.cart_secret, first.cart_secret, "one cart, wherever they sign in");
    assert_eq!(from_base64url(&first.cart_secret).unwrap().len(), 32);
    assert_ne!(second.refresh, first.refresh);

    let mut again = ada();
    again.email = "ada@EXAMPLE.org".into();
    assert_eq!(code(&core.ask_as(None, again).await), Some(Code::EmailTaken));
    let pool = core.pool("identity").await;
    let stored: String = sqlx::query_scalar("select password from account").fetch_one(&pool).await.unwrap();
    assert!(stored.starts_with("$argon2id$"));
    let accounts: i64 = sqlx::query_scalar("select count(*) from account").fetch_one(&pool).await.unwrap();
    assert_eq!(accounts, 1, "a refused registration leaves nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_fields_of_a_registration_are_named() {
    let core = open().await;
    let wrong = Register { email: "ada".into(), password: "short".into(), name: " ".into() };
    let named: Vec<_> = fields(&core.ask_as(None, wrong).await);
    let expected = [("/email", "email"), ("/name", "required"), ("/password", "too_short")];
    assert_eq!(named, expected.map(|(p, c)| (p.to_owned(), c.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_e_mail_read_the_same_and_are_counted() {
    let core = open().await;
    core.ask_as(None, ada()).await.unwrap();
    let wrong = core.ask_as(None, sign_in("ada@example.org", "not the one")).await.err().unwrap();
    let unknown = core.ask_as(None, sign_in("bob@example.org", "not the one")).await.err().unwrap();
    assert_eq!((wrong.code, &wrong), (Code::CredentialsInvalid, &unknown));
    assert_eq!(code(&core.ask_as(None, sign_in("a\0b", "not the one")).await), Some(Code::ValidationFailed));

    for _ in 1..bodega_identity::limits::SIGN_IN_ATTEMPTS_MAX {
        assert_eq!(code(&core.ask_as(None, sign_in("ada@example.org", "x")).await), Some(Code::CredentialsInvalid));
    }
    let locked = core.ask_as(None, sign_in("ada@example.org", PASSWORD)).await.err().unwrap();
    assert_eq!(locked.code, Code::TooManyRequests);
    assert!(locked.retry_after_s.is_some_and(|s| (1..=15 * 60 + 1).contains(&s)), "{locked:?}");
    let pool = core.pool("identity").await;
    sqlx::query("update sign_in_attempts set since = since - interval '16 minutes'").execute(&pool).await.unwrap();
    core.ask_as(None, sign_in("ada@example.org", PASSWORD)).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from sign_in_attempts").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 1, "success forgets the attempts; those with another e-mail stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_comes_again_later_ends_its_session() {
    let core = open().await;
    let first = core.ask_as(None, ada()).await.unwrap();
    let other = core.ask_as(None, sign_in("ada@example.org", PASSWORD)).await.unwrap();
    let second = core.ask_as(None, refresh(&first)).await.unwrap();
    assert_eq!(second.account.id, first.account.id);
    assert!(core.ask_as(Some(&second.token), Account {}).await.is_ok());

    let pool = core.pool("identity").await;
    sqlx::query("update session set round_began = round_began - interval '31 seconds'").execute(&pool).await.unwrap();
    assert_eq!(code(&core.ask_as(None, refresh(&first)).await), Some(Code::SessionExpired));
    assert_eq!(code(&core.ask_as(None, refresh(&second)).await), Some(Code::SessionExpired), "the session has ended");
    eventually("the deny list", async || {
        let answer = core.ask_as(Some(&second.token), Account {}).await;
        (code(&answer) == Some(Code::SessionExpired)).then_some(())
    })
    .await;
    core.ask_as(None, refresh(&other)).await.expect("another session of the account goes on");
    for nonsense in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let answer = core.ask_as(None, Refresh { refresh: nonsense.into() }).await;
        assert_eq!(code(&answer), Some(Code::SessionExpired), "{nonsense}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_rounds_back_is_too_late_at_once() {
    let core = open().await;
    let first = core.ask_as(None, ada()).await.unwrap();
    let second = core.ask_as(None, refresh(&first)).await.unwrap();
    let third = core.ask_as(None, refresh(&second)).await.unwrap();
    assert_eq!(code(&core.ask_as(None, refresh(&first)).await), Some(Code::SessionExpired));
    assert_eq!(code(&core.ask_as(None, refresh(&third)).await), Some(Code::SessionExpired));
    assert_eq!(core.ask(Revoked { after: 0 }).await.unwrap().entries.len(), 1, "revoked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_that_refresh_at_the_same_moment_all_go_on_in_one_round() {
    let core = open().await;
    let first = core.ask_as(None, ada()).await.unwrap();
    let opened = Mutex::new(Vec::new());
    let tabs = (0..8).map(|_| async {
        let session = core.ask_as(None, refresh(&first)).await.unwrap();
        opened.lock().unwrap().push(session);
    });
    futures_of(tabs).await;
    let pool = core.pool("identity").await;
    let round: i32 = sqlx::query_scalar("select round from session").fetch_one(&pool).await.unwrap();
    assert_eq!(round, 2);
    let opened = opened.into_inner().unwrap();
    core.ask_as(None, refresh(&opened[7])).await.unwrap();
    assert!(core.ask(Revoked { after: 0 }).await.unwrap().entries.is_empty());
    // Whichever of them the browser did not keep is worth nothing a little later.
    sqlx::query("update session set round_began = round_began - interval '31 seconds'").execute(&pool).await.unwrap();
    assert_eq!(code(&core.ask_as(None, refresh(&opened[0])).await), Some(Code::SessionExpired));
    assert_eq!(core.ask(Revoked { after: 0 }).await.unwrap().entries.len(), 1);
}

async fn futures_of(all: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        all.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_everywhere_and_only_it() {
    let core = Core::open(&[bodega_identity::service(), bodega_catalog::service()], "").await;
    let first = core.ask_as(None, ada()).await.unwrap();
    let other = core.ask_as(None, sign_in("ada@example.org", PASSWORD)).await.unwrap();
    core.ask_as(Some(&first.token), SignOut::default()).await.unwrap();
    assert_eq!(code(&core.ask_as(Some(&first.token), Account {}).await), Some(Code::SessionExpired));
    assert_eq!(code(&core.ask_as(None, refresh(&first)).await), Some(Code::SessionExpired));
    core.ask_as(Some(&other.token), Account {}).await.expect("the other session goes on");

    let page = core.ask(Revoked { after: 0 }).await.unwrap();
    let [(position, session, until)] = page.entries[..] else { panic!("{page:?}") };
    assert_eq!(position, 1);
    assert!(until > first.expires, "as long as its token counts, and a little longer");
    assert!(core.ask(Revoked { after: position }).await.unwrap().entries.is_empty());
    let views = eventually("the edges' deny list", async || {
        let page = core.ask(Views { after: 0, limit: 100, live_only: true }).await.ok()?;
        page.entries.iter().any(|(_, view)| view.kind == "revoked").then_some(page)
    })
    .await;
    assert!(body(&views, "revoked", &session.to_string()).is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_access_token_has_run_out_is_ended_with_its_refresh_token() {
    let core = open().await;
    let first = core.ask_as(None, ada()).await.unwrap();
    let other = core.ask_as(None, sign_in("ada@example.org", PASSWORD)).await.unwrap();
    // The access token is not shown at all, as when it has expired.
    let with = |refresh: &str| SignOut { refresh: Some(refresh.to_owned()) };
    core.ask_as(None, with(&first.refresh)).await.unwrap();
    assert_eq!(code(&core.ask_as(None, refresh(&first)).await), Some(Code::SessionExpired));
    assert_eq!(code(&core.ask_as(Some(&first.token), Account {}).await), Some(Code::SessionExpired));
    core.ask_as(None, with(&first.refresh)).await.expect("twice is once");
    for unknown in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        core.ask_as(None, with(unknown)).await.expect("what is not there is over");
    }
    assert_eq!(code(&core.ask_as(None, SignOut::default()).await), Some(Code::Unauthenticated));
    // A token that was traded meanwhile, in another tab, still tells which session is meant.
    let newer = core.ask_as(None, refresh(&other)).await.unwrap();
    core.ask_as(None, with(&other.refresh)).await.unwrap();
    assert_eq!(code(&core.ask_as(None, refresh(&newer)).await), Some(Code::SessionExpired));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_keys_reach_the_edges() {
    let core = Core::open(&[bodega_identity::service(), bodega_catalog::service()], "").await;
    let page = eventually("the keys' view", async || {
        let page = core.ask(Views { after: 0, limit: 10, live_only: true }).await.ok()?;
        (!page.entries.is_empty()).then_some(page)
    })
    .await;
    let keys: Vec<PublicKey> = serde_json::from_value(body(&page, "key", "identity")).unwrap();
    assert_eq!(keys[0].key, core.config.keys.identity[0].public().unwrap().key);
}

fn body(page: &ViewsPage, kind: &str, key: &str) -> serde_json::Value {
    let view = page.entries.iter().find(|(_, view)| view.kind == kind && view.key == key);
    view.and_then(|(_, view)| view.body.clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_changes_what_it_gives_and_keeps_the_rest() {
    let core = open().await;
    let session = core.ask_as(None, ada()).await.unwrap();
    let address = Address {
        name: "Ada".into(),
        line1: "1 Main Street".into(),
        line2: None,
        city: "Kyōto".into(),
        region: None,
        postal_code: "600".into(),
        country: "JP".parse().unwrap(),
    };
    let update = Update { address: Some(address.clone()), ..Update::default() };
    core.ask_as(Some(&session.token), update).await.unwrap();
    let update = Update { name: Some("عدا 🛒".into()), ..Update::default() };
    let view = core.ask_as(Some(&session.token), update).await.unwrap();
    assert_eq!((view.name.as_str(), view.address.as_ref()), ("عدا 🛒", Some(&address)));
    assert_eq!(core.ask_as(Some(&session.token), Account {}).await.unwrap(), view);
    let mut nowhere = address;
    nowhere.city = String::new();
    let refused = core
        .ask_as(Some(&session.token), Update { address: Some(nowhere), name: Some(" ".into()), ..Update::default() })
        .await;
    assert_eq!(fields(&refused).into_iter().map(|f| f.0).collect::<Vec<_>>(), ["/name", "/address/city"]);
    assert_eq!(code(&core.ask_as(None, Account {}).await), Some(Code::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_make_accounts_with_roles_and_changing_them_ends_old_sessions() {
    let core = open().await;
    let put = |email: &str, password: Option<&str>, roles: Vec<Role>| PutUser {
        email: email.into(),
        password: password.map(Into::into),
        name: "Someone".into(),
        roles,
    };
    let merchant = Role::Merchant(MerchantId::from_u128(3));
    let made = core.ask(put("m@example.org", Some(PASSWORD), vec![merchant.clone()])).await.unwrap();
    let again = core.ask(put("M@example.org", Some(PASSWORD), vec![merchant.clone()])).await.unwrap();
    assert_eq!(again.id, made.id);
    let session = core.ask_as(None, sign_in("m@example.org", PASSWORD)).await.unwrap();
    assert_eq!(session.account.roles, std::slice::from_ref(&merchant));
    core.ask(put("m@example.org", Some(PASSWORD), vec![merchant.clone()])).await.unwrap();
    core.ask_as(Some(&session.token), Account {}).await.expect("the same again changes nothing");
    let nobody = code(&core.ask_as(Some(&session.token), put("x@example.org", None, vec![Role::Admin])).await);
    assert_eq!(nobody, Some(Code::Forbidden), "a merchant makes no admins");

    core.ask(put("m@example.org", None, vec![])).await.unwrap();
    assert_eq!(code(&core.ask_as(Some(&session.token), Account {}).await), Some(Code::SessionExpired));
    let session = core.ask_as(None, sign_in("m@example.org", PASSWORD)).await.expect("the password was kept");
    assert!(session.account.roles.is_empty());
    core.ask(put("m@example.org", Some("another password"), vec![])).await.unwrap();
    assert_eq!(code(&core.ask_as(None, refresh(&session)).await), Some(Code::SessionExpired));
    assert_eq!(code(&core.ask_as(None, sign_in("m@example.org", PASSWORD)).await), Some(Code::CredentialsInvalid));

    core.ask(put("none@example.org", None, vec![])).await.unwrap();
    let empty = code(&core.ask_as(None, sign_in("none@example.org", "")).await);
    assert_eq!(empty, Some(Code::CredentialsInvalid), "nobody signs in without a password");

    let admin = core.ask(put("root@example.org", Some(PASSWORD), vec![Role::Admin])).await.unwrap();
    let session = core.ask_as(None, sign_in("root@example.org", PASSWORD)).await.unwrap();
    let page = core.ask_as(Some(&session.token), Users { cursor: None, limit: Some(2) }).await.unwrap();
    let rest =
        core.ask_as(Some(&session.token), Users { cursor: page.next_cursor.clone(), limit: Some(2) }).await.unwrap();
    assert_eq!(page.items.iter().chain(&rest.items).count(), 3);
    assert_eq!((rest.items[0].id, rest.next_cursor), (admin.id, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gave_whom_which_roles_is_kept_and_cannot_be_changed() {
    let core = open().await;
    let put = |email: &str, roles: Vec<Role>| PutUser {
        email: email.into(),
        password: Some(PASSWORD.into()),
        name: "Someone".into(),
        roles,
    };
    let root = core.ask(put("root@example.org", vec![Role::Admin])).await.unwrap();
    let token = core.ask_as(None, sign_in("root@example.org", PASSWORD)).await.unwrap().token;
    let merchant = vec![Role::Merchant(MerchantId::from_u128(3))];
    let made = core.ask_as(Some(&token), put("m@example.org", vec![])).await.unwrap();
    for _ in 0..2 {
        core.ask_as(Some(&token), put("m@example.org", merchant.clone())).await.unwrap();
    }
    let page = |cursor| RoleChanges { cursor, limit: Some(2) };
    let newest = core.ask_as(Some(&token), page(None)).await.unwrap();
    let [given, opened] = &newest.items[..] else { panic!("{newest:?}") };
    assert_eq!((given.account, &given.who, given.password), (made.id, &root.id.to_string(), false));
    assert_eq!((given.before.as_deref(), &given.after), (Some(&[][..]), &merchant), "the same again is no change");
    assert_eq!((opened.account, opened.before.as_deref(), opened.password), (made.id, None, true));
    let rest = core.ask_as(Some(&token), page(newest.next_cursor.clone())).await.unwrap();
    let [first] = &rest.items[..] else { panic!("{rest:?}") };
    assert_eq!((first.account, first.who.as_str(), rest.next_cursor.as_deref()), (root.id, "service", None));
    let text = serde_json::to_string(&newest).unwrap();
    assert!(!text.contains('@'), "ids only: {text}");
    let theirs = core.ask_as(None, sign_in("m@example.org", PASSWORD)).await.unwrap().token;
    assert_eq!(code(&core.ask_as(Some(&theirs), page(None)).await), Some(Code::Forbidden));
    let pool = core.pool("identity").await;
    for change in ["update role_change set who = 'nobody'", "delete from role_change", "truncate role_change"] {
        assert!(sqlx::query(change).execute(&pool).await.is_err(), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_lost_its_meaning_is_swept_away() {
    let mut core = open().await;
    let session = core.ask_as(None, ada()).await.unwrap();
    core.ask_as(None, sign_in("ada@example.org", "wrong one")).await.err().unwrap();
    core.ask_as(Some(&session.token), SignOut::default()).await.unwrap();
    let pool = core.pool("identity").await;
    sqlx::query("update revoked set until = until - interval '1 day'").execute(&pool).await.unwrap();
    sqlx::query("update session set refresh_expires = opened - interval '1 day'").execute(&pool).await.unwrap();
    sqlx::query("update sign_in_attempts set since = since - interval '1 day'").execute(&pool).await.unwrap();
    core.stop().await;
    core.start().await;
    eventually("empty tables", async || {
        let left: i64 = sqlx::query_scalar(
            "select (select count(*) from revoked) + (select count(*) from session) + (select count(*) from refresh)
                  + (select count(*) from sign_in_attempts)",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_leaves_nothing_personal_and_its_e_mail_is_free() {
    let core = open().await;
    let first = core.ask_as(None, ada()).await.unwrap();
    let other = core.ask_as(None, sign_in("ada@example.org", PASSWORD)).await.unwrap();
    assert_eq!(code(&core.ask_as(None, delete(PASSWORD)).await), Some(Code::Unauthenticated));
    for wrong in ["", "not the one", &"x".repeat(1000)] {
        let refused = core.ask_as(Some(&first.token), delete(wrong)).await;
        assert_eq!(code(&refused), Some(Code::CredentialsInvalid));
    }
    for session in [&first, &other] {
        assert_eq!(core.ask_as(Some(&session.token), Account {}).await.unwrap(), first.account, "nothing has happened");
    }
    core.ask_as(Some(&first.token), delete(PASSWORD)).await.unwrap();
    let pool = core.pool("identity").await;
    let left: (i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from profile), (select count(*) from sign_in_attempts),
                (select count(*) from session where ended is null), (select count(*) from account where password is not null)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(left, (0, 0, 0, 0));
    assert_eq!(core.ask(Revoked { after: 0 }).await.unwrap().entries.len(), 2);
    for session in [&first, &other] {
        assert_eq!(code(&core.ask_as(Some(&session.token), Account {}).await), Some(Code::SessionExpired));
        assert_eq!(code(&core.ask_as(None, refresh(session)).await), Some(Code::SessionExpired));
        // Whoever did not hear the answer asks again: there is nothing left to do it with.
        assert_eq!(code(&core.ask_as(Some(&session.token), delete(PASSWORD)).await), Some(Code::SessionExpired));
    }
    let refused = core.ask_as(None, sign_in("ada@example.org", PASSWORD)).await;
    assert_eq!(code(&refused), Some(Code::CredentialsInvalid));

    let again = core.ask_as(None, ada()).await.unwrap();
    assert_ne!((again.account.id, &again.cart_secret), (first.account.id, &first.cart_secret), "somebody new");
    let listed = core.ask(Users::default()).await.unwrap().items;
    assert_eq!(listed.iter().map(|account| account.id).collect::<Vec<_>>(), [again.account.id]);
    let deletions: i64 = sqlx::query_scalar("select count(*) from deletion").fetch_one(&pool).await.unwrap();
    assert_eq!(deletions, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_tries_all_passwords_of_a_browser_that_was_left_open() {
    let core = open().await;
    let session = core.ask_as(None, ada()).await.unwrap();
    for _ in 0..bodega_identity::limits::SIGN_IN_ATTEMPTS_MAX {
        let wrong = core.ask_as(Some(&session.token), delete("not the one")).await;
        assert_eq!(code(&wrong), Some(Code::CredentialsInvalid));
    }
    let right = core.ask_as(Some(&session.token), delete(PASSWORD)).await;
    assert_eq!(code(&right), Some(Code::TooManyRequests));
    let signs_in = core.ask_as(None, sign_in("ada@example.org", PASSWORD)).await;
    assert_eq!(code(&signs_in), Some(Code::TooManyRequests), "one limit for both");
    core.ask_as(Some(&session.token), Account {}).await.expect("the account is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_roles_is_deleted_when_an_admin_has_taken_them() {
    let core = open().await;
    let put = |roles: Vec<Role>| PutUser {
        email: "m@example.org".into(),
        password: Some(PASSWORD.into()),
        name: "Someone".into(),
        roles,
    };
    for role in [Role::Admin, Role::Merchant(MerchantId::from_u128(3))] {
        core.ask(put(vec![role])).await.unwrap();
        let session = core.ask_as(None, sign_in("m@example.org", PASSWORD)).await.unwrap();
        let refused = core.ask_as(Some(&session.token), delete(PASSWORD)).await.err().unwrap();
        assert_eq!(refused.code, Code::Forbidden);
        assert!(refused.detail.contains("An admin takes them away first"), "{}", refused.detail);
        core.ask_as(Some(&session.token), Account {}).await.expect("nothing has happened");
    }
    let relieved = core.ask(put(vec![])).await.unwrap();
    let session = core.ask_as(None, sign_in("m@example.org", PASSWORD)).await.unwrap();
    core.ask_as(Some(&session.token), delete(PASSWORD)).await.unwrap();
    let made = core.ask(put(vec![])).await.unwrap();
    assert_ne!(made.id, relieved.id, "an admin makes a new account and wakes no old one");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_outlives_its_account_by_being_opened_while_it_is_deleted() {
    let core = open().await;
    let session = core.ask_as(None, ada()).await.unwrap();
    let opened = Mutex::new(Vec::new());
    let (core, opened) = (&core, &opened);
    // Fewer than the limit, so that it is the deletion that ends them.
    let sign_ins = (0..6).map(|n| {
        let token = session.token.clone();
        async move {
            if n == 3 {
                core.ask_as(Some(&token), delete(PASSWORD)).await.unwrap();
            } else if let Ok(session) = core.ask_as(None, sign_in("ada@example.org", PASSWORD)).await {
                opened.lock().unwrap().push(session);
            }
        }
    });
    futures_of(sign_ins).await;
    let pool = core.pool("identity").await;
    let live = "select count(*) from session where ended is null";
    assert_eq!(sqlx::query_scalar::<_, i64>(live).fetch_one(&pool).await.unwrap(), 0);
    let tokens: Vec<String> = opened.lock().unwrap().iter().map(|session| session.token.clone()).collect();
    for token in tokens {
        assert_eq!(code(&core.ask_as(Some(&token), Account {}).await), Some(Code::SessionExpired));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_service_is_asked_until_it_has_heard_and_once_more_for_a_late_checkout() {
    let mut core = open().await;
    let session = core.ask_as(None, ada()).await.unwrap();
    core.ask_as(Some(&session.token), delete(PASSWORD)).await.unwrap();
    let pool = core.pool("identity").await;
    let holds = async |what: &str, condition: &str| {
        let query = format!("select {condition} from deletion");
        eventually(what, || async {
            let found: Option<bool> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(query.clone())).fetch_one(&pool).await.unwrap();
            found.filter(|holds| *holds)
        })
        .await;
    };
    holds("two tries in vain", "tries >= 2").await;
    core.stop().await;
    core.start().await;
    let mut asked = core.bus.client().subscribe("order.v1.forget").await.unwrap();
    core.bus.client().flush().await.unwrap();
    let mut forget = async || {
        let ask = asked.next().await.unwrap();
        core.bus.client().publish(ask.reply.unwrap(), r#"{"ok":{}}"#.into()).await.unwrap();
        String::from_utf8(ask.payload.to_vec()).unwrap()
    };
    let expected = format!(r#"{{"owner":{{"account":"{}"}}}}"#, session.account.id);
    assert_eq!(forget().await, expected, "also after a restart");
    let minutes = bodega_identity::limits::LAST_ORDER_MIN;
    let again = format!("tries = 0 and done is null and due = asked + make_interval(mins => {minutes})");
    holds("another asking to be due", &again).await;
    let age = "update deletion set asked = asked - interval '1 hour', due = due - interval '1 hour'";
    sqlx::query(age).execute(&pool).await.unwrap();
    assert_eq!(forget().await, expected);
    holds("the end", "done is not null").await;
}
