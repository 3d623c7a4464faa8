//! An order after it is paid: where its goods are, calling pieces off, sending back; on the page and as JSON.

use crate::double::{Edge, NOON_MS, client::Client};
use bodega_domain::{
    Currency, Money, Timestamp,
    order::{OrderStatus, OrderView, PaymentStatus, ReturnState, ShipmentState},
};
use serde_json::{Value, json};

const SOME: &str = "Cancel single articles";
const WHOLE: &str = "Call the order off";
const BACK: &str = "Send something back";

/// A guest who has paid three teas and a baguette, and the order's id.
fn bought(edge: &Edge) -> (Client, String) {
    let mut shopper = Client::new(edge);
    for (sku, quantity) in [("TEA", 3), ("BAGUETTE", 1)] {
        shopper.json("POST", "/api/v1/cart/lines", &json!({"sku": sku, "quantity": quantity}));
    }
    let address =
        json!({"name": "Ada", "line1": "Linden 1", "city": "Berlin", "postal_code": "10117", "country": "DE"});
    let quote = shopper.json("POST", "/api/v1/quote", &json!({"shipping_address": address})).json();
    let wish = json!({
        "quote": quote["token"], "contact": {"email": "ada@example.org", "name": "Ada"}, "shipping_address": address,
        "payment": {"provider": "simulator", "method": "card_ok"},
    });
    let order = shopper.json_keyed("/api/v1/checkout", "key-1", &wish).json();
    (shopper, order["id"].as_str().unwrap().to_owned())
}

fn page(shopper: &mut Client, id: &str) -> String {
    let page = shopper.get(&format!("/orders/{id}"));
    assert_eq!(page.status, 200);
    page.text()
}

/// Fills in a form of the order's page.
fn submit(shopper: &mut Client, id: &str, action: &str, fields: &[(&str, &str)]) -> crate::double::client::Answer {
    let path = format!("/orders/{id}");
    let key = shopper.get(&path).field("key");
    let mut all = vec![("action", action), ("key", key.as_str())];
    all.extend_from_slice(fields);
    shopper.form(&path, &all)
}

#[test]
fn money_that_the_bank_keeps_is_not_called_paid() {
    let edge = Edge::stocked();
    let (mut shopper, id) = bought(&edge);
    assert!(page(&mut shopper, &id).contains("Thank you, it is paid"));
    edge.core.take_as_goods_leave(&id);
    let waits = page(&mut shopper, &id);
    for words in ["Thank you, it is confirmed", "charged as the goods leave", "Taken when sent"] {
        assert!(waits.contains(words), "{words}: {waits}");
    }
}

#[test]
fn the_page_says_where_everything_is() {
    let edge = Edge::stocked();
    let (mut shopper, id) = bought(&edge);
    let before = page(&mut shopper, &id);
    assert!(before.contains("aria-current=\"step\">Paid</li>"), "{before}");
    assert!(!before.contains("Parcels") && !before.contains("Returns") && !before.contains(" of 3 on"), "{before}");
    edge.core.ship(&id, "TEA", 2);
    let sent = page(&mut shopper, &id);
    for words in [
        "Part of it is on its way",
        "aria-current=\"step\">On its way</li>",
        "2 of 3 on their way",
        "<li>2× <bdi>شاي أخضر</bdi></li>",
        "Corner &lt;Post&gt;",
        "<code dir=\"auto\">CP 42</code>",
        "<time datetime=\"2026-11-23T12:00:00Z\">2026-11-23</time>",
    ] {
        assert!(sent.contains(words), "{words}: {sent}");
    }
    assert_eq!(submit(&mut shopper, &id, "return", &[("back:TEA", "1"), ("reason", "damaged")]).status, 303);
    assert_eq!(submit(&mut shopper, &id, "cancel_lines", &[("off:BAGUETTE", "1"), ("reason", "")]).status, 303);
    edge.core.alter(&id, |order| {
        order.shipments[0].state = ShipmentState::Delivered;
        order.shipments[0].delivered_at = Some(Timestamp::from_unix_ms(NOON_MS).plus_days(2));
        order.lines.iter_mut().for_each(|line| line.units.delivered = line.units.shipped);
    });
    let page = page(&mut shopper, &id);
    for words in [
        "1 of 3 arrived, 1 in a return",
        "1 cancelled",
        "<h3>Arrived</h3>",
        "2026-11-25",
        "Asked for: the seller has not answered yet",
        "<li>1× <bdi>شاي أخضر</bdi></li>",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn a_parcel_is_shown_once_it_has_left() {
    let edge = Edge::stocked();
    let (mut shopper, id) = bought(&edge);
    edge.core.ship(&id, "TEA", 1);
    for state in [ShipmentState::Preparing, ShipmentState::Failed] {
        edge.core.alter(&id, |order| order.shipments[0].state = state);
        let page = page(&mut shopper, &id);
        assert!(!page.contains("Parcels") && !page.contains("CP 42"), "{page}");
    }
    edge.core.alter(&id, |order| order.lines[0].units.preparing = 1);
    assert!(page(&mut shopper, &id).contains("being packed"));
    edge.core.alter(&id, |order| {
        order.shipments[0].state = ShipmentState::Shipped;
        order.shipments[0].lines = vec![("GONE-<b>".into(), u32::MAX)];
        (order.shipments[0].carrier, order.shipments[0].tracking) = (None, None);
    });
    let page = page(&mut shopper, &id);
    assert!(page.contains("4294967295× <bdi>GONE-&lt;b&gt;</bdi>") && !page.contains("Tracking number"), "{page}");
}

#[test]
fn a_return_says_what_the_seller_said() {
    let edge = Edge::stocked();
    let (mut shopper, id) = bought(&edge);
    edge.core.ship(&id, "TEA", 1);
    submit(&mut shopper, &id, "return", &[("back:TEA", "1")]);
    let money = Money::new(650, Currency::EUR).ok();
    for (state, refund, words) in [
        (ReturnState::Approved, None, "<h3>You may send it back</h3>"),
        (ReturnState::Refused, None, "<h3>Refused by the seller</h3>"),
        (ReturnState::Receiving, money, "Received, <span class=\"money\">€6.50</span> on its way back to you"),
        (ReturnState::Received, money, "Received, <span class=\"money\">€6.50</span> on its way back to you"),
        (ReturnState::Received, Money::new(0, Currency::EUR).ok(), "<h3>Received</h3>"),
    ] {
        edge.core.alter(&id, |order| {
            (order.return_requests[0].state, order.return_requests[0].refund) = (state, refund);
        });
        let page = page(&mut shopper, &id);
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn a_form_is_there_as_long_as_it_can_be_used() {
    let edge = Edge::stocked();
    let (mut shopper, id) = bought(&edge);
    let forms = |shopper: &mut Client| {
        let page = page(shopper, &id);
        [SOME, WHOLE, BACK].map(|form| page.contains(form))
    };
    let is = |status: OrderStatus| edge.core.alter(&id, |order: &mut OrderView| order.status = status);
    assert_eq!(forms(&mut shopper), [true, true, false], "paid");
    is(OrderStatus::AwaitingPayment);
    assert_eq!(forms(&mut shopper), [false, true, false], "what is not paid is called off as a whole");
    is(OrderStatus::Paid);
    edge.core.ship(&id, "TEA", 2);
    assert_eq!(forms(&mut shopper), [true, false, true], "partly sent");
    let sent = page(&mut shopper, &id);
    for field in [
        "name=\"off:TEA\" value=\"0\" min=\"0\" max=\"1\"",
        "name=\"off:BAGUETTE\" value=\"0\" min=\"0\" max=\"1\"",
        "name=\"back:TEA\" value=\"0\" min=\"0\" max=\"2\"",
    ] {
        assert!(sent.contains(field), "{field}: {sent}");
    }
    assert!(!sent.contains("back:BAGUETTE"), "{sent}");
    edge.core.alter(&id, |order| order.lines.iter_mut().for_each(|line| line.units.preparing = 1));
    assert_eq!(forms(&mut shopper), [false, false, true], "the rest is being packed");
    edge.core.alter(&id, |order| order.lines.iter_mut().for_each(|line| line.units.preparing = 0));
    edge.core.ship(&id, "TEA", 1);
    edge.core.ship(&id, "BAGUETTE", 1);
    assert_eq!(forms(&mut shopper), [false, false, true], "all of it is sent");
    is(OrderStatus::Completed);
    assert_eq!(forms(&mut shopper), [false; 3], "completed");
    is(OrderStatus::Delivered);
    submit(&mut shopper, &id, "return", &[("back:TEA", "3"), ("back:BAGUETTE", "1"), ("reason", "other")]);
    assert_eq!(forms(&mut shopper), [false; 3], "all of it is in a return");
}

#[test]
fn an_order_of_a_single_piece_is_called_off_as_a_whole() {
    let edge = Edge::stocked();
    let (mut shopper, id) = bought(&edge);
    edge.core.alter(&id, |order| order.lines.retain(|line| line.sku == "BAGUETTE"));
    let one = page(&mut shopper, &id);
    assert!(one.contains(WHOLE) && !one.contains(SOME), "{one}");
    edge.core.alter(&id, |order| order.lines[0].quoted.quantity = 2);
    assert!(page(&mut shopper, &id).contains(SOME));
}

#[test]
fn an_article_that_stands_in_two_lines_is_one_field() {
    let edge = Edge::stocked();
    let (mut shopper, id) = bought(&edge);
    edge.core.alter(&id, |order| order.lines.extend(order.lines.clone()));
    let page = page(&mut shopper, &id);
    assert_eq!(page.matches("name=\"off:TEA\"").count(), 1, "{page}");
    assert!(page.contains("name=\"off:TEA\" value=\"0\" min=\"0\" max=\"6\""), "{page}");
}

#[test]
fn who_looks_through_a_link_sees_the_parcels_and_changes_no_pieces() {
    let edge = Edge::stocked();
    let (_, id) = bought(&edge);
    edge.core.ship(&id, "TEA", 1);
    let mut elsewhere = Client::new(&edge);
    elsewhere.get(&format!("/o/{id}/0123456789abcdef"));
    let seen = page(&mut elsewhere, &id);
    assert!(seen.contains("CP 42"));
    assert!(!seen.contains(SOME) && !seen.contains(BACK) && !seen.contains("<form method=\"post\""), "{seen}");
    let piece = json!({"email": "ada@example.org", "lines": [{"sku": "TEA", "quantity": 1}]});
    let refused = elsewhere.json_keyed(&format!("/api/v1/orders/{id}/cancel"), "c", &piece);
    assert_eq!(
        (refused.code().as_str(), &refused.json()["fields"][0]["pointer"]),
        ("validation_failed", &json!("/lines"))
    );
}

#[test]
fn pieces_that_are_called_off_one_by_one_end_the_order() {
    let edge = Edge::stocked();
    let (mut shopper, id) = bought(&edge);
    let first = page(&mut shopper, &id);
    assert!(first.contains("The money for these pieces goes back to you.") && first.contains("id=\"off-reason\""));
    let off = [("off:TEA", "2"), ("off:BAGUETTE", "1"), ("reason", "changed_mind")];
    assert_eq!(submit(&mut shopper, &id, "cancel_lines", &off).status, 303);
    assert!(page(&mut shopper, &id).contains("2 cancelled"));
    assert_eq!(submit(&mut shopper, &id, "cancel_lines", &[("off:TEA", "1"), ("off:BAGUETTE", "")]).status, 303);
    let ended = page(&mut shopper, &id);
    assert!(ended.contains("This order was called off") && !ended.contains(SOME), "{ended}");
}

#[test]
fn hostile_numbers_and_names_are_answered_on_the_page_and_change_nothing() {
    let edge = Edge::stocked();
    let (mut shopper, id) = bought(&edge);
    edge.core.ship(&id, "TEA", 2);
    let before = shopper.get(&format!("/api/v1/orders/{id}")).json();
    let number = "Say how many with a whole number";
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "Say which articles"),
        (&[("TEA", "0")], "Say which articles"),
        (&[("TEA", ""), ("BAGUETTE", " ")], "Say which articles"),
        (&[("TEA", "-1")], number),
        (&[("TEA", "1.5")], number),
        (&[("TEA", "1e3")], number),
        (&[("TEA", "<b>")], number),
        (&[("TEA", "4294967296")], number),
        (&[("TEA", "999999999999999999999999999999")], number),
        (&[("TEA", "4294967295")], "each article once"),
        (&[("TEA", "1"), ("TEA", "1")], "each article once"),
        (&[("TEA", "4294967295"), ("TEA", "4294967295")], "each article once"),
        (&[("NOPE", "1")], "each article once"),
        (&[("", "1")], "No article has this code."),
        (&[("<script>", "1")], "No article has this code."),
        (&[("TEA", "1"), ("reason", "<script>")], "Not of the list."),
    ];
    for (action, prefix) in [("cancel_lines", "off:"), ("return", "back:")] {
        for (fields, words) in cases {
            let named = |name: &str| if name == "reason" { name.to_owned() } else { format!("{prefix}{name}") };
            let named: Vec<_> = fields.iter().map(|(name, value)| (named(name), *value)).collect();
            let named: Vec<_> = named.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            let answer = submit(&mut shopper, &id, action, &named);
            let text = answer.text();
            assert_eq!(answer.status, 422, "{action} {fields:?}: {text}");
            assert!(text.contains("role=\"alert\"") && text.contains(words), "{action} {fields:?}: {text}");
            assert!(!text.contains("<script") && !text.contains("<b>"), "{text}");
        }
        let many: Vec<_> = (0..4_000).map(|n| (format!("{prefix}A{n}"), "1")).collect();
        let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let answer = submit(&mut shopper, &id, action, &many);
        assert!(answer.status == 422 && answer.text().contains("No order has so many lines."));
        assert!(answer.body.len() < 20_000, "{} bytes", answer.body.len());
        let keyless = shopper.form(&format!("/orders/{id}"), &[("action", action), (&format!("{prefix}TEA"), "1")]);
        assert_eq!(keyless.status, 400);
    }
    assert_eq!(shopper.get(&format!("/api/v1/orders/{id}")).json(), before);
    let refund = |order: &mut OrderView| order.payment.status = PaymentStatus::PartiallyRefunded;
    edge.core.alter(&id, refund);
    assert!(page(&mut shopper, &id).contains("partly given back"));
}

#[test]
fn programs_name_pieces_as_objects_or_pairs_and_never_cancel_all_by_naming_none() {
    let edge = Edge::stocked();
    let (mut shopper, id) = bought(&edge);
    let at = format!("/api/v1/orders/{id}");
    let cancel = |shopper: &mut Client, body: Value| shopper.json_keyed(&format!("{at}/cancel"), "c", &body);
    let tea = |order: &Value| {
        let lines = order["lines"].as_array().unwrap();
        lines.iter().find(|line| line["sku"] == "TEA").unwrap()["units"].clone()
    };
    let off = cancel(&mut shopper, json!({"lines": [{"sku": "TEA", "quantity": 1}], "reason": "too_late"})).json();
    assert_eq!((tea(&off)["cancelled"].as_u64(), &off["status"]), (Some(1), &json!("paid")));
    let off = cancel(&mut shopper, json!({"lines": [["TEA", 1]]})).json();
    assert_eq!(tea(&off)["cancelled"], 2);
    for (lines, pointer) in [
        (json!([]), "/lines"),
        (json!([{"sku": "TEA", "quantity": 0}]), "/lines/0/quantity"),
        (json!([{"sku": "TEA", "quantity": 2}]), "/lines/0"),
        (json!([["TEA", 1], ["TEA", 1]]), "/lines/0"),
        (json!([["TEA", -1]]), "/lines/0/?"),
        (json!([["../x", 1]]), "/lines/0/sku"),
        (json!("TEA"), "/lines"),
    ] {
        let refused = cancel(&mut shopper, json!({"lines": lines}));
        assert_eq!(refused.code(), "validation_failed", "{lines}");
        assert!(refused.json()["fields"][0]["pointer"].as_str().unwrap().starts_with("/lines"), "{pointer}");
    }
    edge.core.ship(&id, "TEA", 1);
    let back = json!({"lines": [["TEA", 1]], "reason": "damaged"});
    let back = shopper.json_keyed(&format!("{at}/returns"), "r", &back);
    assert_eq!((back.status, tea(&back.json()["order"])["returning"].as_u64()), (201, Some(1)));
    assert_eq!(cancel(&mut shopper, json!({})).code(), "order_state_conflict", "not all of it any more");
}
