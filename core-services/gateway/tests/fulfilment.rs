//! An order's life after it is paid, on the desks and in the API, with a toy order service behind them on a real bus: what
//! its pages offer, and what a form or a request asks of the service.

#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use bodega_domain::{
    Failure,
    id::{AccountId, MerchantId, OrderId, SessionId},
    message::{
        Page, Request,
        order::{
            Cancel, DecideReturn, Deliver, Get, History, List, NudgeSaga, ReceiveReturn, ReturnOf, Returns, SagaView,
            Sagas, Ship, Track,
        },
    },
    order::OrderView,
    token::{AccountClaims, Role, from_base64url, mint_account},
};
use bodega_platform::{
    Clock, Config, Entropy, Service, Wiring,
    config::Keys,
    service::{self, Running},
};
use bodega_tests::{Servers, eventually, free_port};
use reqwest::{Client, Method, header, redirect};
use serde_json::{Value, json};

/// What the order service was asked, in turn.
static ASKED: Mutex<Vec<(&'static str, Value)>> = Mutex::new(Vec::new());

const SHIPMENTS: [&str; 3] =
    ["shp_00000000000000000000000001", "shp_00000000000000000000000002", "shp_00000000000000000000000003"];
const ASKED_BACK: &str = "ret_00000000000000000000000001";
const APPROVED: &str = "ret_00000000000000000000000002";

fn order_id() -> OrderId {
    OrderId::from_u128(7)
}

fn eur(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "EUR" })
}

/// Of two merchants. Of five loaves one is called off, one is at the door, one has arrived; the lamp is untouched.
fn order() -> Value {
    let line = |sku: &str, merchant: u128, quantity: u32| {
        json!({
            "sku_no": merchant, "sku": sku, "title": format!("<b>{sku}</b>"), "merchant": MerchantId::from_u128(merchant),
            "quantity": quantity, "unit_price": eur(100), "subtotal": eur(100), "discount": eur(0), "tax_rate_bp": 700,
            "tax": eur(7), "total": eur(100),
        })
    };
    let mut loaf = line("LOAF.1", 1, 5);
    loaf["units"] =
        json!({ "cancelled": 1, "preparing": 0, "shipped": 2, "delivered": 1, "returning": 1, "returned": 0 });
    let part = |merchant: u128, sku: &str, fulfilment: &str| json!({ "merchant": MerchantId::from_u128(merchant), "skus": [sku], "total": eur(100), "fulfilment": fulfilment });
    let shipment = |id: usize, state: &str| {
        json!({
            "id": SHIPMENTS[id], "merchant": MerchantId::from_u128(1), "lines": [["LOAF.1", 1]], "state": state,
            "carrier": "Snail <mail>",
        })
    };
    let asked_back = |id: &str, state: &str| {
        json!({
            "id": id, "merchant": MerchantId::from_u128(1), "lines": [["LOAF.1", 1]], "state": state, "reason": "damaged",
            "requested_at": "2026-05-04T10:00:00Z",
        })
    };
    json!({
        "id": order_id(), "number": "B-7", "placed_at": "2026-05-01T10:00:00Z", "status": "in_fulfilment",
        "fulfilment": "partial", "returns": "requested", "lines": [loaf, line("LAMP", 2, 1)],
        "totals": {
            "subtotal": eur(200), "discount": eur(0), "shipping": eur(0), "tax": eur(14), "total": eur(200),
            "tax_included": true,
        },
        "parts": [part(1, "LOAF.1", "partial"), part(2, "LAMP", "none")],
        "payment": {
            "status": "captured",
            "amounts": { "authorised": eur(200), "captured": eur(200), "refunded": eur(0) },
        },
        "shipments": [shipment(0, "delivered"), shipment(1, "failed"), shipment(2, "shipped")],
        "return_requests": [asked_back(ASKED_BACK, "requested"), asked_back(APPROVED, "approved")],
    })
}

fn saga(way: &str) -> SagaView {
    let reason = (way == "parked").then_some("internal: <no> shelf");
    let view = json!({
        "id": "5a9a", "order": order_id(), "saga": "receive_return", "step": "book_in", "way": way, "reason": reason,
        "attempts": 3, "since": "2026-05-04T10:00:00Z",
    });
    serde_json::from_value(view).unwrap()
}

/// Notes what is asked, and answers with this.
fn answer<R>(wiring: Wiring, with: fn(&R) -> Value) -> Wiring
where
    R: Request + serde::Serialize + Send + Sync,
    R::Answer: serde::de::DeserializeOwned + Send,
{
    wiring.on((), move |(), _, asked: R| async move {
        let answer = with(&asked);
        ASKED.lock().unwrap().push((R::SUBJECT, serde_json::to_value(&asked).unwrap()));
        Ok::<R::Answer, Failure>(serde_json::from_value(answer).unwrap())
    })
}

fn orders() -> Service {
    Service::without_database("order", |context| {
        Box::pin(async move {
            let wiring = answer::<Get>(Wiring::new(&context), |_| order());
            let wiring = answer::<List>(wiring, |_| json!({ "items": [order()], "next_cursor": null }));
            let wiring = answer::<History>(wiring, |_| json!([]));
            let wiring = answer::<Ship>(wiring, |asked| {
                let mut order = order();
                if asked.key == "no stock" {
                    order["shipments"].as_array_mut().unwrap().pop();
                }
                order
            });
            let wiring = answer::<Track>(wiring, |_| order());
            let wiring = answer::<Deliver>(wiring, |_| order());
            let wiring = answer::<Cancel>(wiring, |_| order());
            let wiring = answer::<DecideReturn>(wiring, |_| order());
            let wiring = answer::<ReceiveReturn>(wiring, |_| order());
            let wiring = answer::<Returns>(wiring, |asked| {
                let view: OrderView = serde_json::from_value(order()).unwrap();
                let of = |view| ReturnOf { order: order_id(), number: "B-7".into(), view };
                let items: Vec<_> = view.return_requests.into_iter().map(of).collect();
                let items = items.into_iter().filter(|one| asked.state.is_none_or(|state| state == one.view.state));
                json!({ "items": items.collect::<Vec<_>>(), "next_cursor": "further" })
            });
            let wiring = answer::<Sagas>(wiring, |asked| {
                let mut items = vec![saga("forward"), saga("parked")];
                items.retain(|saga| !asked.parked || saga.way == "parked");
                serde_json::to_value(Page { items, next_cursor: None }).unwrap()
            });
            Ok(answer::<NudgeSaga>(wiring, |_| serde_json::to_value(saga("done")).unwrap()))
        })
    })
}

struct Shop {
    _servers: Servers,
    _running: Running,
    config: Arc<Config>,
    http: Client,
    base: String,
}

impl Shop {
    async fn open() -> Self {
        let servers = Servers::start().await.unwrap();
        let port = free_port().unwrap();
        let keys = Keys::generate(&Entropy).to_toml();
        let toml = format!("[nats]\nurl = \"{}\"\n[http]\ngateway = \"127.0.0.1:{port}\"\n{keys}", servers.nats_url());
        let config = Arc::new(Config::parse(&toml).unwrap());
        let mut running = service::run(config.clone(), vec![orders(), bodega_gateway::service()]).await.unwrap();
        running.started().await.unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let http = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        eventually("the gateway to be ready", || async {
            http.get(format!("{base}/readyz")).send().await.ok().filter(|r| r.status() == 200)
        })
        .await;
        Self { _servers: servers, _running: running, config, http, base }
    }

    fn token(&self, role: Role) -> String {
        let now = Clock::system().now();
        let claims = AccountClaims {
            account: AccountId::from_u128(1),
            session: SessionId::from_u128(2),
            roles: vec![role],
            issued: now,
            expires: now.plus_min(5),
        };
        mint_account(&self.config.keys.identity[0], &claims).unwrap()
    }

    fn desk(&self, base: &'static str) -> Desk<'_> {
        let seller = Role::Merchant(MerchantId::from_u128(1));
        let token = self.token(if base == "/admin" { Role::Admin } else { seller });
        Desk { shop: self, base, cookie: format!("bodega_{}={token}~r", &base[1..]) }
    }
}

/// Somebody at a desk.
struct Desk<'a> {
    shop: &'a Shop,
    base: &'static str,
    cookie: String,
}

impl Desk<'_> {
    async fn see(&self, path: &str) -> (u16, String) {
        let request = self.shop.http.get(format!("{}{}{path}", self.shop.base, self.base));
        let response = request.header(header::COOKIE, &self.cookie).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn page(&self, path: &str) -> String {
        let (status, body) = self.see(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        let once = |what: &str| assert_eq!(body.matches(what).count(), 1, "{what} in {path}: {body}");
        once("<h1>");
        let ids: Vec<&str> = body.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        ids.iter().for_each(|id| once(&format!(" id=\"{id}\"")));
        for label in body.split(" for=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(ids.contains(&label), "a label for {label}, which is not there");
        }
        body
    }

    /// Status, and what is said there: the notice of what was done, or the page of a refusal.
    async fn send(&self, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        let escape = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
        let body: Vec<_> = form.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
        let request = self.shop.http.post(format!("{}{}{path}", self.shop.base, self.base));
        let request = request.header(header::COOKIE, &self.cookie).header(header::ORIGIN, &self.shop.base);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let response = request.body(body.join("&")).send().await.unwrap();
        let status = response.status().as_u16();
        let cookie = response.headers().get(header::SET_COOKIE).map(|value| value.to_str().unwrap().to_owned());
        let notice = cookie.and_then(|cookie| {
            let value = cookie.split_once('=')?.1.split(';').next()?.to_owned();
            String::from_utf8(from_base64url(&value)?).ok()
        });
        (status, notice.unwrap_or(response.text().await.unwrap()))
    }

    /// Sends a form that is taken, and gives what was said and what was asked of the order service.
    async fn done(&self, path: &str, form: &[(&str, &str)]) -> (String, &'static str, Value) {
        ASKED.lock().unwrap().clear();
        let (status, said) = self.send(path, form).await;
        assert_eq!(status, 303, "{path}: {said}");
        let asked = std::mem::take(&mut *ASKED.lock().unwrap());
        assert_eq!(asked.len(), 1, "one form, one request: {asked:?}");
        let (subject, body) = asked.into_iter().next().unwrap();
        (said, subject, body)
    }

    /// Sends a form that is refused before the order service is asked, with this field named.
    async fn refused(&self, path: &str, form: &[(&str, &str)], pointer: &str) {
        ASKED.lock().unwrap().clear();
        let (status, page) = self.send(path, form).await;
        assert!(status == 422 && page.contains(&format!("<code>{pointer}</code>")), "{path} {form:?}: {status} {page}");
        assert_eq!(*ASKED.lock().unwrap(), [], "{path}");
    }
}

#[tokio::test]
async fn what_happens_to_a_paid_order_is_asked_of_the_order_service() {
    let shop = Shop::open().await;
    a_page_offers_what_is_open(&shop).await;
    a_form_sends_what_was_filled_in(&shop).await;
    shipments_are_followed(&shop).await;
    pieces_are_called_off(&shop).await;
    returns_are_decided_about_and_taken_in(&shop).await;
    what_waits_is_listed(&shop).await;
    a_parked_saga_is_brought_on(&shop).await;
    the_api_asks_the_same(&shop).await;
}

async fn a_page_offers_what_is_open(shop: &Shop) {
    let path = format!("/orders/{}", order_id());
    for desk in [shop.desk("/admin"), shop.desk("/merchant")] {
        let page = desk.page(&path).await;
        for text in [
            "1 called off, 2 shipped, 1 arrived, 1 asked back",
            "name=\"send.LOAF.1\" type=\"number\" min=\"0\" max=\"2\" step=\"1\" value=\"2\"",
            "name=\"send.LAMP\" type=\"number\" min=\"0\" max=\"1\" step=\"1\" value=\"1\"",
            "name=\"off.LOAF.1\" type=\"number\" min=\"0\" max=\"2\" step=\"1\" value=\"0\"",
            "&lt;b&gt;LAMP&lt;/b&gt;",
            "Snail &lt;mail&gt;",
            "1 × <code>LOAF.1</code>",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        assert_eq!(page.matches("Mark as shipped").count(), 2, "a parcel is one merchant's");
        for merchant in [1, 2] {
            let field = format!("name=\"merchant\" value=\"{}\"", MerchantId::from_u128(merchant));
            assert_eq!(page.matches(&field).count(), 1, "{field}: {page}");
        }
        let arrived = |shipment: &str| page.contains(&format!("/shipments/{shipment}/delivered\""));
        assert_eq!(SHIPMENTS.map(arrived), [false, false, true]);
        let changed = |shipment: &str| page.contains(&format!("/shipments/{shipment}/track\""));
        assert_eq!(SHIPMENTS.map(changed), [true, false, true]);
        assert!(!page.contains("Cancel the order"), "something has left the house");
        let decided = |verdict: &str| page.matches(&format!("value=\"{verdict}\"")).count();
        assert_eq!((decided("approve"), decided("refuse")), (1, 2), "an approval may be taken back");
        assert_eq!(page.matches("The goods are here").count(), 1, "{page}");
        assert!(page.contains(&format!("/returns/{APPROVED}/receipt\"")), "{page}");
    }
}

async fn a_form_sends_what_was_filled_in(shop: &Shop) {
    let (desk, path) = (shop.desk("/merchant"), format!("/orders/{}/ship", order_id()));
    let merchant = MerchantId::from_u128(1).to_string();
    let form = |loaves, more: &[(&'static str, &'static str)]| {
        let mut form = vec![("key", "k"), ("merchant", merchant.as_str()), ("send.LOAF.1", loaves), ("send.LAMP", "0")];
        form.extend(more);
        form
    };
    desk.refused(&path, &form("0", &[]), "/send").await;
    desk.refused(&path, &form("two", &[]), "/send.LOAF.1").await;
    desk.refused(&path, &form("1", &[("key", "")]), "/key").await;
    desk.refused(&path, &form("1", &[("merchant", "s-1")]), "/merchant").await;
    let (said, subject, asked) = desk.done(&path, &form("2", &[("carrier", " Snail mail "), ("tracking", "")])).await;
    let expected = json!({
        "order": order_id(), "key": "k", "lines": [["LOAF.1", 2]], "merchant": merchant, "location": null,
        "carrier": "Snail mail", "tracking": null,
    });
    assert_eq!((subject, asked), ("order.v1.ship", expected));
    assert_eq!(said, "Marked as shipped: 2 pieces of order B-7.");
    let (status, page) = desk.send(&path, &form("1", &[("key", "no stock")])).await;
    assert!(status == 409 && page.contains("did not come about"), "what failed is not called shipped: {page}");
}

async fn shipments_are_followed(shop: &Shop) {
    let desk = shop.desk("/merchant");
    let at = |what: &str| format!("/orders/{}/shipments/{}/{what}", order_id(), SHIPMENTS[2]);
    let (said, subject, asked) = desk.done(&at("track"), &[("carrier", "Post"), ("tracking", "P 1")]).await;
    let expected = json!({ "order": order_id(), "shipment": SHIPMENTS[2], "carrier": "Post", "tracking": "P 1" });
    assert_eq!((said.as_str(), subject, asked), ("Carrier and tracking number are saved.", "order.v1.track", expected));
    let (said, subject, asked) = desk.done(&at("delivered"), &[]).await;
    let expected = json!({ "order": order_id(), "shipment": SHIPMENTS[2] });
    assert_eq!((said.as_str(), subject, asked), ("That shipment has arrived.", "order.v1.deliver", expected));
    let nothing = format!("/orders/{}/shipments/shp_x/delivered", order_id());
    assert_eq!(desk.send(&nothing, &[]).await.0, 404);
}

async fn pieces_are_called_off(shop: &Shop) {
    let (desk, path) = (shop.desk("/merchant"), format!("/orders/{}/call-off", order_id()));
    // No line would be the whole order.
    desk.refused(&path, &[("key", "k"), ("off.LOAF.1", "0"), ("reason", "other")], "/off").await;
    let form = [("key", "k"), ("off.LOAF.1", "2"), ("off.LAMP", "1"), ("reason", "out_of_stock")];
    for _ in 0..2 {
        let (said, subject, asked) = desk.done(&path, &form).await;
        let lines = json!([["LAMP", 1], ["LOAF.1", 2]]);
        let expected =
            json!({ "order": order_id(), "key": "k", "lines": lines, "refund": null, "reason": "out_of_stock" });
        assert_eq!((subject, asked), ("order.v1.cancel", expected), "the same twice");
        assert!(said.starts_with("Called off: 3 pieces of order B-7."), "{said}");
    }
    let form = [("key", "k2"), ("off.LAMP", "1"), ("refund", "3.50"), ("currency", "EUR"), ("reason", "other")];
    let (_, _, asked) = desk.done(&path, &form).await;
    assert_eq!(asked["refund"], json!({ "amount": 350, "currency": "EUR" }), "what staff says goes back");
    let wrong = [("key", "k3"), ("off.LAMP", "1"), ("refund", "much"), ("currency", "EUR"), ("reason", "other")];
    desk.refused(&path, &wrong, "/refund").await;
    let (status, _) = desk.send(&format!("/orders/{}/cancel", order_id()), &[("key", "k")]).await;
    assert!([404, 405].contains(&status), "the whole is for admins: {status}");
}

async fn returns_are_decided_about_and_taken_in(shop: &Shop) {
    let desk = shop.desk("/merchant");
    let at = |id: &str, what: &str| format!("/orders/{}/returns/{id}/{what}", order_id());
    for (verdict, words) in [("approve", "may send the goods"), ("refuse", "is refused")] {
        let (said, subject, asked) = desk.done(&at(ASKED_BACK, "decision"), &[("verdict", verdict)]).await;
        let expected = json!({ "order": order_id(), "return": ASKED_BACK, "verdict": verdict });
        assert_eq!((subject, asked), ("order.v1.decide_return", expected));
        assert!(said.contains(words), "{said}");
    }
    desk.refused(&at(ASKED_BACK, "decision"), &[("verdict", "perhaps")], "/verdict").await;

    let path = at(APPROVED, "receipt");
    let form = |refund| {
        let numbers =
            [("restock.LOAF.1", "1"), ("write_off.LOAF.1", "2"), ("write_off.JAM", "3"), ("restock.TEA", "0")];
        [[("key", "k"), ("currency", "EUR")].as_slice(), &numbers, &[("refund", refund)]].concat()
    };
    for (text, refund) in [("", Value::Null), ("3,5", eur(350)), ("0", eur(0))] {
        let (said, subject, asked) = desk.done(&path, &form(text)).await;
        let lines = json!([
            { "sku": "JAM", "restock": 0, "write_off": 3 },
            { "sku": "LOAF.1", "restock": 1, "write_off": 2 },
        ]);
        let expected = json!({
            "order": order_id(), "return": APPROVED, "key": "k", "lines": lines, "location": null, "refund": refund,
        });
        assert_eq!((subject, asked), ("order.v1.receive_return", expected));
        assert!(said.contains("are being booked in"), "{said}");
    }
    for amount in ["-1", "3.505", "all", "99999999999999"] {
        desk.refused(&path, &form(amount), "/refund").await;
    }
    // No line would be everything.
    desk.refused(&path, &[("key", "k"), ("restock.LOAF.1", "0"), ("write_off.LOAF.1", "")], "/restock").await;
}

async fn what_waits_is_listed(shop: &Shop) {
    let (admin, seller) = (shop.desk("/admin"), shop.desk("/merchant"));
    let requested = |body: &str| body.matches("Requested</span>").count();
    let page = seller.page("/returns").await;
    assert!(page.contains(&format!("/merchant/orders/{}#returns", order_id())) && page.contains("Damaged"), "{page}");
    assert!(page.contains("/merchant/returns?cursor=further\"") && !page.contains("mrc_"), "{page}");
    let page = admin.page("/returns?state=approved").await;
    assert_eq!((requested(&page), page.contains("mrc_")), (0, true), "{page}");
    assert!(page.contains("/admin/returns?state=approved&amp;cursor=further\""), "{page}");
    assert!(admin.page("/returns?state=refused").await.contains("No returns here."));
    assert_eq!(admin.see("/returns?state=lost").await.0, 400);

    let page = admin.page("").await;
    assert!(page.contains("/admin/returns?state=requested\"><strong>1+</strong> Returns to decide about"), "{page}");
    assert!(page.contains("/admin/sagas?only=parked\"><strong>1</strong> Parked"), "{page}");
    let page = seller.page("").await;
    assert!(page.contains("/merchant/returns?state=requested") && !page.contains("/sagas"), "{page}");
}

async fn a_parked_saga_is_brought_on(shop: &Shop) {
    let (admin, seller) = (shop.desk("/admin"), shop.desk("/merchant"));
    let page = admin.page("/sagas").await;
    assert_eq!(page.matches("Receive return").count(), 4, "two rows, two buttons of one of them: {page}");
    assert!(page.contains("internal: &lt;no&gt; shelf") && page.contains("Book in"), "{page}");
    let parked = admin.page("/sagas?only=parked").await;
    assert!(parked.contains("Take it back") && !parked.contains("Forward"), "{parked}");
    assert_eq!(admin.see("/sagas?only=lost").await.0, 400);
    for nudge in ["retry", "compensate"] {
        let (said, subject, asked) = admin.done("/sagas/5a9a", &[("nudge", nudge)]).await;
        let expected = json!({ "saga": "5a9a", "nudge": nudge });
        assert_eq!((said.as_str(), subject, asked), ("It is done.", "order.v1.nudge_saga", expected));
    }
    admin.refused("/sagas/5a9a", &[("nudge", "kick")], "/nudge").await;
    assert_eq!(seller.see("/sagas").await.0, 404);
    assert!([404, 405].contains(&seller.send("/sagas/5a9a", &[("nudge", "retry")]).await.0));
}

async fn the_api_asks_the_same(shop: &Shop) {
    let (admin, seller) = (shop.token(Role::Admin), shop.token(Role::Merchant(MerchantId::from_u128(1))));
    let call = async |method: Method, path: &str, token: &str, body: Option<Value>| {
        ASKED.lock().unwrap().clear();
        let request = shop.http.request(method, format!("{}/api/v1{path}", shop.base)).bearer_auth(token);
        let request = request.header("Idempotency-Key", "k");
        let request = if let Some(body) = body { request.json(&body) } else { request };
        let response = request.send().await.unwrap();
        (response.status().as_u16(), ASKED.lock().unwrap().pop())
    };
    let (id, shipment) = (order_id(), SHIPMENTS[2]);
    let cases = [
        (
            Method::POST,
            format!("/orders/{id}/shipments"),
            Some(json!({ "lines": [["LAMP", 1]], "carrier": "Post" })),
            "order.v1.ship",
            json!({
                "order": id, "key": "k", "lines": [["LAMP", 1]], "merchant": null, "location": null, "carrier": "Post",
                "tracking": null,
            }),
        ),
        (
            Method::PATCH,
            format!("/orders/{id}/shipments/{shipment}"),
            Some(json!({ "tracking": "P 1" })),
            "order.v1.track",
            json!({ "order": id, "shipment": shipment, "carrier": null, "tracking": "P 1" }),
        ),
        (
            Method::POST,
            format!("/orders/{id}/shipments/{shipment}/delivered"),
            None,
            "order.v1.deliver",
            json!({ "order": id, "shipment": shipment }),
        ),
        (
            Method::POST,
            format!("/orders/{id}/cancel"),
            Some(json!({ "lines": [["LAMP", 1]] })),
            "order.v1.cancel",
            json!({ "order": id, "key": "k", "lines": [["LAMP", 1]], "refund": null, "reason": null }),
        ),
        (
            Method::POST,
            format!("/orders/{id}/returns/{ASKED_BACK}/decision"),
            Some(json!({ "verdict": "approve" })),
            "order.v1.decide_return",
            json!({ "order": id, "return": ASKED_BACK, "verdict": "approve" }),
        ),
        (
            Method::POST,
            format!("/orders/{id}/returns/{APPROVED}/receipt"),
            Some(json!({ "refund": eur(5) })),
            "order.v1.receive_return",
            json!({ "order": id, "return": APPROVED, "key": "k", "lines": [], "location": null, "refund": eur(5) }),
        ),
        (
            Method::GET,
            "/returns?state=approved&limit=5".to_owned(),
            None,
            "order.v1.returns",
            json!({ "state": "approved", "cursor": null, "limit": 5 }),
        ),
    ];
    for (method, path, body, subject, expected) in cases {
        assert_eq!(call(method, &path, &seller, body).await, (200, Some((subject, expected))), "{path}");
    }
    let sagas = json!({ "parked": true, "cursor": null });
    let listed = call(Method::GET, "/orders/sagas?parked=true", &admin, None).await;
    assert_eq!(listed, (200, Some(("order.v1.sagas", sagas))));
    let nudged = call(Method::POST, "/orders/sagas/5a9a", &admin, Some(json!({ "nudge": "retry" }))).await;
    assert_eq!(nudged, (200, Some(("order.v1.nudge_saga", json!({ "saga": "5a9a", "nudge": "retry" })))));
    for (method, path) in [(Method::GET, "/orders/sagas"), (Method::POST, "/orders/sagas/5a9a")] {
        assert_eq!(call(method, path, &seller, None).await, (403, None), "{path}");
    }
    let wrong =
        call(Method::POST, &format!("/orders/{id}/returns/{ASKED_BACK}/decision"), &seller, Some(json!({}))).await;
    assert_eq!(wrong, (422, None));
}
