//! Carts on real servers: nothing that was merged is lost, whoever merges at the same time.

use bodega_domain::{
    Code,
    cart::Cart,
    id::{AccountId, SessionId},
    message::cart::{Adopt, Merge},
    money::Currency,
    token::{AccountClaims, GuestClaims, base64url, from_base64url, mint_account, mint_guest, sha256},
};
use bodega_platform::sqlx;
use bodega_test_core::{Core, code, fields};

async fn open() -> Core {
    Core::open(&[bodega_cart::service()], "").await
}

fn name(secret: &str) -> String {
    base64url(&sha256(secret.as_bytes()))
}

fn guest(core: &Core) -> String {
    let claims = GuestClaims { session: SessionId::from_u128(1), expires: core.clock.now().plus_min(5) };
    mint_guest(&core.config.keys.guest, &claims).unwrap()
}

fn account(core: &Core, id: u128) -> String {
    let now = core.clock.now();
    let (account, session) = (AccountId::from_u128(id), SessionId::from_u128(2));
    let claims = AccountClaims { account, session, roles: vec![], issued: now, expires: now.plus_min(5) };
    mint_account(&core.config.keys.identity[0], &claims).unwrap()
}

fn merge(secret: &str, cart: &Cart) -> Merge {
    Merge { cart: name(secret), state: base64url(&cart.encode()), adopt: None }
}

fn look(secret: &str) -> Merge {
    Merge { cart: name(secret), state: String::new(), adopt: None }
}

fn adopt(into: &str, guest: &str, state: &Cart) -> Merge {
    let adopt = Some(Adopt { cart: name(guest), state: base64url(&state.encode()) });
    Merge { cart: name(into), state: String::new(), adopt }
}

async fn ask(core: &Core, token: &str, request: Merge) -> Cart {
    let merged = core.ask_as(Some(token), request).await.unwrap();
    Cart::decode(&from_base64url(&merged.state).unwrap()).unwrap()
}

/// A tick of now.
fn tick(core: &Core) -> u64 {
    Cart::new().next_tick(core.clock.now(), 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_of_two_edges_meet_in_the_core() {
    let core = open().await;
    let token = guest(&core);
    let t = tick(&core);
    let (mut here, mut there) = (Cart::new(), Cart::new());
    here.add(7, 1, 100, t).unwrap();
    there.add(7, 1, 200, t).unwrap();
    there.add(9, 2, 300, t + 1).unwrap();
    there.add_code("SPRING", t + 2).unwrap();
    there.set_currency(Currency::JPY, t + 3);
    assert_eq!(ask(&core, &token, merge("a", &here)).await, here);
    let merged = ask(&core, &token, merge("a", &there)).await;
    assert_eq!(merged.lines().collect::<Vec<_>>(), [(7, 2), (9, 2)]);
    assert_eq!((merged.codes(), merged.currency()), (&["SPRING".to_owned()][..], Some(Currency::JPY)));
    assert_eq!(ask(&core, &token, merge("a", &here)).await, merged, "again is the same");
    assert_eq!(ask(&core, &token, look("a")).await, merged);
    assert!(ask(&core, &token, look("b")).await.is_empty(), "another cart is another");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_merges_at_once_none_is_lost() {
    let core = open().await;
    let token = guest(&core);
    let t = tick(&core);
    let merges = (0..300_u32).map(|n| {
        let (core, token) = (&core, &token);
        async move {
            let mut part = Cart::new();
            part.add(n % 60 + 1, 1, n, t + u64::from(n)).unwrap();
            ask(core, token, merge(["a", "b", "c"][usize::try_from(n % 3).unwrap()], &part)).await
        }
    });
    futures::future::join_all(merges).await;
    let mut units = 0;
    for secret in ["a", "b", "c"] {
        units += ask(&core, &token, look(secret)).await.lines().map(|(_, quantity)| quantity).sum::<u32>();
    }
    assert_eq!(units, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_cart_is_adopted_once_and_the_larger_quantity_counts() {
    let core = open().await;
    let (guest, ada) = (guest(&core), account(&core, 1));
    let t = tick(&core);
    let (mut own, mut brought) = (Cart::new(), Cart::new());
    own.set(1, 2, t).unwrap();
    own.set(2, 5, t).unwrap();
    brought.set(1, 3, t).unwrap();
    brought.set(2, 1, t).unwrap();
    ask(&core, &ada, merge("ada", &own)).await;
    let adopted = ask(&core, &ada, adopt("ada", "guest", &brought)).await;
    assert_eq!(adopted.lines().collect::<Vec<_>>(), [(1, 3), (2, 5)]);

    let mut fewer = adopted.clone();
    fewer.set(1, 1, adopted.largest_tick() + 1).unwrap();
    ask(&core, &ada, merge("ada", &fewer)).await;
    let again = ask(&core, &ada, adopt("ada", "guest", &brought)).await;
    assert_eq!(again.quantity(1), 1, "asked again, it is not adopted again");

    assert_eq!(code(&core.ask_as(Some(&guest), adopt("x", "y", &brought)).await), Some(Code::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_that_an_account_adopted_into_is_its_own_alone() {
    let core = open().await;
    let (guest, ada, bob) = (guest(&core), account(&core, 1), account(&core, 2));
    let mut brought = Cart::new();
    brought.set(1, 3, tick(&core)).unwrap();
    ask(&core, &ada, adopt("ada", "guest", &brought)).await;
    for token in [&guest, &bob] {
        assert_eq!(code(&core.ask_as(Some(token), look("ada")).await), Some(Code::Forbidden));
        assert_eq!(code(&core.ask_as(Some(token), merge("ada", &brought)).await), Some(Code::Forbidden));
    }
    let theft = core.ask_as(Some(&bob), adopt("bob", "ada", &brought)).await;
    assert_eq!(code(&theft), Some(Code::Forbidden));
    assert_eq!(ask(&core, &ada, look("ada")).await.quantity(1), 3);
    assert_eq!(code(&core.ask_as(None, look("ada")).await), Some(Code::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_cart_is_refused_by_field() {
    let core = open().await;
    let token = guest(&core);
    let broken = Merge { cart: "short".into(), state: "AAAA".into(), adopt: None };
    let named = fields(&core.ask_as(Some(&token), broken).await);
    assert_eq!(named, [("/cart", "cart"), ("/state", "state")].map(|(p, c)| (p.to_owned(), c.to_owned())));
    let long = Merge { cart: name("a"), state: "A".repeat(300_000), adopt: None };
    assert_eq!(fields(&core.ask_as(Some(&token), long).await).len(), 1);
    let into_itself = core.ask_as(Some(&account(&core, 1)), adopt("a", "a", &Cart::new())).await;
    assert_eq!(fields(&into_itself), [("/adopt/cart".to_owned(), "same".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_everything_works_and_a_new_redis_knows_nothing_wrong() {
    let core = open().await;
    let token = guest(&core);
    let mut cart = Cart::new();
    cart.set(1, 1, tick(&core)).unwrap();
    ask(&core, &token, merge("a", &cart)).await;
    core.servers.kill_redis();
    cart.set(1, 2, cart.largest_tick() + 1).unwrap();
    ask(&core, &token, merge("a", &cart)).await;
    assert_eq!(ask(&core, &token, look("a")).await.quantity(1), 2);
    core.servers.restart_redis().unwrap();
    assert_eq!(ask(&core, &token, look("a")).await.quantity(1), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_lines_are_kept_and_old_tombstones_are_not() {
    let core = open().await;
    let token = guest(&core);
    let old = Cart::new().next_tick(core.clock.now().plus_days(-31), 0);
    let mut cart = Cart::new();
    cart.set(1, 1, old).unwrap();
    cart.set(1, 0, old + 1).unwrap();
    for sku in 2..=200 {
        cart.set(sku, sku, tick(&core)).unwrap();
    }
    let merged = ask(&core, &token, merge("a", &cart)).await;
    assert_eq!(merged.lines().count(), 199);
    let mut expected = cart.clone();
    expected.prune(core.clock.now());
    assert_eq!(merged, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_guests_carts_are_deleted_and_accounts_keep_theirs() {
    let mut core = open().await;
    let (guest, ada) = (guest(&core), account(&core, 1));
    let mut cart = Cart::new();
    cart.set(1, 1, tick(&core)).unwrap();
    ask(&core, &guest, merge("old", &cart)).await;
    ask(&core, &ada, adopt("ada", "guest", &cart)).await;
    let pool = core.pool("cart").await;
    sqlx::query("update cart set updated = updated - interval '91 days'").execute(&pool).await.unwrap();
    ask(&core, &guest, merge("new", &cart)).await;
    core.stop().await;
    core.start().await;
    bodega_tests::eventually("the sweep", async || {
        let left: Vec<String> = sqlx::query_scalar("select cart from cart").fetch_all(&pool).await.unwrap();
        (left.len() == 2 && left.contains(&name("ada")) && left.contains(&name("new"))).then_some(())
    })
    .await;
}
