//! Where people's names, addresses and e-mail are: in the order's contact, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    address::{Address, Contact},
    cart::Cart,
    id::{OrderId, SessionId},
    message::{
        cart::Merge,
        identity::{DeleteAccount, Register, Update},
        order::{Cancel, History, Pay},
    },
    order::{OrderStatus, OrderView},
    token::{Role, base64url, sha256},
};
use bodega_platform::sqlx::{self, PgPool};
use bodega_tests::eventually;
use futures::StreamExt as _;

use crate::{
    saga::account,
    shop::{BREAD, Guest, LAMP, Shop},
};

/// Words that occur nowhere by chance, one for each kind of what names a person.
const NAMES: [&str; 5] =
    ["Quillfeather", "zenobia.quill@example.org", "Larkspur Passage 77", "Courtyard Sixthdoor", "Oberbillwerder"];

fn zenobia() -> Address {
    Address {
        name: "Zenobia Quillfeather".into(),
        line1: "Larkspur Passage 77".into(),
        line2: Some("Courtyard Sixthdoor".into()),
        city: "Oberbillwerder".into(),
        region: None,
        postal_code: "10115".into(),
        country: "DE".parse().unwrap(),
    }
}

/// Refused once, paid with another card, then called off and refunded: every table that an order can reach is written.
async fn a_whole_life(shop: &Shop, guest: &Guest) -> OrderView {
    let quote = shop.quote(guest, &[(BREAD, 2), (LAMP, 1)]).await;
    let mut place = shop.order(&quote, "life", "card_refused");
    place.contact = Contact { email: "zenobia.quill@example.org".into(), name: "Zenobia Quillfeather".into() };
    place.shipping_address = zenobia();
    place.billing_address = Some(zenobia());
    let payment = bodega_domain::message::order::PaymentChoice { method: "card_ok".into(), ..place.payment.clone() };
    let order = shop.place(guest, place).await.unwrap();
    let pay = Pay { order: order.id, key: "again".into(), payment, wait_ms: 8_000, return_url: None };
    shop.core.ask_as(Some(&guest.token), pay).await.unwrap();
    shop.until_status(guest, order.id, OrderStatus::Paid).await;
    let cancel = Cancel { order: order.id, key: "off".into(), lines: Vec::new(), refund: None, reason: None };
    shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
    shop.until_status(guest, order.id, OrderStatus::Cancelled).await;
    eventually("the refund", || async {
        let amounts = shop.get(guest, order.id).await.payment.amounts;
        (amounts.refunded == amounts.captured).then_some(())
    })
    .await;
    shop.get(guest, order.id).await
}

/// Every table of every schema.
async fn tables(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select format('%I.%I', table_schema, table_name) from information_schema.tables
         where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema') order by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// Whether any row of a table holds the word, as text or as the bytes of a binary column.
async fn holds(pool: &PgPool, table: &str, word: &str) -> bool {
    let query = format!(
        "select exists (select from {table} as t where strpos(lower(t::text), lower($1)) > 0
                        or strpos(t::text, encode(convert_to($1, 'UTF8'), 'hex')) > 0)"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).bind(word).fetch_one(pool).await.unwrap()
}

const PASSWORD: &str = "nine lives and one more";

/// Zenobia with an account, a cart in the core, and an address to be filled in next time.
async fn signed_up(shop: &Shop) -> Guest {
    let (email, name) = ("zenobia.quill@example.org".into(), "Zenobia Quillfeather".into());
    let opened = shop.core.ask_as(None, Register { email, password: PASSWORD.into(), name }).await.unwrap();
    let update = Update { address: Some(zenobia()), ..Update::default() };
    shop.core.ask_as(Some(&opened.token), update).await.unwrap();
    let mut cart = Cart::new();
    let tick = cart.next_tick(shop.core.clock.now(), 0);
    cart.add(shop.skus[BREAD], 1, 1, tick).unwrap();
    let named = base64url(&sha256(opened.cart_secret.as_bytes()));
    let merge = Merge { cart: named, state: base64url(&cart.encode()), adopt: None };
    shop.core.ask_as(Some(&opened.token), merge).await.unwrap();
    // The session's id is not looked at: the token says who it is.
    Guest { token: opened.token, session: SessionId::from_u128(0) }
}

/// The tables that hold each of the words.
async fn named_in(pool: &PgPool, all: &[String]) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for word in NAMES {
        for table in all {
            if holds(pool, table, word).await {
                found.entry(word).or_insert_with(BTreeSet::new).insert(table.clone());
            }
        }
    }
    found
}

#[tokio::test]
async fn who_the_shopper_is_stands_in_the_order_s_contact_and_the_profile_and_nowhere_else() {
    let shop = Shop::open_with_accounts().await;
    let guest = signed_up(&shop).await;
    // What the order service asks of others; `order.v1.*` brings the address in, so it is not among them.
    let mut asked = shop.core.bus.client().subscribe("*.v1.*").await.unwrap();
    shop.core.bus.client().flush().await.unwrap();
    let order = a_whole_life(&shop, &guest).await;

    let admin = shop.core.config.database.admin_url_of("order");
    let pool = PgPool::connect(admin.expose()).await.unwrap();
    let all = tables(&pool).await;
    assert!(all.len() > 50, "the tables of seven services: {all:?}");
    let places = BTreeSet::from(["\"order\".contact".to_owned(), "identity.profile".to_owned()]);
    assert_eq!(named_in(&pool, &all).await, NAMES.map(|word| (word, places.clone())).into());
    let carts: i64 = sqlx::query_scalar("select count(*) from cart.cart").fetch_one(&pool).await.unwrap();
    assert_eq!(carts, 1, "a cart was among what was looked at");

    let told = "select count(*) from \"order\".outbox";
    let told: i64 = sqlx::query_scalar(told).fetch_one(&pool).await.unwrap();
    assert!(told >= 3, "placed, paid and cancelled are told, and were looked at above: {told} events");
    shop.core.bus.client().publish("test.v1.end", "".into()).await.unwrap();
    let mut asks = BTreeSet::new();
    while let Some(ask) = asked.next().await.filter(|ask| ask.subject.as_str() != "test.v1.end") {
        // What shoppers tell of themselves goes to these two.
        if !ask.subject.starts_with("order.v1.") && !ask.subject.starts_with("identity.v1.") {
            none_in(&ask.subject, &ask.payload);
            asks.insert(ask.subject.to_string());
        }
    }
    assert!(asks.contains("inventory.v1.hold") && asks.contains("payment.v1.open"), "{asks:?}");
    assert_eq!(order.status, OrderStatus::Cancelled);

    shop.core.ask_as(Some(&guest.token), DeleteAccount { password: PASSWORD.into() }).await.unwrap();
    eventually("nobody to be named anywhere", || async { named_in(&pool, &all).await.is_empty().then_some(()) }).await;
    shop.close().await;
}

#[tokio::test]
async fn an_order_under_way_is_forgotten_when_it_has_ended_and_other_people_s_never() {
    let shop = Shop::open_with_accounts().await;
    let (zenobia, other) = (signed_up(&shop).await, shop.guest());
    let ended = shop.buy(&zenobia, &[(BREAD, 1)], "ended", "card_refused").await;
    let cancel = |order, key: &str| Cancel { order, key: key.into(), lines: Vec::new(), refund: None, reason: None };
    shop.core.ask_as(Some(&zenobia.token), cancel(ended.id, "off")).await.unwrap();
    shop.until_status(&zenobia, ended.id, OrderStatus::Cancelled).await;
    let running = shop.buy(&zenobia, &[(BREAD, 1)], "running", "card_ok").await;
    shop.until_status(&zenobia, running.id, OrderStatus::Paid).await;
    let somebody_else_s = shop.buy(&other, &[(BREAD, 1)], "k", "card_ok").await;
    shop.until_status(&other, somebody_else_s.id, OrderStatus::Paid).await;
    shop.core.ask_as(Some(&zenobia.token), DeleteAccount { password: PASSWORD.into() }).await.unwrap();

    let pool = shop.core.pool("order").await;
    let known = async || -> BTreeSet<OrderId> {
        let known = "select order_id from contact where num_nonnulls(email, name, shipping, billing) > 0";
        let ids: Vec<sqlx::types::Uuid> = sqlx::query_scalar(known).fetch_all(&pool).await.unwrap();
        ids.into_iter().map(|id| OrderId::from_u128(id.as_u128())).collect()
    };
    let (running, other_s) = (running.id, somebody_else_s.id);
    eventually("the ended order to be forgotten", || async {
        (known().await == BTreeSet::from([running, other_s])).then_some(())
    })
    .await;
    let admin = account(&shop, vec![Role::Admin], 3);
    shop.core.ask_as(Some(&admin), cancel(running, "off")).await.unwrap();
    eventually("the running one too", || async { (known().await == BTreeSet::from([other_s])).then_some(()) }).await;
    let entries = shop.core.ask_as(Some(&admin), History { order: running }).await.unwrap();
    let at = |what: &str| entries.iter().position(|entry| entry.what == what).unwrap_or_else(|| panic!("{entries:?}"));
    assert!(at("forget_asked") < at("contact_forgotten"), "{entries:?}");
    shop.close().await;
}

fn none_in(subject: &str, payload: &[u8]) {
    let text = String::from_utf8_lossy(payload);
    for word in NAMES {
        assert!(!text.contains(word), "{subject} carries {word:?}: {text}");
    }
}

#[tokio::test]
async fn deleting_a_person_breaks_nothing_else() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 1)], "k", "card_ok").await;
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    let pool = shop.core.pool("order").await;
    let emptied = sqlx::query("update contact set email = null, name = null, shipping = null, billing = null");
    assert_eq!(emptied.execute(&pool).await.unwrap().rows_affected(), 1);
    let read = shop.get(&guest, order.id).await;
    assert_eq!((read.status, read.totals), (OrderStatus::Paid, order.totals));
    let cancel = Cancel { order: order.id, key: "off".into(), lines: Vec::new(), refund: None, reason: None };
    shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
    shop.until_status(&guest, order.id, OrderStatus::Cancelled).await;
    shop.assert_balanced().await;
    shop.close().await;
}
