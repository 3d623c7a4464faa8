//! The dashboard over HTTP, with all services behind it that it shows, on real servers.

#![allow(missing_docs, clippy::unwrap_used)]

mod audit;
mod forgotten;
mod incoming;
mod money;
mod plugins;
mod sessions;
mod settings;
mod shop;
mod storable;
mod tenants;

use bodega_domain::{
    id::MerchantId,
    message::{catalog, inventory::Levels, order::Get},
    order::OrderStatus,
};
use bodega_tests::eventually;
use shop::{ADMIN, Browser, HOSTILE, MERCHANT, OTHER_MERCHANT, SHOPPER, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_from_signing_in_to_signing_out() {
    let shop = Shop::open().await;
    who_is_not_signed_in_is_asked_to(&shop).await;
    shoppers_have_no_desk(&shop).await;
    pages_hold_no_text_as_markup(&shop).await;
    a_merchant_sees_their_part_and_no_more(&shop).await;
    a_note_is_for_colleagues(&shop).await;
    plugins::a_plugin_is_uploaded_used_and_stopped(&shop).await;
    tenants::no_page_of_a_merchant_tells_of_another(&shop).await;
    tenants::the_api_tells_a_merchant_of_their_part_and_no_more(&shop).await;
    sessions::a_session_that_ran_out_is_carried_on(&shop).await;
    sessions::a_form_that_was_open_too_long_leads_back_to_its_page(&shop).await;
    sessions::signing_out_ends_a_session_whose_access_token_has_run_out(&shop).await;
    settings::merchants_choose_what_becomes_of_their_late_money(&shop).await;
    settings::merchants_choose_what_unpaid_orders_may_hold(&shop).await;
    settings::late_money_that_waits_is_shown_with_what_can_be_done(&shop).await;
    a_form_from_elsewhere_changes_nothing(&shop).await;
    forgotten::who_ordered_is_forgotten_once_the_order_has_ended(&shop).await;
    texts_and_prices_are_changed_and_the_tax_class_stays(&shop).await;
    stock_is_corrected_once_for_each_form(&shop).await;
    audit::what_a_person_looked_at_is_closed_with_their_name(&shop).await;
    audit::stock_that_is_promised_and_not_there_is_shown_until_it_is(&shop).await;
    audit::the_api_tells_who_changed_what(&shop).await;
    money::a_merchant_reads_the_own_statement_and_no_other(&shop).await;
    incoming::goods_are_announced_and_booked_in(&shop).await;
    incoming::what_is_low_is_listed_for_its_merchant(&shop).await;
    incoming::each_chooses_for_the_own_mailbox(&shop).await;
    hostile_forms_get_a_clear_page(&shop).await;
    storable::no_operation_takes_a_text_that_cannot_be_stored(&shop).await;
    after_signing_out_the_cookie_is_worth_nothing(&shop).await;
}

async fn who_is_not_signed_in_is_asked_to(shop: &Shop) {
    let nobody = Browser::new(shop);
    for path in ["/admin", "/admin/orders?status=paid", "/merchant/stock"] {
        let answer = nobody.get(path).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.location.starts_with(&format!("/{}/sign-in?next=", path.split('/').nth(1).unwrap())));
    }
    let page = nobody.get("/admin/sign-in?next=%2Fadmin%2Forders").await;
    assert_eq!(page.status, 200);
    assert!(
        page.policy.contains("default-src 'none'") && page.policy.contains("form-action 'self'"),
        "{}",
        page.policy
    );
    assert!(page.body.contains("value=\"/admin/orders\"") && page.body.contains("href=\"#main\""));
    let mut wrong = Browser::new(shop);
    let refused = wrong.sign_in("/admin", ADMIN, "not the password").await;
    assert_eq!(refused.status, 401);
    assert!(refused.body.contains("E-mail or password is wrong.") && refused.body.contains(ADMIN));
    let mut forged = Browser::new(shop);
    forged.cookie = "bodega_admin=a1.x.y.z~r".to_owned();
    assert_eq!(forged.get("/admin").await.status, 303);
}

async fn shoppers_have_no_desk(shop: &Shop) {
    let mut shopper = Browser::new(shop);
    let refused = shopper.sign_in("/admin", SHOPPER, shop::PASSWORD).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("merchants and admins") && shopper.cookie.is_empty());
    // A merchant who signs in at the wrong desk gets to the right one.
    let mut merchant = Browser::new(shop);
    assert_eq!(merchant.sign_in("/admin", MERCHANT, shop::PASSWORD).await.location, "/merchant");
    merchant.cookie = merchant.cookie.replace("bodega_merchant=", "bodega_admin=");
    let refused = merchant.get("/admin/orders").await;
    assert_eq!(refused.status, 403);
    assert!(!refused.body.contains(&shop.number));
}

async fn pages_hold_no_text_as_markup(shop: &Shop) {
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    let order = format!("/admin/orders/{}", shop.order);
    for path in [
        "/admin",
        "/admin/orders",
        &order,
        "/admin/returns",
        "/admin/sagas",
        "/admin/products",
        "/admin/products/odd",
        "/admin/stock",
        "/admin/stock/low",
        "/admin/stock/incoming",
        "/admin/money",
        "/admin/plugins",
        "/admin/services",
    ] {
        let page = admin.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        assert!(!page.body.contains("<script"), "{path}");
        assert_eq!(page.body.matches("<h1>").count(), 1, "{path}");
    }
    assert!(admin.get("/admin/products").await.body.contains("&lt;script&gt;"), "{HOSTILE}");
    assert!(admin.get(&order).await.body.contains("&lt;script&gt;"));
    assert!(admin.get("/admin/orders?status=delivered").await.body.contains("No orders here."));
    assert!(admin.get(&format!("/admin/orders?status={}", shop.status)).await.body.contains(&shop.number));
    for (path, status) in [
        ("/admin/nowhere", 404),
        ("/admin/orders/ord_x", 404),
        ("/admin/orders?status=%3Cscript%3E", 400),
        ("/admin/returns?state=%3Cscript%3E", 400),
        ("/admin/sagas?only=%3Cscript%3E", 400),
        ("/admin/products/none", 404),
    ] {
        let page = admin.get(path).await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.body.contains("<h1>") && !page.body.contains("<script"), "{path}");
    }
    for path in [
        "/admin/orders?cursor=%27%3B--",
        "/admin/returns?cursor=1~x",
        "/admin/sagas?cursor=%27%3B--",
        "/admin/stock?cursor=x",
        "/admin/stock/low?cursor=1~x",
        "/admin/stock/incoming?cursor=%27%3B--",
        "/admin/plugins?cursor=x&promotions=y",
    ] {
        let status = admin.get(path).await.status;
        assert!((200..500).contains(&status), "{path}: {status}");
    }
}

async fn a_merchant_sees_their_part_and_no_more(shop: &Shop) {
    let path = format!("/merchant/orders/{}", shop.order);
    let seller = Browser::signed_in(shop, "/merchant", MERCHANT).await;
    let own = seller.get(&path).await;
    assert_eq!(own.status, 200, "{}", own.body);
    assert!(own.body.contains("ODD") && !own.body.contains("Cancel the order") && !own.body.contains("ada@"));
    assert!(seller.get("/merchant/stock").await.body.contains("ODD"));
    let other = Browser::signed_in(shop, "/merchant", OTHER_MERCHANT).await;
    assert_eq!(other.get(&path).await.status, 404);
    for path in ["/merchant/orders", "/merchant/returns", "/merchant/stock", "/merchant/products", "/merchant"] {
        let page = other.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.body.contains(&shop.number) && !page.body.contains("ODD"), "{path}");
    }
    for path in ["/merchant/services", "/merchant/sagas"] {
        assert_eq!(other.get(path).await.status, 404, "{path}");
    }
    let product = other.get("/merchant/products/odd").await;
    assert!(product.body.contains("can only be read here") && !product.body.contains("name=\"seen\""));
    // The form of the owner, sent by another.
    let seen = seller.get("/merchant/products/odd").await.field("seen");
    let stolen =
        other.post("/merchant/products/odd", &[("seen", &seen), ("title", "Mine"), ("price.0.EUR", "1")]).await;
    assert_eq!(stolen.status, 403, "{}", stolen.body);
}

async fn a_note_is_for_colleagues(shop: &Shop) {
    let path = format!("/merchant/orders/{}", shop.order);
    let seller = Browser::signed_in(shop, "/merchant", MERCHANT).await;
    let page = seller.get(&path).await;
    assert!(page.body.contains("Nobody has written anything"), "{}", page.body);
    let key = page.field("key");
    let fields = [("key", key.as_str()), ("text", "Pack it <b>well</b>.")];
    for _ in 0..2 {
        let done = seller.post(&format!("{path}/notes"), &fields).await;
        assert_eq!((done.status, done.location.as_str()), (303, path.as_str()), "{}", done.body);
    }
    let seen = seller.get(&path).await.body;
    assert_eq!(seen.matches("Pack it &lt;b&gt;well&lt;/b&gt;.").count(), 1, "once, and no markup");
    let empty = seller.post(&format!("{path}/notes"), &[("key", "k2"), ("text", " ")]).await;
    assert!(empty.status == 422 && empty.body.contains("A note says something"), "{}", empty.body);
    let other = Browser::signed_in(shop, "/merchant", OTHER_MERCHANT).await;
    assert_eq!(other.post(&format!("{path}/notes"), &fields).await.status, 404);
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    assert!(admin.get(&format!("/admin/orders/{}", shop.order)).await.body.contains("Pack it"));
}

async fn a_form_from_elsewhere_changes_nothing(shop: &Shop) {
    let mut admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    let cancel = format!("/admin/orders/{}/cancel", shop.order);
    for origin in [Some("https://evil.example"), Some("null"), None] {
        admin.origin = origin.map(str::to_owned);
        for path in [cancel.as_str(), "/admin/stock", "/admin/plugins", "/admin/sign-out", "/admin/sign-in"] {
            let refused = admin.post(path, &[("key", "forged")]).await;
            assert_eq!(refused.status, 403, "{path} from {origin:?}");
        }
    }
    let order = shop.core.ask_as(Some(&shop.shopper), Get { order: shop.order }).await.unwrap();
    assert_ne!(order.status, OrderStatus::Cancelled);
}

async fn an_order_is_cancelled_once(shop: &Shop) {
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    let path = format!("/admin/orders/{}", shop.order);
    let page = admin.get(&path).await;
    let key = page.field("key");
    for _ in 0..2 {
        let sent = admin.post(&format!("{path}/cancel"), &[("key", &key), ("reason", "out_of_stock")]).await;
        assert_eq!((sent.status, sent.location.as_str()), (303, path.as_str()), "{}", sent.body);
        let mut after = admin.clone();
        after.keep(&sent);
        assert!(after.get(&path).await.body.contains("role=\"status\""));
    }
    eventually("the order to be cancelled", || async {
        let order = shop.core.ask_as(Some(&shop.shopper), Get { order: shop.order }).await.unwrap();
        (order.status == OrderStatus::Cancelled).then_some(())
    })
    .await;
    let page = admin.get(&path).await.body;
    assert!(!page.contains("Cancel the order") && page.contains("Cancel requested") && page.contains("out_of_stock"));
}

async fn texts_and_prices_are_changed_and_the_tax_class_stays(shop: &Shop) {
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    let path = "/admin/products/odd";
    let class = shop.tax_class().await;
    let seen = admin.get(path).await.field("seen");
    let form =
        |title, price| [("seen", seen.as_str()), ("title", title), ("description", "Better."), ("price.0.EUR", price)];
    let refused = admin.post(path, &form("Odd", "3.505")).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("/price.0.EUR"));
    assert_eq!(admin.post(path, &form("Odd <i>loaf</i>", "4,5")).await.status, 303);
    let product = shop.core.ask_as(None, catalog::Get { slug: "odd".into() }).await.unwrap();
    assert_eq!((product.title.as_str(), product.variants[0].prices.0["EUR"]), ("Odd <i>loaf</i>", 450));
    assert_eq!(shop.tax_class().await, class);
    // Whoever had the page open before the change is told instead of undoing it.
    assert_eq!(admin.post(path, &form("Odd", "3")).await.status, 412);
}

async fn stock_is_corrected_once_for_each_form(shop: &Shop) {
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    let page = admin.get("/admin/stock").await;
    let on_hand = || async { shop.core.ask(Levels::default()).await.unwrap().items[0].on_hand };
    assert!(page.body.contains("Last changes") && page.body.contains("<code>service</code>"), "the seed's counts");
    let before = on_hand().await;
    let fields = ["sku_no", "location", "merchant", "reference"].map(|name| (name, page.field(name)));
    let mut form: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    form.extend([("delta", "-3"), ("reason", "damage")]);
    for _ in 0..2 {
        assert_eq!(admin.post("/admin/stock", &form).await.status, 303);
    }
    assert_eq!(on_hand().await, before - 3);
    let page = admin.get("/admin/stock").await.body;
    let changes = page.split_once("Last changes").unwrap().1;
    assert!(changes.contains("-3") && changes.contains("Damage") && changes.contains("<code>acc_"), "{changes}");
}

async fn hostile_forms_get_a_clear_page(shop: &Shop) {
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    let long = "x".repeat(5_000);
    let cancel = format!("/admin/orders/{}/cancel", shop.order);
    let forget = format!("/admin/orders/{}/forget", shop.order);
    let order = format!("/admin/orders/{}", shop.order);
    let [ship, off] = ["ship", "call-off"].map(|what| format!("{order}/{what}"));
    let nothing = "00000000000000000000000001";
    let arrived = format!("{order}/shipments/shp_{nothing}/delivered");
    let [decide, receive] = ["decision", "receipt"].map(|what| format!("{order}/returns/ret_{nothing}/{what}"));
    let merchant = MerchantId::from_u128(1).to_string();
    let seen = admin.get("/admin/products/odd").await.field("seen");
    let forms: Vec<(&str, Vec<(&str, &str)>)> = vec![
        (&cancel, vec![]),
        (&cancel, vec![("key", &long)]),
        (&forget, vec![]),
        (&forget, vec![("sure", "no")]),
        ("/admin/orders/ord_'/forget", vec![("sure", "yes")]),
        (&cancel, vec![("key", "k"), ("reason", "a\0b")]),
        (&cancel, vec![("key", "k"), ("reason", "Ada asked for it")]),
        ("/admin/orders/ord_'/cancel", vec![("key", "k")]),
        (&ship, vec![("key", "k"), ("merchant", &merchant), ("send.<script>", "1")]),
        (&ship, vec![("key", "k"), ("merchant", &merchant), ("send.O\0D", "1")]),
        (&ship, vec![("key", "k"), ("merchant", &merchant), ("send.ODD", "4294967295")]),
        (&ship, vec![("key", "k"), ("merchant", &merchant), ("send.ODD", "1"), ("carrier", &long)]),
        (&off, vec![("key", "k"), ("off.ODD", "1"), ("reason", "Ada asked for it")]),
        (&off, vec![("key", &long), ("off.ODD", "1")]),
        (&arrived, vec![]),
        (&decide, vec![("verdict", "approve")]),
        (&receive, vec![("key", "k"), ("restock.ODD", "1"), ("refund", "1"), ("currency", "<script>")]),
        (&receive, vec![("key", "k"), ("restock.ODD", "4294967295"), ("write_off.ODD", "4294967295")]),
        ("/admin/sagas/'", vec![("nudge", "retry")]),
        ("/admin/sagas/00000000000000000000000000000001", vec![("nudge", "compensate")]),
        ("/admin/stock", vec![("delta", "99999999999999999999")]),
        ("/admin/stock", vec![("delta", "1"), ("reason", "count"), ("reference", "r"), ("sku_no", "-1")]),
        ("/admin/products/odd", vec![("seen", &seen), ("title", &long), ("price.0.EUR", "1")]),
        ("/admin/products/odd", vec![("seen", &seen), ("title", ""), ("price.0.EUR", "999999999999999")]),
        ("/admin/products/odd", vec![("seen", "<script>")]),
        ("/admin/plugins", vec![("name", "x"), ("config", "{")]),
        ("/admin/plugins/nothing/activate", vec![("label", "x")]),
        ("/admin/promotions/nothing/deactivate", vec![]),
        ("/admin/sign-in", vec![("email", &long), ("password", "\u{202e}\0")]),
    ];
    for (path, form) in forms {
        let answer = admin.post(path, &form).await;
        assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.body);
        assert!(answer.body.contains("<h1>") && !answer.body.contains("<script"), "{path}");
    }
    let json = admin.send("/admin/stock", "application/json", b"{}".to_vec()).await;
    assert_eq!(json.status, 415);
    let cut = admin.send("/admin/plugins", "multipart/form-data; boundary=b", b"--b\r\nContent-Disp".to_vec()).await;
    assert_eq!(cut.status, 400);
    let large = admin.send("/admin/stock", "application/x-www-form-urlencoded", vec![b'a'; 3 * 1024 * 1024]).await;
    assert_eq!(large.status, 413);
    let file = "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nnonsense\r\n--b\r\nContent-Disposition: \
                form-data; name=\"component\"; filename=\"x.wasm\"\r\n\r\nnot wasm\r\n--b--\r\n";
    let rejected = admin.send("/admin/plugins", "multipart/form-data; boundary=b", file.into()).await;
    assert_eq!(rejected.status, 422, "{}", rejected.body);
    assert!(rejected.body.contains("The plugin was rejected"));
}

async fn after_signing_out_the_cookie_is_worth_nothing(shop: &Shop) {
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    assert_eq!(admin.get("/admin").await.status, 200);
    assert_eq!(admin.post("/admin/sign-out", &[]).await.location, "/admin/sign-in");
    eventually("the session to end here", || async { (admin.get("/admin").await.status == 303).then_some(()) }).await;
}
