//! Quote, checkout and orders: what the core decided is told as it is, and what nobody knows is not made up.

use crate::double::{Edge, Link, client::Client};
use bodega_domain::{Code, Failure};
use serde_json::{Value, json};

fn address() -> Value {
    json!({"name": "Ada 👩‍🔬", "line1": "Unter den Linden 1", "city": "Berlin", "postal_code": "10117", "country": "DE"})
}

fn checkout(quote: &Value) -> Value {
    json!({
        "quote": quote["token"], "contact": {"email": "ada@example.org", "name": "Ada"}, "shipping_address": address(),
        "payment": {"provider": "simulator", "method": "card_ok"},
    })
}

/// A shopper with tea in the cart and a quote for it.
fn with_quote(edge: &Edge) -> (Client, Value) {
    let mut shopper = Client::new(edge);
    shopper.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 2}));
    let quote = shopper.json("POST", "/api/v1/quote", &json!({"shipping_address": address()})).json();
    assert!(quote["token"].is_string(), "{quote}");
    (shopper, quote)
}

#[test]
fn a_guest_buys_and_the_cart_is_empty_after() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    let answer = shopper.json_keyed("/api/v1/checkout", "key-1", &checkout(&quote));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let order = answer.json();
    assert_eq!(answer.header("location"), format!("/api/v1/orders/{}", order["id"].as_str().unwrap()));
    assert_eq!(order["totals"], quote["totals"]);
    assert!(shopper.cart().is_empty());
    let read = shopper.get(answer.header("location"));
    assert_eq!(read.json()["number"], order["number"]);
    assert_eq!(shopper.get("/api/v1/orders").json()["items"].as_array().unwrap().len(), 1);
    let again = shopper.json_keyed("/api/v1/checkout", "key-1", &checkout(&quote));
    assert_eq!((again.status, &again.json()["id"]), (201, &order["id"]), "the same key answers the order");
}

#[test]
fn what_was_added_after_the_quote_stays_in_the_cart() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    edge.pass_ms(2_000);
    shopper.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 5}));
    shopper.json("POST", "/api/v1/cart/lines", &json!({"sku": "BAGUETTE", "quantity": 1}));
    edge.pass_ms(2_000);
    shopper.json_keyed("/api/v1/checkout", "key-1", &checkout(&quote));
    let after = [("BAGUETTE".to_owned(), 1), ("TEA".to_owned(), 5)].into();
    assert_eq!(shopper.cart(), after);
    shopper.get("/api/v1/checkout/key-1");
    assert_eq!(shopper.cart(), after, "looking at the outcome again takes nothing more");
}

#[test]
fn an_estimate_needs_no_address_and_has_no_token() {
    let edge = Edge::stocked();
    let mut shopper = Client::new(&edge);
    assert_eq!(shopper.json("POST", "/api/v1/quote", &json!({})).code(), "cart_empty");
    shopper.json("POST", "/api/v1/cart/lines", &json!({"sku": "TEA", "quantity": 2}));
    let quote = shopper.json("POST", "/api/v1/quote", &json!({"currency": "JPY"})).json();
    assert_eq!(
        (&quote["token"], &quote["totals"]["subtotal"]),
        (&Value::Null, &json!({"amount": 2080, "currency": "JPY"}))
    );
}

#[test]
fn without_the_core_nothing_is_ordered_and_the_same_key_succeeds_later() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    edge.set_link(Link::Away);
    let answer = shopper.json_keyed("/api/v1/checkout", "key-1", &checkout(&quote));
    assert_eq!((answer.status, answer.code().as_str()), (503, "core_unavailable"));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(shopper.cart().len(), 1, "the cart is as it was");
    edge.set_link(Link::Up);
    assert_eq!(shopper.json_keyed("/api/v1/checkout", "key-1", &checkout(&quote)).status, 201);
    assert_eq!(edge.core.order_count(), 1);
}

#[test]
fn a_lost_reply_is_said_to_be_unknown_and_the_key_tells_what_became_of_it() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    edge.set_link(Link::ReplyLost);
    let answer = shopper.json_keyed("/api/v1/checkout", "key/1", &checkout(&quote));
    assert_eq!((answer.status, answer.code().as_str()), (202, "outcome_unknown"));
    let ask = answer.header("location").to_owned();
    assert_eq!(shopper.get(&ask).code(), "core_unavailable");
    edge.set_link(Link::Up);
    let order = shopper.get(&ask);
    assert_eq!(order.status, 200, "{}", order.text());
    assert!(shopper.cart().is_empty(), "what was ordered has left the cart");
    assert_eq!(shopper.json_keyed("/api/v1/checkout", "key/1", &checkout(&quote)).json()["id"], order.json()["id"]);
    assert_eq!(edge.core.order_count(), 1);
}

#[test]
fn an_unknown_key_becomes_final_when_it_can_no_longer_succeed() {
    let edge = Edge::stocked();
    let mut shopper = Client::new(&edge);
    let first = shopper.get("/api/v1/checkout/never-sent");
    assert_eq!((first.code().as_str(), &first.json()["final"]), ("checkout_not_found", &json!(false)));
    edge.pass_ms(8_001);
    let later = shopper.get("/api/v1/checkout/never-sent");
    assert_eq!((later.code().as_str(), &later.json()["final"]), ("checkout_not_found", &json!(true)));
}

#[test]
fn an_unknown_key_becomes_final_for_a_program_that_keeps_headers_and_no_cookies() {
    let edge = Edge::stocked();
    let mut program = Client::new(&edge);
    let first = program.send_apart("GET", "/api/v1/checkout/never-sent", &[], b"");
    for name in ["bodega-session", "bodega-checkout"] {
        program.headers.push((name, first.header(name).to_owned()));
    }
    edge.pass_ms(8_001);
    let later = program.send_apart("GET", "/api/v1/checkout/never-sent", &[], b"");
    assert_eq!((later.code().as_str(), &later.json()["final"]), ("checkout_not_found", &json!(true)));
    let other = program.send_apart("GET", "/api/v1/checkout/another", &[], b"");
    assert_eq!(other.json()["final"], false, "what was told of one key means nothing for another");
}

#[test]
fn a_lost_reply_tells_its_deadline_in_a_header_too() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    edge.set_link(Link::ReplyLost);
    let answer = shopper.json_keyed("/api/v1/checkout", "key-1", &checkout(&quote));
    assert_eq!(answer.code(), "outcome_unknown");
    let told = answer.header("bodega-checkout").split_once('.').unwrap().1;
    assert!(answer.header("location").ends_with(&format!("deadline={told}")), "{told}");
}

#[test]
fn placing_is_refused_by_a_core_whose_clock_says_that_its_time_is_over() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    edge.core.ahead_ms.set(8_001);
    assert_eq!(
        shopper.json_keyed("/api/v1/checkout", "key-1", &checkout(&quote)).code(),
        "deadline_exceeded",
        "nobody waits for it any more"
    );
}

#[test]
fn a_checkout_needs_a_key_and_every_wrong_field_is_named() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    assert_eq!(shopper.json("POST", "/api/v1/checkout", &checkout(&quote)).code(), "idempotency_key_missing");
    let mut wrong = checkout(&quote);
    wrong["contact"]["email"] = json!("nobody");
    wrong["shipping_address"]["line1"] = json!("");
    wrong["payment"]["method"] = json!("");
    let answer = shopper.json_keyed("/api/v1/checkout", "k", &wrong);
    assert_eq!(answer.code(), "validation_failed");
    let problem = answer.json();
    let named: Vec<_> = problem["fields"].as_array().unwrap().iter().map(|f| f["pointer"].as_str().unwrap()).collect();
    assert_eq!(named, ["/contact/email", "/shipping_address/line1", "/payment/method"]);
    let mut unknown = checkout(&quote);
    unknown["shipping_address"]["planet"] = json!("Mars");
    let answer = shopper.json_keyed("/api/v1/checkout", "k", &unknown);
    assert_eq!(answer.json()["fields"][0]["pointer"], "/shipping_address/planet");
    for token in ["", "q1.x", &"x".repeat(50_000)] {
        let mut forged = checkout(&quote);
        forged["quote"] = json!(token);
        assert_eq!(shopper.json_keyed("/api/v1/checkout", "k2", &forged).code(), "quote_invalid");
    }
}

#[test]
fn refusals_of_the_core_are_passed_on_as_they_are() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    for code in [
        Code::OutOfStock,
        Code::QuoteMismatch,
        Code::QuoteUsed,
        Code::QuoteExpired,
        Code::IdempotencyKeyReused,
        Code::TooManyUnpaid,
        Code::DeadlineExceeded,
        Code::Overloaded,
    ] {
        let failure = Failure::from(code).field("/lines/TEA", "sold_out", "Sold out.");
        edge.core.refuse.replace(Some(("order.v1.place".into(), failure)));
        let answer = shopper.json_keyed("/api/v1/checkout", "k", &checkout(&quote));
        assert_eq!((answer.status, answer.code().as_str()), (code.http_status(), code.as_str()));
        assert_eq!(answer.json()["fields"][0]["pointer"], "/lines/TEA");
    }
    assert_eq!(shopper.cart().len(), 1);
}

#[test]
fn an_order_is_paid_again_and_cancelled_with_a_key() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    let mut refused = checkout(&quote);
    refused["payment"]["method"] = json!("card_refused");
    let order = shopper.json_keyed("/api/v1/checkout", "k", &refused).json();
    assert_eq!(order["payment"]["status"], "refused");
    let at = format!("/api/v1/orders/{}", order["id"].as_str().unwrap());
    let card = json!({"payment": {"provider": "simulator", "method": "card_ok"}});
    assert_eq!(shopper.json("POST", &format!("{at}/payments"), &card).code(), "idempotency_key_missing");
    assert_eq!(shopper.json_keyed(&format!("{at}/payments"), "p", &card).json()["status"], "paid");
    let headers = [("idempotency-key", "c")];
    assert_eq!(shopper.send("POST", &format!("{at}/cancel"), &headers, b"").json()["status"], "cancelled");
}

#[test]
fn a_guest_s_link_opens_the_order_elsewhere_and_leaves_the_secret_behind() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    let order = shopper.json_keyed("/api/v1/checkout", "k", &checkout(&quote)).json();
    let (link, id) = (order["link"].as_str().unwrap(), order["id"].as_str().unwrap());
    let mut elsewhere = Client::new(&edge);
    assert_eq!(elsewhere.get(&format!("/api/v1/orders/{id}")).code(), "order_not_found");
    let answer = elsewhere.get(link);
    assert_eq!((answer.status, answer.header("location")), (303, format!("/orders/{id}").as_str()));
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let page = elsewhere.get(&format!("/orders/{id}"));
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("Make a new link"), "who only has the link cannot take it from the others");
    assert_eq!(Client::new(&edge).get(&format!("/o/{id}/wrong-secret")).status, 404);
    let logged = edge.log_lines().join("\n");
    assert!(!logged.contains("0123456789abcdef"), "the secret is in no log line");
}

#[test]
fn who_has_the_link_and_the_e_mail_calls_the_order_off() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    let mut unpaid = checkout(&quote);
    unpaid["payment"]["method"] = json!("card_refused");
    let order = shopper.json_keyed("/api/v1/checkout", "k", &unpaid).json();
    let (link, id) = (order["link"].as_str().unwrap(), order["id"].as_str().unwrap());
    let (path, mail) = (format!("/orders/{id}"), json!({"email": "ada@example.org"}));
    let cancel = format!("/api/v1/orders/{id}/cancel");
    let mut elsewhere = Client::new(&edge);
    assert_eq!(elsewhere.json_keyed(&cancel, "c", &mail).code(), "order_not_found", "no link was opened here");
    elsewhere.get(link);
    let page = elsewhere.get(&path);
    let mut typed =
        vec![("action", "cancel_by_link"), ("key", ""), ("email", "grace@example.org"), ("reason", "changed_mind")];
    let key = page.field("key");
    typed[1].1 = &key;
    let wrong = elsewhere.form(&path, &typed);
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("Not the order's."));
    typed[2].1 = "no e-mail";
    assert!(elsewhere.form(&path, &typed).text().contains("This is not an e-mail address."));
    typed[2].1 = "ada@example.org";
    assert!(elsewhere.form_follow(&path, &typed).text().contains("This order was called off"));
    assert_eq!(elsewhere.json_keyed(&cancel, "again", &mail).json()["status"], "cancelled");
}

#[test]
fn a_guest_makes_the_link_anew() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    let order = shopper.json_keyed("/api/v1/checkout", "k", &checkout(&quote)).json();
    let path = format!("/orders/{}", order["id"].as_str().unwrap());
    let page = shopper.get(&path);
    let fields = [("action", "renew_link"), ("key", &page.field("key"))];
    let renewed = shopper.form_follow(&path, &fields);
    assert!(renewed.text().contains("fedcba9876543210") && !renewed.text().contains("0123456789abcdef"));
    let answer = shopper.send("POST", &format!("/api/v1{path}/link"), &[("origin", "https://evil.example")], b"");
    assert_eq!(answer.code(), "origin_forbidden");
    assert_eq!(Client::new(&edge).send("POST", &format!("/api/v1{path}/link"), &[], b"").code(), "unauthenticated");
}

#[test]
fn a_guest_who_signs_in_takes_the_orders_along() {
    let edge = Edge::stocked();
    let (mut shopper, quote) = with_quote(&edge);
    let order = shopper.json_keyed("/api/v1/checkout", "k", &checkout(&quote)).json();
    let lost = Failure::from(Code::Internal);
    edge.core.refuse.replace(Some(("order.v1.adopt".into(), lost)));
    let ada = json!({"email": "ada@example.org", "password": "correct horse"});
    assert_eq!(shopper.json("POST", "/api/v1/session", &ada).status, 200);
    let taken: Vec<_> = edge.core.taken_over.borrow().iter().map(ToString::to_string).collect();
    assert_eq!(taken, [order["id"].as_str().unwrap()], "asked again when the first answer was none");
    assert_eq!(shopper.json("POST", "/api/v1/session", &ada).status, 200);
    assert_eq!(edge.core.taken_over.borrow().len(), 1, "an account leaves no guest behind");
}

#[test]
fn a_guest_checks_out_without_a_script() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    let product = browser.get("/p/tea");
    let fields = [("action", "add"), ("key", &product.field("key")), ("sku", "TEA"), ("quantity", "2")];
    let page = browser.form_follow("/p/tea", &fields);
    assert!(page.text().contains("It is in your basket"));
    let cart = browser.get("/cart").text();
    assert!(cart.contains("€13.00") && cart.contains("To the till"));
    assert_eq!(browser.get("/checkout").status, 200);
    let mut typed =
        vec![("action", "quote"), ("email", "ada@example"), ("name", "Ada"), ("line1", "Linden 1"), ("line2", "")];
    typed.extend([("city", "Berlin"), ("region", ""), ("postal_code", "10117"), ("country", "DE")]);
    let wrong = browser.form("/checkout", &typed);
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("This is not an e-mail address."));
    assert_eq!(wrong.field("city"), "Berlin", "what was typed is still there");
    typed[1].1 = "ada@example.org";
    let review = browser.form("/checkout", &typed);
    assert_eq!(review.status, 200, "{}", review.text());
    assert!(review.text().contains("Ten off &lt;&amp;&gt;") && review.text().contains("€17.80"));
    let (key, quote) = (review.field("key"), review.field("quote"));
    typed[0].1 = "place";
    typed.extend([("key", key.as_str()), ("quote", &quote), ("method", "card_refused")]);
    let order = browser.form_follow("/checkout", &typed);
    assert!(order.text().contains("The card was refused"));
    let order_path = format!("/orders/{}", bodega_domain::id::OrderId::from_u128(1000));
    let paid =
        browser.form_follow(&order_path, &[("action", "pay"), ("key", &order.field("key")), ("method", "card_ok")]);
    assert!(paid.text().contains("Thank you, it is paid"));
    assert!(browser.get("/cart").text().contains("Nothing in it yet"));
    let twice = browser.form("/checkout", &typed);
    assert_eq!(
        (twice.status, twice.header("location")),
        (303, order_path.as_str()),
        "the button pressed twice: one order"
    );
    assert_eq!(edge.core.order_count(), 1);
}

#[test]
fn what_cannot_be_ordered_is_said_on_the_page_with_the_way_to_the_basket() {
    let edge = Edge::stocked();
    let (mut browser, _) = with_quote(&edge);
    let typed = [
        ("action", "quote"),
        ("email", "a@b.co"),
        ("name", "Ada"),
        ("line1", "Linden 1"),
        ("city", "Berlin"),
        ("postal_code", "10117"),
        ("country", "DE"),
    ];
    let gone = Failure::from(Code::ValidationFailed).field("/lines/TEA", "no_price", "Tea <is> not sold in EUR.");
    edge.core.refuse.replace(Some(("pricing.v1.quote".into(), gone)));
    let page = browser.form("/checkout", &typed);
    assert_eq!(page.status, 422);
    assert!(page.text().contains("Tea &lt;is&gt; not sold in EUR.") && page.text().contains("Change the basket"));
    assert!(!page.text().contains("marked fields"));
    let far =
        Failure::from(Code::DestinationUnsupported).field("/shipping_address/country", "unsupported", "Not there.");
    edge.core.refuse.replace(Some(("pricing.v1.quote".into(), far)));
    let page = browser.form("/checkout", &typed).text();
    assert!(page.contains("Please look at the marked fields") && page.contains("Not there."));
}

#[test]
fn while_the_core_is_away_the_pages_keep_what_was_typed_and_the_same_order_is_sent_again() {
    let edge = Edge::stocked();
    let (mut browser, _) = with_quote(&edge);
    let mut typed = vec![("action", "quote"), ("email", "a@b.co"), ("name", "Ada"), ("line1", "Linden 1")];
    typed.extend([("city", "Berlin"), ("postal_code", "10117"), ("country", "DE")]);
    edge.set_link(Link::Away);
    let page = browser.form("/checkout", &typed);
    assert_eq!((page.status, page.field("city").as_str()), (503, "Berlin"));
    assert!(page.text().contains("cannot be reached"));
    edge.set_link(Link::Up);
    let review = browser.form("/checkout", &typed);
    let (key, quote) = (review.field("key"), review.field("quote"));
    typed[0].1 = "place";
    typed.extend([("key", key.as_str()), ("quote", &quote), ("method", "card_ok")]);
    edge.set_link(Link::Away);
    let away = browser.form("/checkout", &typed);
    assert_eq!((away.status, away.header("retry-after")), (503, "2"));
    assert_eq!(
        (away.field("key"), away.field("quote"), away.field("city")),
        (key.clone(), quote.clone(), "Berlin".into())
    );
    edge.set_link(Link::Up);
    assert!(browser.form("/checkout", &typed).header("location").starts_with("/orders/ord_"));
}

#[test]
fn a_page_waits_for_a_checkout_whose_answer_was_lost() {
    let edge = Edge::stocked();
    let (mut browser, quote) = with_quote(&edge);
    let mut typed = vec![("action", "place"), ("email", "ada@example.org"), ("name", "Ada"), ("line1", "Linden 1")];
    typed.extend([
        ("city", "Berlin"),
        ("postal_code", "10117"),
        ("country", "DE"),
        ("key", "k-9"),
        ("method", "card_ok"),
    ]);
    typed.push(("quote", quote["token"].as_str().unwrap()));
    edge.set_link(Link::ReplyLost);
    let answer = browser.form("/checkout", &typed);
    assert_eq!((answer.status, answer.header("location")), (303, "/checkout/k%2D9"));
    let waiting = browser.get("/checkout/k%2D9");
    assert_eq!(waiting.status, 202);
    assert!(waiting.text().contains("http-equiv=\"refresh\""));
    edge.set_link(Link::Up);
    assert!(browser.get("/checkout/k%2D9").header("location").starts_with("/orders/ord_"));
}
