//! Protocol 1: a cart is merged by cookie, cell and core, and loses nothing that a shopper did.

use crate::double::{
    Edge, Link,
    client::{Client, quantities},
};
use bodega_domain::limits::CART_LINES_MAX;
use serde_json::json;

fn add(sku: &str) -> Vec<u8> {
    json!({"sku": sku, "quantity": 1}).to_string().into_bytes()
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn two_overlapping_adds_from_one_cookie_jar_are_both_kept_in_either_order_of_answers() {
    for second_answer_first in [false, true] {
        let (edge, other) = Edge::pair();
        let mut browser = Client::new(&edge);
        browser.get("/api/v1/cart");
        // Both requests leave with the same cookies; neither has seen the other's answer.
        let first = browser.send_apart("POST", "/api/v1/cart/lines", &[JSON], &add("BAGUETTE"));
        let second = browser.send_apart("POST", "/api/v1/cart/lines", &[JSON], &add("TEA"));
        let answers = if second_answer_first { [&second, &first] } else { [&first, &second] };
        let before = browser.jar.clone();
        for answer in answers {
            browser.keep(answer);
        }
        let both = [("BAGUETTE".to_owned(), 1), ("TEA".to_owned(), 1)].into();
        assert_eq!(browser.cart(), both, "at the edge that took them");
        edge.run_deferred();
        edge.pass_ms(5_000);
        // At the other edge with the cookies of before: what it knows came through the core.
        browser.jar = before;
        browser.moves_to(&other);
        assert_eq!(browser.cart(), both, "at the other edge within 5 s");
    }
}

#[test]
fn two_overlapping_adds_of_one_article_count_twice() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    browser.get("/api/v1/cart");
    let first = browser.send_apart("POST", "/api/v1/cart/lines", &[JSON], &add("TEA"));
    browser.send_apart("POST", "/api/v1/cart/lines", &[JSON], &add("TEA"));
    browser.keep(&first);
    assert_eq!(browser.cart(), [("TEA".to_owned(), 2)].into());
}

#[test]
fn a_repeated_add_with_one_key_is_one_add_also_at_another_edge() {
    let (edge, other) = Edge::pair();
    let mut browser = Client::new(&edge);
    browser.get("/api/v1/cart");
    let line = json!({"sku": "TEA", "quantity": 2});
    browser.json_keyed("/api/v1/cart/lines", "k-1", &line);
    browser.json_keyed("/api/v1/cart/lines", "k-1", &line);
    edge.run_deferred();
    browser.moves_to(&other);
    browser.json_keyed("/api/v1/cart/lines", "k-1", &line);
    assert_eq!(browser.cart(), [("TEA".to_owned(), 2)].into());
    browser.json_keyed("/api/v1/cart/lines", "k-2", &line);
    assert_eq!(browser.cart(), [("TEA".to_owned(), 4)].into());
    let other = json!({"sku": "BAGUETTE", "quantity": 2});
    assert_eq!(browser.json_keyed("/api/v1/cart/lines", "k-2", &other).code(), "idempotency_key_reused");
    browser.json("PATCH", "/api/v1/cart/lines/TEA", &json!({"quantity": 1}));
    browser.json_keyed("/api/v1/cart/lines", "k-2", &line);
    assert_eq!(browser.cart(), [("TEA".to_owned(), 1)].into(), "a late retry adds nothing to what was set since");
}

#[test]
fn a_change_within_a_second_of_another_reaches_the_core_as_well() {
    let (edge, other) = Edge::pair();
    let mut browser = Client::new(&edge);
    browser.get("/api/v1/cart");
    let named = browser.jar["bodega_cart"].clone();
    for sku in ["TEA", "BAGUETTE", "BREAD-HALF"] {
        edge.pass_ms(10);
        browser.json("POST", "/api/v1/cart/lines", &json!({"sku": sku, "quantity": 1}));
        edge.run_deferred();
    }
    let mut elsewhere = Client::new(&other);
    // It knows which cart it is and nothing of what is in it.
    elsewhere.jar.insert("bodega_cart".into(), named);
    assert_eq!(elsewhere.cart().len(), 3);
}

#[test]
fn a_push_that_is_lost_is_made_once_more() {
    let (edge, other) = Edge::pair();
    let mut browser = Client::new(&edge);
    browser.get("/api/v1/cart");
    let named = browser.jar["bodega_cart"].clone();
    edge.pass_ms(10);
    browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 1}));
    edge.lose_next(1);
    edge.run_deferred();
    let mut elsewhere = Client::new(&other);
    // It knows which cart it is and nothing of what is in it.
    elsewhere.jar.insert("bodega_cart".into(), named);
    assert_eq!(elsewhere.cart(), [("TEA".to_owned(), 1)].into());
}

#[test]
fn an_edge_whose_clock_is_behind_the_core_s_is_in_touch_all_the_same() {
    let edge = Edge::stocked();
    edge.core.ahead_ms.set(1_000);
    let mut browser = Client::new(&edge);
    let cart = browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 1})).json();
    assert_eq!(cart["synced"], true);
}

#[test]
fn the_core_is_asked_about_a_cart_at_most_once_in_five_seconds_of_reading() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 1}));
    edge.run_deferred();
    edge.forget_asked();
    for _ in 0..5 {
        edge.pass_ms(900);
        assert_eq!(browser.get("/api/v1/cart").json()["synced"], true);
    }
    assert_eq!(edge.asked(), Vec::<String>::new());
    edge.pass_ms(2_000);
    browser.get("/api/v1/cart");
    assert_eq!(edge.asked(), ["cart.v1.merge"]);
}

#[test]
fn a_cart_goes_on_without_the_core_and_without_its_cell() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    edge.set_link(Link::Away);
    let answer = browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 3}));
    assert_eq!((answer.status, &answer.json()["synced"]), (200, &json!(false)));
    edge.set_cells_down(true);
    browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "BAGUETTE", "quantity": 1}));
    assert_eq!(browser.cart().len(), 2, "the cookie alone carries it");
    edge.set_cells_down(false);
    edge.set_link(Link::Up);
    let cart = browser.get("/api/v1/cart").json();
    assert_eq!((quantities(&cart).len(), &cart["synced"]), (2, &json!(true)));
}

#[test]
fn quantities_are_set_and_lines_removed() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 3}));
    assert_eq!(quantities(&browser.json("PATCH", "/api/v1/cart/lines/TEA", &json!({"quantity": 7})).json())["TEA"], 7);
    browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "BAGUETTE", "quantity": 1}));
    let cart = browser.send("DELETE", "/api/v1/cart/lines/TEA", &[], b"").json();
    assert_eq!(quantities(&cart), [("BAGUETTE".to_owned(), 1)].into());
    assert_eq!(cart["totals"]["subtotal"], json!({"amount": 179, "currency": "EUR"}));
    assert_eq!(cart["estimated"], true);
}

#[test]
fn totals_are_estimated_with_declarative_rules_and_delivery() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "BREAD-HALF", "quantity": 2}));
    let cart = browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 1})).json();
    let amount = |cart: &serde_json::Value, part: &str| cart["totals"][part]["amount"].as_i64().unwrap();
    assert_eq!(cart["discounts"][0]["label"], "10 % off the <bakery>");
    assert_eq!((amount(&cart, "subtotal"), amount(&cart, "discount"), amount(&cart, "shipping")), (1228, 58, 490));
    assert_eq!(amount(&cart, "total"), 1228 - 58 + 490);
    let cart = browser.json("POST", "/api/v1/cart/codes", &json!({"code": "friends"})).json();
    assert_eq!(cart["discounts"].as_array().unwrap().len(), 2);
    assert!(browser.get("/").text().contains("10 % off the &lt;bakery&gt;"));
}

#[test]
fn the_currency_is_kept_in_the_cart_and_yen_have_no_decimals() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 2}));
    let cart = browser.json("PATCH", "/api/v1/cart", &json!({"currency": "JPY"})).json();
    assert_eq!(cart["lines"][0]["total"], json!({"amount": 2080, "currency": "JPY"}));
    assert!(browser.get("/p/tea").text().contains("¥1,040"));
    assert_eq!(browser.json("PATCH", "/api/v1/cart", &json!({"currency": "CHF"})).code(), "currency_unsupported");
}

#[test]
fn codes_are_kept_and_removed() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    let cart = browser.json("POST", "/api/v1/cart/codes", &json!({"code": " SUMMER ✿ "})).json();
    assert_eq!(cart["codes"], json!(["SUMMER ✿"]));
    let cart = browser.send("DELETE", "/api/v1/cart/codes/summer%20%E2%9C%BF", &[], b"").json();
    assert_eq!(cart["codes"], json!([]));
    assert_eq!(
        browser.json("POST", "/api/v1/cart/codes", &json!({"code": "x".repeat(41)})).code(),
        "code_not_applicable"
    );
}

#[test]
fn a_program_without_a_cookie_jar_keeps_the_cart_in_a_header() {
    let edge = Edge::stocked();
    let mut program = Client::new(&edge);
    let body = add("TEA");
    let first = program.send_apart("POST", "/api/v1/cart/lines", &[JSON], &body);
    for name in ["bodega-cart", "bodega-session"] {
        program.headers.push((name, first.header(name).to_owned()));
    }
    let again = program.send_apart("GET", "/api/v1/cart", &[], b"");
    assert_eq!(quantities(&again.json()), [("TEA".to_owned(), 1)].into());
    assert_eq!(again.json()["id"], first.json()["id"]);
}

#[test]
fn bad_cookies_are_passed_over_and_replaced() {
    let edge = Edge::stocked();
    for bad in ["", "junk", "c1.g.AAAA.AAAA", "c1.g..", "g1.g.e30.AAAA", "\u{80}", "a1.i1.e30.AAAA"] {
        let mut browser = Client::new(&edge);
        browser.jar.insert("bodega_cart".into(), bad.into());
        browser.jar.insert("bodega_session".into(), bad.into());
        let answer = browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 1}));
        assert_eq!(answer.status, 200, "{bad}: {}", answer.text());
        assert!(browser.jar["bodega_cart"].starts_with("c1.g."));
        assert!(browser.jar["bodega_session"].starts_with("g1.g."));
    }
}

#[test]
fn signing_in_takes_the_guest_s_cart_along_once_and_signing_out_leaves_an_empty_one() {
    let (edge, other) = Edge::pair();
    let mut browser = Client::new(&edge);
    browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 2}));
    let ada = json!({"email": "ada@example.org", "password": "correct horse"});
    assert_eq!(browser.json("POST", "/api/v1/session", &ada).status, 200);
    assert_eq!(browser.cart(), [("TEA".to_owned(), 2)].into());
    edge.run_deferred();

    let mut elsewhere = Client::new(&other);
    assert_eq!(elsewhere.json("POST", "/api/v1/session", &ada).status, 200);
    assert_eq!(elsewhere.cart(), [("TEA".to_owned(), 2)].into(), "an empty jar at the other edge finds the cart");

    assert_eq!(browser.send("DELETE", "/api/v1/session", &[], b"").status, 204);
    assert!(browser.cart().is_empty());
    assert_eq!(elsewhere.cart().len(), 1, "the account's own cart is as it was");
}

#[test]
fn a_cart_that_could_not_be_taken_over_at_sign_in_is_taken_over_later() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 2}));
    let refusal = (String::from("cart.v1.merge"), bodega_domain::Failure::internal());
    edge.core.refuse.replace(Some(refusal));
    browser.json("POST", "/api/v1/session", &json!({"email": "ada@example.org", "password": "correct horse"}));
    assert_eq!(browser.cart(), [("TEA".to_owned(), 2)].into());
    let mut elsewhere = Client::new(&edge);
    elsewhere.json("POST", "/api/v1/session", &json!({"email": "ada@example.org", "password": "correct horse"}));
    assert_eq!(elsewhere.cart(), [("TEA".to_owned(), 2)].into());
}

#[test]
fn a_cart_is_full_at_its_limit() {
    let edge = Edge::stocked();
    let full = u32::try_from(CART_LINES_MAX).unwrap();
    for no in 1000..=1000 + full {
        let view = crate::double::goods::sku_view(5).unwrap();
        let mut view = serde_json::to_value(view).unwrap();
        view["sku_no"] = json!(no);
        view["sku"] = json!(format!("MANY-{no}"));
        edge.put(&format!("sku/{no}"), &view);
        edge.put(&format!("skucode/MANY-{no}"), &json!(no));
    }
    let mut browser = Client::new(&edge);
    for no in 1000..1000 + full {
        edge.pass_ms(20);
        let answer = browser.json("POST", "/api/v1/cart/lines", &json!({"sku": format!("MANY-{no}"), "quantity": 1}));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(browser.jar["bodega_cart"].len() < 3_900, "{} characters", browser.jar["bodega_cart"].len());
    let last = json!({"sku": format!("MANY-{}", 1000 + full), "quantity": 1});
    assert_eq!(browser.json("POST", "/api/v1/cart/lines", &last).code(), "cart_full");
    assert_eq!(browser.cart().len(), CART_LINES_MAX);
}

#[test]
fn an_article_that_is_gone_stays_visible_and_can_be_removed() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    browser.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 2}));
    edge.put("sku/5", &json!(null));
    futures::executor::block_on(bodega_storefront::platform::Platform::kv_delete(&edge, "sku/5")).unwrap();
    let cart = browser.get("/api/v1/cart").json();
    assert_eq!((&cart["lines"][0]["sku"], &cart["lines"][0]["available"]), (&json!("no-5"), &json!(false)));
    assert_eq!(cart["totals"]["total"]["amount"], 0);
    browser.send("DELETE", "/api/v1/cart/lines/no-5", &[], b"");
    assert!(browser.cart().is_empty());
}

/// A small generator: a failure names its seed, and the seed repeats it.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn no_add_is_lost_whatever_edges_cookies_and_the_core_do_in_between() {
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let (left, right) = Edge::pair();
        let mut origin = Client::new(&left);
        origin.get("/api/v1/cart");
        // Three devices with the same cart: each holds its own cookie, and comes to either edge.
        let mut devices = [&left, &right, &left].map(|edge| {
            let mut device = Client::new(edge);
            device.jar = origin.jar.clone();
            device
        });
        let mut wanted = std::collections::BTreeMap::new();
        for step in 0..30 {
            let device = &mut devices[usize::try_from(dice.roll(3)).unwrap()];
            match dice.roll(10) {
                0 => device.moves_to(if dice.roll(2) == 0 { &left } else { &right }),
                1 => left.set_link([Link::Up, Link::Away, Link::ReplyLost][usize::try_from(dice.roll(3)).unwrap()]),
                2 => right.set_link([Link::Up, Link::Away, Link::ReplyLost][usize::try_from(dice.roll(3)).unwrap()]),
                3 => left.run_deferred(),
                4 => right.run_deferred(),
                5 => {
                    device.get("/api/v1/cart");
                }
                _ => {
                    left.pass_ms(i64::try_from(dice.roll(3_000)).unwrap());
                    let sku = ["TEA", "BAGUETTE", "BREAD-HALF"][usize::try_from(dice.roll(3)).unwrap()];
                    *wanted.entry(sku.to_owned()).or_insert(0) += 1;
                    let line = json!({"sku": sku, "quantity": 1}).to_string();
                    let headers = [JSON, ("idempotency-key", &format!("{seed}-{step}"))];
                    // The answer is lost now and then, and the request sent again.
                    for _ in 0..=dice.roll(2) {
                        let answer = device.send_apart("POST", "/api/v1/cart/lines", &headers, line.as_bytes());
                        assert_eq!(answer.status, 200, "seed {seed}: {}", answer.text());
                        if dice.roll(4) > 0 {
                            device.keep(&answer);
                        }
                    }
                }
            }
        }
        left.set_link(Link::Up);
        right.set_link(Link::Up);
        for _ in 0..2 {
            for device in &mut devices {
                left.pass_ms(6_000);
                device.get("/api/v1/cart");
                left.run_deferred();
                right.run_deferred();
            }
        }
        for device in &mut devices {
            assert_eq!(device.cart(), wanted, "seed {seed}");
        }
    }
}
