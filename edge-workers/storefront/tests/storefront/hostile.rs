//! Hostile input at every address: an answer with a listed code, never a fault of ours, never a trap.

use crate::double::{Edge, client::Client};
use bodega_domain::Code;

const PATHS: &[&str] = &[
    "/",
    "/c/bakery",
    "/c/all",
    "/p/tea",
    "/search",
    "/cart",
    "/checkout",
    "/checkout/k",
    "/account",
    "/orders/ord_00000000000000000000000001",
    "/o/ord_00000000000000000000000001/secret-secret",
    "/media/x.webp",
    "/assets/x.css",
    "/_edge/v1/ingest",
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/api/v1/products",
    "/api/v1/products/tea",
    "/api/v1/categories",
    "/api/v1/cart",
    "/api/v1/cart/lines",
    "/api/v1/cart/lines/TEA",
    "/api/v1/cart/codes",
    "/api/v1/cart/codes/X",
    "/api/v1/quote",
    "/api/v1/checkout",
    "/api/v1/checkout/k",
    "/api/v1/orders",
    "/api/v1/orders/ord_00000000000000000000000001",
    "/api/v1/orders/ord_00000000000000000000000001/payments",
    "/api/v1/orders/ord_00000000000000000000000001/cancel",
    "/api/v1/orders/ord_00000000000000000000000001/returns",
    "/api/v1/orders/ord_00000000000000000000000001/link",
    "/api/v1/session",
    "/api/v1/session/refresh",
    "/api/v1/register",
    "/api/v1/account",
];

const BODIES: &[&[u8]] = &[
    b"",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b"\"x\"",
    b"1e999",
    b"{\"sku\":1}",
    b"{\"sku\":\"TEA\",\"quantity\":-1}",
    b"{\"sku\":\"TEA\",\"quantity\":1.5}",
    b"{\"sku\":\"TEA\",\"quantity\":4294967296}",
    b"{\"sku\":\"TEA\",\"quantity\":\"1\"}",
    b"{\"sku\":\"../x\",\"quantity\":1}",
    b"{\"sku\":\"TEA\",\"quantity\":1,\"x\":1}",
    b"{\"a\":{\"a\":{\"a\":[[[[[[]]]]]]}}}",
    b"{\"code\":\"\\u0000\"}",
    b"{\"currency\":\"EURO\"}",
    b"{\"email\":{},\"password\":[]}",
    b"\xff\xfe\x00",
    b"{} {}",
    b"{\"shipping_address\":\"Berlin\"}",
    b"{\"shipping_address\":{\"name\":null}}",
    b"{\"lines\":[{\"sku\":\"\\ud800\"}]}",
    b"action=add&sku=%00&quantity=-1&key=%20",
    b"action=place&key=k",
    b"action=%ff%fe",
    b"action=line&sku=no-99999999999&step=x",
    b"action=line&sku=TEA&quantity=9999999999999",
    b"action=currency&currency=XXX",
    b"action=quote&country=de",
    b"action=update&country=Germany&line1=x",
    b"action=return&key=k&back:TEA=-1",
    b"action=cancel_lines&key=k&off:=1&off:%00=1&off:TEA=99999999999999999999",
    b"{\"lines\":[[\"TEA\",-1]],\"reason\":7}",
    b"{\"lines\":[[\"TEA\",1,1],[]]}",
    b"action=code&code=%0A",
];

fn listed(status: u16, code: &str) -> bool {
    Code::ALL.iter().any(|c| c.as_str() == code && c.http_status() == status)
}

fn check(client: &mut Client, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
    let answer = client.send(method, target, headers, body);
    let context = || format!("{method} {target} {headers:?} {} → {}", String::from_utf8_lossy(body), answer.text());
    assert!(answer.status < 500, "{}", context());
    assert!(!answer.header("bodega-request-id").is_empty());
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    if answer.status < 400 || method == "HEAD" {
        return;
    }
    if answer.header("content-type") == "application/problem+json" {
        assert!(listed(answer.status, &answer.code()), "{}", context());
    } else {
        assert!(answer.header("content-type").starts_with("text/html"), "{}", context());
        assert!(!target.starts_with("/api/"), "{}", context());
    }
}

#[test]
fn every_address_with_every_method_and_body_is_answered() {
    let edge = Edge::stocked();
    for path in PATHS {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            for body in BODIES {
                for content_type in ["application/json", "application/x-www-form-urlencoded", "text/plain"] {
                    let mut client = Client::new(&edge);
                    let headers =
                        [("content-type", content_type), ("idempotency-key", "k"), ("origin", "http://shop.test")];
                    check(&mut client, method, path, &headers, body);
                }
            }
        }
    }
}

#[test]
fn broken_cookies_and_headers_are_no_trouble() {
    let edge = Edge::stocked();
    let long = "x".repeat(9_000);
    let values = ["", "\u{fffd}", "a=b", ";;;=", "g1..", "a1.i1.e30.AAAA", "c1.g.AAAA", "%00", &long];
    for path in PATHS {
        for value in values {
            for name in ["bodega_session", "bodega_cart", "bodega_refresh", "bodega_order", "bodega_checkout", "x"] {
                let mut client = Client::new(&edge);
                client.jar.insert(name.into(), value.into());
                check(&mut client, "GET", path, &[], b"");
            }
            for name in ["bodega-session", "bodega-cart", "if-none-match", "traceparent", "accept", "origin", "range"] {
                check(&mut Client::new(&edge), "GET", path, &[(name, value)], b"");
            }
            check(&mut Client::new(&edge), "POST", path, &[("idempotency-key", value), ("content-type", value)], b"{}");
        }
    }
}

#[test]
fn bad_paths_and_queries_are_answered() {
    let edge = Edge::stocked();
    let long_path = format!("/p/{}", "a".repeat(5_000));
    let long_query = format!("/search?q={}", "a".repeat(5_000));
    let targets = [
        "//",
        "/.",
        "/..",
        "/p/..",
        "/p/%2e%2e%2fsku%2f1",
        "/p/%00",
        "/p/%ff",
        "/p/%",
        "/c/%E2%80%AE",
        "/api",
        "/api/v1",
        "/api/v2/cart",
        "/api/v1/cart/lines/%2F",
        "/api/v1/cart/lines/no-x",
        "/api/v1/orders/ord_",
        "/api/v1/orders/%20",
        "/api/v1/products?limit=0",
        "/api/v1/products?limit=x",
        "/api/v1/products?limit=101",
        "/api/v1/products?cursor=-1",
        "/api/v1/products?cursor=99999999999999999999",
        "/api/v1/products?category=../x",
        "/api/v1/products?q=%00%ff",
        "/c/bakery?page=0",
        "/c/bakery?page=x",
        "/c/bakery?page=2",
        "/c/bakery?page=4294967295",
        "/search?q=%ff&cursor=%00",
        "/account?next=//evil&cursor=%0d%0a",
        "/?added=%3Cscript%3E",
        "/p/tea?added=%22%3E",
        "/checkout/%20",
        "/checkout/%0a",
        "/api/v1/checkout/%F0%9F%92%A9",
        "/api/v1/checkout/k?deadline=x",
        "/api/v1/checkout/k?deadline=-9223372036854775808",
        "/api/v1/checkout/k?deadline=9223372036854775807",
        "/o/x/y",
        "/media/",
        "/media/%2e%2e",
        "/assets/../Cargo.toml",
        &long_path,
        &long_query,
    ];
    for target in targets {
        for method in ["GET", "POST", "PATCH", "DELETE"] {
            check(&mut Client::new(&edge), method, target, &[("content-type", "application/json")], b"{}");
        }
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let edge = Edge::stocked();
    let mut client = Client::new(&edge);
    let huge = format!("{{\"sku\":\"{}\",\"quantity\":1}}", "x".repeat(70_000));
    let answer = client.send("POST", "/api/v1/cart/lines", &[("content-type", "application/json")], huge.as_bytes());
    assert_eq!((answer.status, answer.code().as_str()), (413, "payload_too_large"));
    let nested = "[".repeat(60_000);
    let answer = client.send("POST", "/api/v1/quote", &[("content-type", "application/json")], nested.as_bytes());
    assert!(answer.status == 400 || answer.status == 422, "{}", answer.text());
    client.jar.insert("x".into(), "y".repeat(40_000));
    assert_eq!(client.get("/api/v1/cart").code(), "bad_request");
}

#[test]
fn wrong_members_are_named_by_pointer() {
    let edge = Edge::stocked();
    let mut client = Client::new(&edge);
    let cases: &[(&str, &str, &str, &str)] = &[
        ("/api/v1/cart/lines", r#"{"sku":"TEA","quantity":"1"}"#, "validation_failed", "/quantity"),
        ("/api/v1/cart/lines", r#"{"sku":"TEA","quantity":0}"#, "validation_failed", "/quantity"),
        ("/api/v1/cart/lines", r#"{"sku":"TEA","quantity":1000}"#, "validation_failed", "/quantity"),
        ("/api/v1/cart/lines", r#"{"sku":"NOPE","quantity":1}"#, "sku_not_found", "/sku"),
        (
            "/api/v1/quote",
            r#"{"shipping_address":{"name":"a","line1":"b","city":"c","postal_code":"d","country":"de"}}"#,
            "validation_failed",
            "/shipping_address/country",
        ),
        ("/api/v1/quote", r#"{"currency":"EURO"}"#, "validation_failed", "/currency"),
    ];
    for (target, body, code, pointer) in cases {
        let answer = client.send("POST", target, &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(answer.code(), *code, "{body}");
        assert_eq!(answer.json()["fields"][0]["pointer"], *pointer, "{}", answer.text());
    }
    assert_eq!(client.send("POST", "/api/v1/quote", &[], b"{}").code(), "unsupported_media_type");
    let answer = client.send("PUT", "/api/v1/cart", &[], b"");
    assert_eq!((answer.code().as_str(), answer.header("allow")), ("method_not_allowed", "GET, HEAD, PATCH"));
}

#[test]
fn pages_show_what_others_wrote_as_text() {
    let edge = Edge::stocked();
    let mut browser = Client::new(&edge);
    for sku in ["NASTY", "TEA", "BREAD-WHOLE"] {
        browser.json("POST", "/api/v1/cart/lines", &serde_json::json!({"sku": sku, "quantity": 1}));
    }
    browser.json("POST", "/api/v1/cart/codes", &serde_json::json!({"code": "\"><script>x</script>"}));
    let form = [
        ("action", "quote"),
        ("email", "a@b.co"),
        ("name", "<script>n</script>"),
        ("line1", "\"><img src=x>"),
        ("city", "<b>"),
        ("postal_code", "'\"<"),
        ("country", "DE"),
    ];
    let mut pages = vec![browser.form("/checkout", &form)];
    for path in [
        "/",
        "/c/drinks",
        "/c/bakery",
        "/p/nasty",
        "/p/tea",
        "/cart",
        "/checkout",
        "/account",
        "/nothing%3Cscript%3E",
        "/search?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/search?q=alert",
        "/?added=%22%3E%3Cscript%3E",
        "/c/all?page=%3Cscript%3E",
        "/account?next=%22%3E%3Cscript%3E",
    ] {
        pages.push(browser.get(path));
    }
    for page in pages {
        let text = page.text();
        assert!(page.header("content-type").starts_with("text/html"), "{text}");
        for bad in ["<script", "<img src=x", "<b>", "<i>", "<u>", "<x>", "<oven>", "<&>", "javascript:"] {
            assert!(!text.contains(bad), "{bad} in {text}");
        }
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(
            text.contains("<html lang=\"en\">")
                && text.contains("href=\"#content\"")
                && text.contains("id=\"content\"")
        );
    }
}

#[test]
fn the_runtime_s_name_of_a_request_is_its_name_everywhere_and_what_is_no_name_is_passed_over() {
    let edge = Edge::stocked();
    let mut client = Client::new(&edge);
    let told = bodega_domain::id::RequestId::from_u128(77).to_string();
    let answer = client.send("GET", "/api/v1/products?q=tea", &[("bodega-request-id", &told)], b"");
    assert_eq!(answer.header("bodega-request-id"), told);
    assert_eq!(edge.request_ids(), [told.as_str()]);
    assert!(edge.log_lines().iter().any(|line| line.contains(&told)));
    for bad in ["", "req_", "req_short", "ord_00000000000000000000000000", "\u{80}"] {
        let answer = client.send("GET", "/", &[("bodega-request-id", bad)], b"");
        let own = answer.header("bodega-request-id");
        assert!(own.parse::<bodega_domain::id::RequestId>().is_ok() && own != bad, "{bad}: {own}");
    }
}
