//! Pages for people, without JavaScript.

use bodega_tests::black_box::{Answer, OpenShop};
use std::collections::BTreeSet;

#[track_caller]
fn is_page(answer: &Answer) {
    let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    assert!(answer.status == 200 && kind.starts_with("text/html"), "{} {kind}: {}", answer.status, answer.text);
    for needed in ["<!DOCTYPE html>", "<title>", "name=\"viewport\"", "lang=\""] {
        assert!(answer.text.contains(needed), "no {needed} in {}", answer.text);
    }
}

/// The values of `href="…"` and `src="…"` that stay in the shop.
fn links(page: &str) -> BTreeSet<String> {
    let after = |mark: &str| page.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>();
    let all = after("href=\"").into_iter().chain(after("src=\""));
    all.filter(|link| link.starts_with('/') && !link.starts_with("//")).map(|link| link.replace("&amp;", "&")).collect()
}

#[tokio::test]
async fn every_page_is_whole() {
    let shop = OpenShop::shared().await;
    for edge in [0, 1] {
        let shopper = shop.shopper(edge);
        for path in ["/", "/search?q=bread", "/cart", "/checkout", "/account"] {
            let answer = shopper.get(path).await;
            if matches!(answer.status, 302 | 303) {
                // An empty cart has nothing to check out, an account needs a sign-in.
                continue;
            }
            is_page(&answer);
        }
    }
}

#[tokio::test]
async fn every_link_of_the_first_pages_leads_somewhere() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let home = shopper.get("/").await;
    is_page(&home);
    let mut open: BTreeSet<String> = links(&home.text);
    let category = open.iter().find(|link| link.starts_with("/c/")).cloned();
    let category = category.unwrap_or_else(|| panic!("the first page leads to a category: {open:?}"));
    open.extend(links(&shopper.get(&category).await.text));
    let mut dead = Vec::new();
    for link in &open {
        let answer = shopper.get(link).await;
        if answer.status >= 400 {
            dead.push(format!("{link}: {}", answer.status));
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
    assert!(open.len() > 10, "{open:?}");
}

#[tokio::test]
async fn nothing_that_was_typed_becomes_markup() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let page = shopper.get("/search?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
}

#[tokio::test]
async fn a_page_that_is_not_there_says_so_with_the_way_home() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    for path in ["/p/no-such-product", "/c/no-such-category", "/nowhere"] {
        let answer = shopper.send(reqwest::Method::GET, path, &[("Accept", "text/html")], None).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text.contains("href=\"/\""), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn pictures_are_served_and_may_be_kept_for_ever() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let home = shopper.get("/").await;
    let picture = links(&home.text).into_iter().find(|link| link.starts_with("/media/"));
    let picture = picture.unwrap_or_else(|| panic!("a picture on the first page: {}", home.text));
    let answer = shopper.get(&picture).await;
    let kept = answer.headers.get("cache-control").and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert!(answer.status == 200 && kept.contains("immutable"), "{} {kept}", answer.status);
}
