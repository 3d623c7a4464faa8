//! Protocol 2 at the edge: batches are taken in order only, reads come from the store, and what is missing is missing.

use std::{cell::Cell, rc::Rc};

use crate::double::{Edge, Link, NOON_MS, client::Client, core::Core};
use bodega_domain::{
    catalog::ViewEntry,
    replication::{BatchKind, EdgePosition},
    token::sha256_hex,
};
use serde_json::{Value, json};

fn fresh() -> Edge {
    Edge::new("e1", &Rc::new(Core::new()), &Rc::new(Cell::new(NOON_MS)))
}

fn view(kind: &str, key: &str, version: i64, body: Option<Value>) -> ViewEntry {
    ViewEntry { kind: kind.into(), key: key.into(), version, body }
}

fn position(client: &mut Client) -> EdgePosition {
    serde_json::from_slice(&client.get("/_edge/v1/ingest").body).unwrap()
}

#[test]
fn after_a_snapshot_reads_never_ask_the_core_and_a_missing_key_is_not_found() {
    let edge = Edge::stocked();
    let mut client = Client::new(&edge);
    edge.set_link(Link::Away);
    for path in
        ["/", "/c/bakery", "/c/all", "/p/sourdough", "/api/v1/products", "/api/v1/products/tea", "/api/v1/categories"]
    {
        assert_eq!(client.get(path).status, 200, "{path}");
    }
    assert_eq!(client.get("/api/v1/products/nothing").code(), "product_not_found");
    assert_eq!(client.get("/api/v1/products?category=nothing").code(), "category_not_found");
    assert_eq!(client.get("/p/nothing").status, 404);
    assert_eq!(client.get("/c/nothing").status, 404);
    assert_eq!(edge.asked(), Vec::<String>::new());
}

#[test]
fn a_shop_and_a_category_without_any_product_are_empty_and_not_unknown() {
    let edge = fresh();
    let drinks = json!([{"slug": "drinks", "title": "Drinks", "description": "", "products": 0}]);
    let snapshot = edge.batch(BatchKind::Snapshot, 0, 1, "", &[view("categories", "all", 1, Some(drinks))]);
    let mut client = Client::new(&edge);
    assert_eq!(client.post_bytes("/_edge/v1/ingest", &snapshot).status, 200);
    let nothing = json!({"items": [], "next_cursor": null});
    for path in ["/api/v1/products", "/api/v1/products?category=drinks", "/api/v1/products?cursor=24"] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.json()), (200, nothing.clone()), "{path}");
    }
    for path in ["/c/all", "/c/drinks"] {
        let page = client.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert!(page.text().contains("This shelf is empty just now."), "{path}: {}", page.text());
    }
    assert!(client.get("/").text().contains("The window is still being dressed."));
    assert_eq!(client.get("/api/v1/products?category=nothing").code(), "category_not_found");
    assert_eq!(client.get("/c/nothing").status, 404);
    assert_eq!(edge.asked(), Vec::<String>::new());
}

#[test]
fn before_the_first_snapshot_reads_ask_the_core_and_without_it_the_edge_is_not_ready() {
    let edge = fresh();
    let mut client = Client::new(&edge);
    assert_eq!(client.get("/readyz").code(), "edge_not_ready");
    assert_eq!(client.get("/healthz").status, 200);
    assert_eq!(client.get("/api/v1/products/tea").json()["title"], "شاي أخضر");
    assert_eq!(client.get("/api/v1/products/nothing").code(), "product_not_found");
    assert_eq!(client.get("/").status, 200);
    edge.set_link(Link::Away);
    let answer = client.get("/api/v1/products/tea");
    assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("edge_not_ready", "2"));
    edge.take_snapshot();
    assert_eq!(client.get("/readyz").status, 200);
    assert_eq!(client.get("/api/v1/products/tea").status, 200);
}

#[test]
fn a_read_is_answered_by_a_core_whose_clock_is_a_second_ahead() {
    let edge = fresh();
    edge.core.ahead_ms.set(1_000);
    assert_eq!(Client::new(&edge).get("/api/v1/products/tea").status, 200);
}

#[test]
fn a_delta_changes_adds_and_removes_and_the_digest_is_that_of_the_live_keys() {
    let edge = Edge::stocked();
    let mut client = Client::new(&edge);
    let before = position(&mut client);
    let mut tea: Value = serde_json::from_slice(&edge.get("product/tea").unwrap()).unwrap();
    tea["title"] = json!("Green tea");
    let entries = [view("product", "tea", 2, Some(tea)), view("product", "nasty", 2, None)];
    let delta = edge.batch(BatchKind::Delta, 10, 12, &before.last, &entries);
    assert_eq!(client.post_bytes("/_edge/v1/ingest", &delta).status, 200);
    let after = position(&mut client);
    assert_eq!((after.position, after.live_keys), (12, before.live_keys - 1));
    assert_eq!(client.get("/api/v1/products/tea").json()["title"], "Green tea");
    assert_eq!(client.get("/api/v1/products/nasty").code(), "product_not_found");
}

#[test]
fn replayed_disordered_forged_and_foreign_batches_write_nothing() {
    let edge = Edge::stocked();
    let mut client = Client::new(&edge);
    let held = position(&mut client);
    let entries = [view("product", "tea", 9, None)];
    let good = edge.batch(BatchKind::Delta, 10, 11, &held.last, &entries);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let other = Edge::new("e2", &edge.core, &Rc::new(Cell::new(NOON_MS)));
    let foreign = other.batch(BatchKind::Delta, 10, 11, &held.last, &entries);
    for bad in [forged, foreign, b"junk".to_vec(), Vec::new()] {
        assert_eq!(client.post_bytes("/_edge/v1/ingest", &bad).code(), "ingest_signature_invalid");
    }
    let gap = edge.batch(BatchKind::Delta, 11, 12, &held.last, &entries);
    let branch = edge.batch(BatchKind::Delta, 10, 11, "another", &entries);
    for bad in [gap, branch] {
        let answer = client.post_bytes("/_edge/v1/ingest", &bad);
        assert_eq!((answer.status, answer.code().as_str()), (409, "ingest_out_of_order"));
        let told: EdgePosition = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(told.position, 10, "the position is told");
    }
    assert_eq!(client.get("/api/v1/products/tea").status, 200);
    assert_eq!(client.post_bytes("/_edge/v1/ingest", &good).status, 200);
    assert_eq!(client.post_bytes("/_edge/v1/ingest", &good).code(), "ingest_out_of_order", "a replay");
    edge.pass_ms(61_000);
    let held = position(&mut client);
    let late = edge.batch(BatchKind::Delta, 11, 12, &held.last, &entries);
    edge.pass_ms(61_000);
    assert_eq!(client.post_bytes("/_edge/v1/ingest", &late).code(), "ingest_signature_invalid", "expired");
}

#[test]
fn a_batch_whose_writer_crashed_before_its_position_counts_once() {
    let edge = Edge::stocked();
    let mut client = Client::new(&edge);
    let before = position(&mut client);
    let keys_before: Vec<_> = edge.keys().into_iter().map(|key| (edge.get(&key).unwrap(), key)).collect();
    let delta = edge.batch(BatchKind::Delta, 10, 11, &before.last, &[view("product", "new", 1, Some(json!({})))]);
    assert_eq!(client.post_bytes("/_edge/v1/ingest", &delta).status, 200);
    let once = position(&mut client);
    // The same edge as it would be had it stopped between the entries and the position.
    let crashed = Edge::stocked();
    for key in edge.keys() {
        crashed.put_raw(&key, &edge.get(&key).unwrap());
    }
    assert_ne!(keys_before.len(), edge.keys().len());
    let mut client = Client::new(&crashed);
    assert_eq!(client.post_bytes("/_edge/v1/ingest", &delta).status, 200);
    let again = position(&mut client);
    assert_eq!((again.live_keys, again.digest), (once.live_keys, once.digest));
}

#[test]
fn what_a_half_written_batch_left_behind_is_counted_by_the_next_snapshot() {
    let edge = Edge::stocked();
    let before = position(&mut Client::new(&edge));
    let news = [view("product", "new", 1, Some(json!({}))), view("product", "tea", 2, None)];
    let lost = edge.batch(BatchKind::Delta, 10, 12, &before.last, &news);
    assert_eq!(Client::new(&edge).post_bytes("/_edge/v1/ingest", &lost).status, 200);
    // The same edge as it would be had it stopped between the entries and the position.
    let crashed = Edge::stocked();
    for key in edge.keys() {
        crashed.put_raw(&key, &edge.get(&key).unwrap());
    }
    // The batch expires, and another one takes its place.
    crashed.pass_ms(61_000);
    let mut client = Client::new(&crashed);
    let other = crashed.batch(BatchKind::Delta, 10, 12, &before.last, &news);
    assert_ne!(other, lost);
    assert_eq!(client.post_bytes("/_edge/v1/ingest", &other).status, 200);
    let drifted = position(&mut client);
    let entries: Vec<_> = crate::double::goods::entries()
        .into_iter()
        .filter(|entry| entry.key != "tea")
        .chain(news[..1].to_vec())
        .collect();
    let snapshot = crashed.batch(BatchKind::Snapshot, 0, 20, &drifted.last, &entries);
    assert_eq!(client.post_bytes("/_edge/v1/ingest", &snapshot).status, 200);
    let repaired = position(&mut client);
    let fresh = fresh();
    let whole = fresh.batch(BatchKind::Snapshot, 0, 20, "", &entries);
    let mut untroubled = Client::new(&fresh);
    assert_eq!(untroubled.post_bytes("/_edge/v1/ingest", &whole).status, 200);
    let expected = position(&mut untroubled);
    assert_ne!(drifted.digest, expected.digest, "the lost batch is in no sum");
    assert_eq!((repaired.live_keys, repaired.digest), (expected.live_keys, expected.digest));
}

#[test]
fn a_new_snapshot_drops_what_it_does_not_name() {
    let edge = Edge::stocked();
    let mut client = Client::new(&edge);
    let held = position(&mut client);
    let entries: Vec<_> = crate::double::goods::entries().into_iter().filter(|entry| entry.key != "tea").collect();
    let snapshot = edge.batch(BatchKind::Snapshot, 0, 20, &held.last, &entries);
    assert_eq!(client.post_bytes("/_edge/v1/ingest", &snapshot).status, 200);
    assert_eq!(client.get("/api/v1/products/tea").code(), "product_not_found");
    assert_eq!(client.get("/api/v1/products/baguette").status, 200);
    let after = position(&mut client);
    assert_eq!(after.live_keys, i64::try_from(entries.len()).unwrap());
}

#[test]
fn a_snapshot_in_parts_is_ready_with_its_last_one_and_a_later_one_replaces_it() {
    let edge = fresh();
    let mut client = Client::new(&edge);
    let goods = crate::double::goods::entries();
    for (epoch_of_keys, dropped) in [(1, "nothing"), (2, "tea")] {
        let goods: Vec<_> = goods.iter().filter(|entry| entry.key != dropped).cloned().collect();
        let (first, second) = goods.split_at(goods.len() / 2);
        let held = position(&mut client);
        let part = edge.part(BatchKind::Snapshot, (0, 5), &held.last, first, false);
        assert_eq!(client.post_bytes("/_edge/v1/ingest", &part).status, 200);
        let held = position(&mut client);
        assert_eq!(
            (held.ready, held.generation),
            (epoch_of_keys == 2, epoch_of_keys),
            "an edge that was ready stays so"
        );
        let part = edge.part(BatchKind::Snapshot, (5, 9), &held.last, second, true);
        assert_eq!(client.post_bytes("/_edge/v1/ingest", &part).status, 200);
        let held = position(&mut client);
        assert_eq!((held.ready, held.live_keys), (true, i64::try_from(goods.len()).unwrap()));
    }
    assert_eq!(client.get("/api/v1/products/tea").code(), "product_not_found");
    assert_eq!(client.get("/api/v1/products/baguette").status, 200);
}

#[test]
fn reads_have_an_etag_and_are_not_sent_twice() {
    let edge = Edge::stocked();
    let mut client = Client::new(&edge);
    for path in ["/api/v1/products", "/api/v1/products/tea", "/api/v1/categories", "/", "/p/tea", "/c/bakery"] {
        let first = client.get(path);
        let tag = first.header("etag").to_owned();
        assert!(!tag.is_empty(), "{path}");
        let again = client.send("GET", path, &[("if-none-match", &tag)], b"");
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag.as_str()), "{path}");
        assert_eq!(client.send("GET", path, &[("if-none-match", "\"other\"")], b"").status, 200, "{path}");
        let head = client.send("HEAD", path, &[], b"");
        // The runtime tells its length and drops it.
        assert_eq!((head.status, head.body.len(), head.header("etag")), (200, first.body.len(), &*tag), "{path}");
    }
}

#[test]
fn lists_are_paged_over_stored_pages_without_a_gap() {
    let edge = Edge::stocked();
    let template = serde_json::to_value(crate::double::goods::card(&crate::double::goods::GOODS[0])).unwrap();
    for page in 1..=3_u32 {
        let count = if page == 3 { 2 } else { 24 };
        let items: Vec<_> = (0..count)
            .map(|n| {
                let mut card = template.clone();
                card["slug"] = json!(format!("p{page}-{n}"));
                card
            })
            .collect();
        edge.put(&format!("listing/many/{page}"), &json!({"items": items, "pages": 3, "total": 50}));
    }
    let mut client = Client::new(&edge);
    for limit in [1, 7, 24, 30, 50, 100] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = client.get(&format!("/api/v1/products?category=many&limit={limit}&cursor={cursor}")).json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit);
            seen.extend(items.iter().map(|item| item["slug"].as_str().unwrap().to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (50, 50), "limit {limit}");
    }
    let beyond = client.get("/api/v1/products?category=many&cursor=5000").json();
    assert_eq!((beyond["items"].as_array().unwrap().len(), &beyond["next_cursor"]), (0, &Value::Null));
}

#[test]
fn a_search_asks_the_core_and_says_honestly_when_it_cannot() {
    let edge = Edge::stocked();
    let mut client = Client::new(&edge);
    assert_eq!(client.get("/api/v1/products?q=BREAD").json()["items"].as_array().unwrap().len(), 0);
    assert_eq!(client.get("/api/v1/products?q=sour").json()["items"][0]["slug"], "sourdough");
    assert!(client.get("/search?q=sour").text().contains("Country sourdough"));
    edge.set_link(Link::Away);
    assert_eq!(client.get("/api/v1/products?q=sour").code(), "core_unavailable");
    let page = client.get("/search?q=sour");
    assert_eq!(page.status, 503);
    assert!(page.text().contains("Search is away for a moment"));
}

#[test]
fn a_stored_value_that_cannot_be_read_is_an_answer_and_not_a_trap() {
    let edge = Edge::stocked();
    edge.put_raw("product/tea", b"{\"slug\":");
    assert_eq!(Client::new(&edge).get("/api/v1/products/tea").code(), "edge_fault");
    assert_eq!(Client::new(&edge).get("/api/v1/products/baguette").status, 200);
}

#[test]
fn pictures_are_read_through_once_and_checked_against_their_name() {
    let edge = Edge::stocked();
    let picture = b"not really a picture".to_vec();
    let name = format!("{}.webp", sha256_hex(&picture));
    edge.put_media(&name, &picture);
    let mut client = Client::new(&edge);
    let answer = client.get(&format!("/media/{name}"));
    assert_eq!((answer.status, answer.header("content-type")), (200, "image/webp"));
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    edge.run_deferred();
    assert_eq!(edge.get(&format!("media/{name}")).unwrap(), picture, "kept");
    let other = format!("{}.png", "0".repeat(64));
    edge.put_media(&other, &picture);
    assert_eq!(client.get(&format!("/media/{other}")).code(), "not_found", "bytes of another name");
    for bad in ["x.webp", "../../etc.webp", &format!("{}.svg", "0".repeat(64)), &"A".repeat(64)] {
        assert_eq!(client.get(&format!("/media/{bad}")).code(), "not_found", "{bad}");
    }
}
