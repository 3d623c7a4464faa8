//! The OpenAPI document: made from the tables beside this file, served as it was made, and true to what the shop does.
//! `UPDATE_OPENAPI=1 cargo test -p bodega-storefront --test storefront -- openapi` writes it anew.

mod operations;
mod order;
mod schema;

use std::collections::BTreeSet;

use crate::double::{Edge, client::Client};
use operations::{OPERATIONS, Op};
use serde_json::{Value, json};
use utoipa::OpenApi;

fn document() -> Value {
    let mut document = serde_json::to_value(schema::Schemas::openapi()).unwrap();
    document["info"] = json!({
        "title": "Bodega storefront",
        "version": "1",
        "description": "The shop's JSON API, the same at every edge. Sessions and carts travel in cookies, or for clients \
            without a cookie jar in the headers Bodega-Session, Bodega-Refresh and Bodega-Cart, which answers carry too.",
        "license": {"name": "MIT OR Apache-2.0"},
    });
    // What is read is read strictly: a member that is not listed is refused.
    let nested = ["Address", "Contact", "PaymentChoice", "PiecesIn"];
    for name in OPERATIONS.iter().filter_map(|op| op.takes).chain(nested) {
        document["components"]["schemas"][name]["additionalProperties"] = json!(false);
    }
    let mut paths = json!({});
    for op in OPERATIONS {
        paths[op.path][op.method] = operation(op);
    }
    document["paths"] = paths;
    document
}

fn content(kind: &str, schema: &str) -> Value {
    json!({kind: {"schema": {"$ref": format!("#/components/schemas/{schema}")}}})
}

fn operation(op: &Op) -> Value {
    let text = json!({"type": "string"});
    let mut parameters = Vec::new();
    for name in op.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        parameters.push(json!({"name": name, "in": "path", "required": true, "schema": text}));
    }
    for (name, description) in op.query {
        parameters.push(json!({"name": name, "in": "query", "description": description, "schema": text}));
    }
    for (name, description) in op.headers {
        parameters.push(json!({"name": name, "in": "header", "description": description, "schema": text}));
    }
    if let Some(required) = op.key {
        let description = "1 to 128 visible ASCII characters: the same key and body, the same effect";
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": required, "description": description, "schema": text,
        }));
    }
    let (status, schema) = op.gives;
    let mut done = json!({"description": "Done"});
    if let Some(schema) = schema {
        done["content"] = content("application/json", schema);
    }
    let refused = json!({"description": "Refused", "content": content("application/problem+json", "Problem")});
    let mut operation = json!({"summary": op.summary, "responses": {status: done, "default": refused}});
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some(schema) = op.takes {
        operation["requestBody"] = json!({"required": true, "content": content("application/json", schema)});
    }
    operation
}

#[test]
fn the_served_document_is_the_one_that_the_tables_make() {
    let made = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(file, &made).unwrap();
    }
    let answer = Client::new(&Edge::stocked()).get("/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(std::fs::read_to_string(file).unwrap(), made, "run with UPDATE_OPENAPI=1 and look at the difference");
    assert_eq!(answer.json(), document());
}

#[test]
fn every_operation_of_the_shop_is_in_the_document_and_no_other() {
    let edge = Edge::stocked();
    let mut listed: BTreeSet<(&str, BTreeSet<String>)> = BTreeSet::new();
    for path in OPERATIONS.iter().map(|op| op.path).collect::<BTreeSet<_>>() {
        let methods = OPERATIONS.iter().filter(|op| op.path == path).map(|op| op.method.to_owned()).collect();
        listed.insert((path, methods));
    }
    for (path, methods) in &listed {
        let answer = Client::new(&edge).send("BREW", &path.replace(['{', '}'], ""), &[], b"");
        let allowed: BTreeSet<String> =
            answer.header("allow").to_lowercase().split(", ").filter(|m| *m != "head").map(str::to_owned).collect();
        assert_eq!(&allowed, methods, "{path}");
    }
    let routes = include_str!("../../src/router.rs");
    let in_router: BTreeSet<&str> = routes.split('"').filter(|text| text.starts_with("/api/v1/")).collect();
    assert_eq!(in_router, listed.iter().map(|(path, _)| *path).collect::<BTreeSet<_>>());
}

/// Holds a value against a schema; says where it does not fit.
fn fit(schemas: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        return fit(schemas, &schemas[name.rsplit('/').next().unwrap()], value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = choices.iter().filter(|choice| fit(schemas, choice, value, at).is_ok()).count();
        return if fits == 1 { Ok(()) } else { Err(format!("{at}: {fits} of its choices fit {value}")) };
    }
    if let Some(values) = schema["enum"].as_array() {
        return if values.contains(value) { Ok(()) } else { Err(format!("{at}: {value} is not listed")) };
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    // `Object` stands for anything.
    let anything = schema["properties"].is_null() && schema["additionalProperties"].is_null() && kinds == ["object"];
    if anything {
        return Ok(());
    }
    if !kinds.contains(&kind) {
        return Err(format!("{at}: {value} is not {kinds:?}"));
    }
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| fit(schemas, &schema["items"], item, &format!("{at}/{i}"))),
        Value::Object(members) => {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !members.contains_key(name) {
                    return Err(format!("{at}/{name} is missing"));
                }
            }
            members.iter().try_for_each(|(name, member)| {
                let of = if schema["properties"].is_null() {
                    &schema["additionalProperties"]
                } else {
                    &schema["properties"][name]
                };
                if of.is_null() {
                    Err(format!("{at}/{name} is not in the document"))
                } else {
                    fit(schemas, of, member, &format!("{at}/{name}"))
                }
            })
        }
        _ => Ok(()),
    }
}

/// Sends a request that the document describes and holds the answer against it.
fn real(client: &mut Client, method: &str, path: &str, target: &str, body: Option<&Value>) -> Value {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let operation = &document["paths"][path][method];
    assert!(operation.is_object(), "{method} {path}");
    if let Some(body) = body {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        fit(schemas, schema, body, "request").unwrap();
    }
    let headers = [("content-type", "application/json"), ("idempotency-key", path)];
    let bytes = body.map(Value::to_string).unwrap_or_default();
    let answer = client.send(&method.to_uppercase(), target, &headers, bytes.as_bytes());
    let told = &operation["responses"][answer.status.to_string()];
    assert!(told.is_object(), "{method} {path} answers {}: {}", answer.status, answer.text());
    if answer.body.is_empty() {
        return Value::Null;
    }
    let schema = &told["content"]["application/json"]["schema"];
    fit(schemas, schema, &answer.json(), path).unwrap_or_else(|wrong| panic!("{method} {path}: {wrong}"));
    answer.json()
}

#[test]
fn real_answers_and_requests_are_as_the_document_says() {
    let edge = Edge::stocked();
    let mut c = Client::new(&edge);
    let address =
        json!({"name": "Ada", "line1": "Linden 1", "city": "Berlin", "postal_code": "10117", "country": "DE"});
    real(&mut c, "get", "/api/v1/products", "/api/v1/products", None);
    real(&mut c, "get", "/api/v1/products", "/api/v1/products?q=sour", None);
    real(&mut c, "get", "/api/v1/products/{slug}", "/api/v1/products/sourdough", None);
    real(&mut c, "get", "/api/v1/categories", "/api/v1/categories", None);
    let line = json!({"sku": "BREAD-HALF", "quantity": 2});
    real(&mut c, "post", "/api/v1/cart/lines", "/api/v1/cart/lines", Some(&line));
    real(&mut c, "patch", "/api/v1/cart/lines/{sku}", "/api/v1/cart/lines/TEA", Some(&json!({"quantity": 2})));
    real(&mut c, "delete", "/api/v1/cart/lines/{sku}", "/api/v1/cart/lines/TEA", None);
    real(&mut c, "post", "/api/v1/cart/codes", "/api/v1/cart/codes", Some(&json!({"code": "FRIENDS"})));
    real(&mut c, "delete", "/api/v1/cart/codes/{code}", "/api/v1/cart/codes/X", None);
    real(&mut c, "patch", "/api/v1/cart", "/api/v1/cart", Some(&json!({"currency": "USD"})));
    real(&mut c, "get", "/api/v1/cart", "/api/v1/cart", None);
    let quote = real(&mut c, "post", "/api/v1/quote", "/api/v1/quote", Some(&json!({"shipping_address": address})));
    let payment = json!({"provider": "simulator", "method": "card_refused"});
    let wish = json!({
        "quote": quote["token"], "contact": {"email": "a@b.co", "name": "A"}, "shipping_address": address, "payment": payment,
    });
    let order = real(&mut c, "post", "/api/v1/checkout", "/api/v1/checkout", Some(&wish));
    let at = format!("/api/v1/orders/{}", order["id"].as_str().unwrap());
    let key = "/api/v1/checkout/%2Fapi%2Fv1%2Fcheckout";
    real(&mut c, "get", "/api/v1/checkout/{key}", key, None);
    real(&mut c, "get", "/api/v1/orders", "/api/v1/orders?limit=5", None);
    real(&mut c, "get", "/api/v1/orders/{id}", &at, None);
    let pay = json!({"payment": payment});
    real(&mut c, "post", "/api/v1/orders/{id}/payments", &format!("{at}/payments"), Some(&pay));
    let piece = json!({"lines": [{"sku": "BREAD-HALF", "quantity": 1}], "reason": "other"});
    real(&mut c, "post", "/api/v1/orders/{id}/cancel", &format!("{at}/cancel"), Some(&piece));
    edge.core.ship(order["id"].as_str().unwrap(), "BREAD-HALF", 1);
    real(&mut c, "post", "/api/v1/orders/{id}/returns", &format!("{at}/returns"), Some(&piece));
    real(&mut c, "get", "/api/v1/orders/{id}", &at, None);
    real(&mut c, "post", "/api/v1/orders/{id}/link", &format!("{at}/link"), None);
    let grace = json!({"email": "grace@example.org", "password": "long enough", "name": "Grace"});
    real(&mut c, "post", "/api/v1/register", "/api/v1/register", Some(&grace));
    real(&mut c, "delete", "/api/v1/session", "/api/v1/session", None);
    let ada = json!({"email": "ada@example.org", "password": "correct horse"});
    real(&mut c, "post", "/api/v1/session", "/api/v1/session", Some(&ada));
    real(&mut c, "post", "/api/v1/session/refresh", "/api/v1/session/refresh", None);
    real(&mut c, "get", "/api/v1/account", "/api/v1/account", None);
    real(&mut c, "patch", "/api/v1/account", "/api/v1/account", Some(&json!({"name": "Ada", "address": address})));
    let password = json!({"password": "correct horse"});
    real(&mut c, "post", "/api/v1/account/deletion", "/api/v1/account/deletion", Some(&password));
}

#[test]
fn problems_are_as_the_document_says() {
    let edge = Edge::stocked();
    let document = document();
    let mut client = Client::new(&edge);
    for (target, body) in
        [("/api/v1/cart/lines", json!({"sku": 1})), ("/api/v1/quote", json!({})), ("/api/v1/none", json!({}))]
    {
        let problem = client.json("POST", target, &body).json();
        let schemas = &document["components"]["schemas"];
        fit(schemas, &schemas["Problem"], &problem, "problem").unwrap();
    }
}
