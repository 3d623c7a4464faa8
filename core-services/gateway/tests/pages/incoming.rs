//! Goods on their way, what is to be ordered anew, and who wants to hear of it.

use bodega_domain::message::inventory::{Incoming, Levels};

use crate::shop::{ADMIN, Browser, MERCHANT, OTHER_MERCHANT, Shop};

pub(crate) async fn goods_are_announced_and_booked_in(shop: &Shop) {
    let seller = Browser::signed_in(shop, "/merchant", MERCHANT).await;
    let other = Browser::signed_in(shop, "/merchant", OTHER_MERCHANT).await;
    assert!(seller.get("/merchant/stock/incoming").await.body.contains("Nothing is on its way."));
    let page = seller.get("/merchant/stock").await;
    let fields = ["sku_no", "location", "merchant"].map(|name| (name, page.field(name)));
    let form = |more: &[(&'static str, &'static str)]| {
        let own = fields.iter().map(|(name, value)| (*name, value.clone()));
        own.chain(more.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect::<Vec<_>>()
    };
    let send = async |browser: &Browser, path: &str, form: &[(&str, String)]| {
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        browser.post(path, &form).await
    };
    let announced = form(&[("units", "12"), ("day", "2026-12-24"), ("reference", "PO <7>")]);
    for _ in 0..2 {
        let done = send(&seller, "/merchant/stock/incoming", &announced).await;
        assert_eq!((done.status, done.location.as_str()), (303, "/merchant/stock/incoming"), "{}", done.body);
    }
    for wrong in [
        form(&[("units", "0"), ("reference", "a")]),
        form(&[("units", "1"), ("day", "2026-02-30"), ("reference", "a")]),
        form(&[("units", "1"), ("reference", " ")]),
    ] {
        assert_eq!(send(&seller, "/merchant/stock/incoming", &wrong).await.status, 422, "{wrong:?}");
    }
    assert_eq!(send(&other, "/merchant/stock/incoming", &announced).await.status, 403);
    let page = seller.get("/merchant/stock/incoming").await.body;
    assert!(page.contains("PO &lt;7&gt;") && page.contains("2026-12-24") && page.contains("acc_"), "{page}");
    assert!(seller.get("/merchant/stock").await.body.contains("12 on their way"));

    let open = shop.core.ask(Incoming::default()).await.unwrap().items;
    assert_eq!(open.len(), 1, "the same order at the supplier is one");
    let path = format!("/merchant/stock/incoming/{}", open[0].id);
    let key = seller.get("/merchant/stock/incoming").await.field("key");
    let on_hand = || async {
        let levels = shop.core.ask(Levels { sku_nos: vec![open[0].sku_no], ..Levels::default() }).await.unwrap().items;
        levels.iter().find(|level| level.location == open[0].location).unwrap().on_hand
    };
    let before = on_hand().await;
    for _ in 0..2 {
        let some = seller.post(&format!("{path}/receive"), &[("key", &key), ("units", "5"), ("last", "no")]).await;
        assert_eq!(some.status, 303, "{}", some.body);
    }
    assert_eq!(on_hand().await, before + 5, "a form is one receipt");
    assert!(seller.get("/merchant/stock/incoming").await.body.contains("value=\"7\""), "the rest is offered");
    assert_eq!(other.post(&format!("{path}/give-up"), &[]).await.status, 404);
    assert_eq!(seller.post(&format!("{path}/give-up"), &[]).await.status, 303);
    assert!(seller.get("/merchant/stock/incoming").await.body.contains("Nothing is on its way."));
    assert!(seller.get("/merchant/stock/incoming?show=all_of_them").await.body.contains("nothing more, since"));
    assert!(!other.get("/merchant/stock/incoming?show=all_of_them").await.body.contains("PO"));
}

pub(crate) async fn what_is_low_is_listed_for_its_merchant(shop: &Shop) {
    let seller = Browser::signed_in(shop, "/merchant", MERCHANT).await;
    let other = Browser::signed_in(shop, "/merchant", OTHER_MERCHANT).await;
    assert!(seller.get("/merchant/stock/low").await.body.contains("Nothing."));
    let page = seller.get("/merchant/stock").await;
    let [sku, merchant] = ["sku_no", "merchant"].map(|name| page.field(name));
    let set = async |browser: &Browser, units: &str| {
        let form = [("sku_no", sku.as_str()), ("merchant", &merchant), ("units", units), ("back", "/stock/low")];
        browser.post("/merchant/stock/reorder-point", &form).await
    };
    let done = set(&seller, "100000").await;
    assert_eq!((done.status, done.location.as_str()), (303, "/merchant/stock/low"), "{}", done.body);
    let page = seller.get("/merchant/stock/low").await.body;
    assert!(page.contains("ODD") && page.contains("100000") && page.contains("Low"), "{page}");
    assert!(seller.get("/merchant").await.body.contains("Articles to order anew"));
    assert!(!other.get("/merchant/stock/low").await.body.contains("ODD"));
    assert_eq!((set(&seller, "-1").await.status, set(&other, "1").await.status), (422, 403));
    assert_eq!(set(&seller, "9").await.status, 303);
    assert!(!seller.get("/merchant/stock/low").await.body.contains("ODD"));
}

pub(crate) async fn each_chooses_for_the_own_mailbox(shop: &Shop) {
    let seller = Browser::signed_in(shop, "/merchant", MERCHANT).await;
    let is_on = async || seller.get("/merchant/settings").await.body.contains("<option value=\"true\" selected>");
    assert!(is_on().await);
    for (wanted, on) in [("false", false), ("true", true)] {
        let done = seller.post("/merchant/settings/stock-mails", &[("wanted", wanted)]).await;
        assert_eq!((done.status, is_on().await), (303, on), "{}", done.body);
    }
    assert_eq!(seller.post("/merchant/settings/stock-mails", &[("wanted", "perhaps")]).await.status, 422);
    // Who acts for no merchant gets none, and is not asked.
    let admin = Browser::signed_in(shop, "/admin", ADMIN).await;
    assert!(!admin.get("/admin/settings").await.body.contains("E-mails about stock"));
}
