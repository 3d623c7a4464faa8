//! A merchant's plugin from the file to the quote, and out of it again, on the pages.

use bodega_domain::message::pricing::Promotions;
use bodega_plugin_build::built_for_tests;

use crate::shop::{Browser, MERCHANT, Shop};

/// What shoppers read; other merchants must not.
pub(crate) const LABEL: &str = "Three for two, secretly";
/// Its name on the pages.
pub(crate) const NAME: &str = "Sellers own plugin";

/// The fields of the upload form, with the file.
fn upload(component: &[u8], config: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in [("name", NAME), ("config", config)] {
        body.extend(format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes());
    }
    let file = "--b\r\nContent-Disposition: form-data; name=\"component\"; filename=\"x.wasm\"\r\n\
                Content-Type: application/wasm\r\n\r\n";
    body.extend(file.as_bytes());
    body.extend(component);
    body.extend(b"\r\n--b--\r\n");
    body
}

pub(crate) async fn a_plugin_is_uploaded_used_and_stopped(shop: &Shop) {
    let seller = Browser::signed_in(shop, "/merchant", MERCHANT).await;
    let folder = built_for_tests().expect("plugins build");
    let component = std::fs::read(folder.join("buy-x-get-y.wasm")).expect("an example");
    let config = r#"{"of": {"skus": ["ODD"]}, "buy": 2, "get": 1}"#;
    let sent = seller.send("/merchant/plugins", "multipart/form-data; boundary=b", upload(&component, config)).await;
    assert_eq!((sent.status, sent.location.as_str()), (303, "/merchant/plugins"), "{}", sent.body);

    let page = seller.get("/merchant/plugins").await;
    assert!(page.body.contains(NAME) && page.body.contains("Trial run"), "{}", page.body);
    let activate = page.body.split("action=\"").find(|rest| rest.contains("/activate\"")).unwrap();
    let activate = activate.split_once('"').unwrap().0.to_owned();
    let form = [("key", page.field("key")), ("label", LABEL.to_owned()), ("config", config.to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for _ in 0..2 {
        let done = seller.post(&activate, &form).await;
        assert_eq!((done.status, done.location.as_str()), (303, "/merchant/plugins"), "{}", done.body);
    }
    let active = || async {
        let promotions = shop.core.ask(Promotions::default()).await.unwrap().items;
        promotions.iter().filter(|promotion| promotion.active && promotion.label == LABEL).count()
    };
    assert_eq!(active().await, 1, "a form that is sent twice is one promotion");

    let page = seller.get("/merchant/plugins").await.body;
    let stop = page.split("action=\"").find(|rest| rest.contains("/deactivate\"")).unwrap();
    let stop = stop.split_once('"').unwrap().0.to_owned();
    assert_eq!(seller.post(&stop, &[]).await.status, 303);
    assert_eq!(active().await, 0);
    let page = seller.get("/merchant/plugins").await.body;
    assert!(page.contains("Ended"));
    let changes = page.split_once("Last changes").unwrap().1;
    let (stopped, begun) = (changes.find("Deactivated").unwrap(), changes.find("Activated").unwrap());
    assert!(stopped < begun && changes.contains(LABEL) && changes.contains("<code>acc_"), "{changes}");
}
