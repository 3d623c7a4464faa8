//! What no service could keep: Postgres has U+0000 neither in text nor in jsonb.

use bodega_domain::{Code, Failure};
use serde_json::{Map, Value};

/// Bytes of a field's name that an answer repeats.
const NAME_BYTES_MAX: usize = 40;

/// Refuses a request with U+0000 anywhere in its texts or names, before a service binds it to a statement, takes the
/// refusal of the database for a fault of its own, and answers `internal`.
///
/// # Errors
/// `validation_failed` with the field of the request, where it has a name.
pub(super) fn check(body: &[u8]) -> Result<(), Failure> {
    if !holds_nul(body) {
        return Ok(());
    }
    let fields: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let found = fields.iter().find(|(_, value)| holds_nul(value.to_string().as_bytes()));
    let pointer =
        found.map(|(name, _)| name).filter(|name| is_plain(name)).map_or_else(String::new, |n| format!("/{n}"));
    Err(Failure::from(Code::ValidationFailed).field(pointer, "control_character", "U+0000 cannot be stored."))
}

/// Whether JSON writes U+0000 somewhere. As itself it may not stand there, so it can only be its escape.
fn holds_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let (_, escape) = rest.split_at(at + 1);
        if escape.starts_with(b"u0000") {
            return true;
        }
        // Past what is escaped: two backslashes are one, and begin no other escape.
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

fn is_plain(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(body: &str) -> Option<String> {
        check(body.as_bytes()).err().map(|failure| {
            assert_eq!(failure.code, Code::ValidationFailed);
            failure.fields.into_iter().map(|field| field.pointer).collect()
        })
    }

    #[test]
    fn the_field_with_the_character_is_named() {
        assert_eq!(pointer(r#"{"slug": "a\u0000b"}"#).as_deref(), Some("/slug"));
        assert_eq!(pointer(r#"{"a": 1, "config": [{"x": ["\u0000"]}]}"#).as_deref(), Some("/config"));
        assert_eq!(pointer(r#"{"config": {"\u0000": 1}}"#).as_deref(), Some("/config"));
    }

    #[test]
    fn what_cannot_be_named_is_refused_all_the_same() {
        let deep = format!("{{\"slug\": \"\\u0000\", \"x\": {}1{}}}", "[".repeat(200), "]".repeat(200));
        let long = format!("{{\"{}\": \"\\u0000\"}}", "x".repeat(1_000));
        for body in [r#"["\u0000"]"#, r#"{"\u0000": 1}"#, r#"{"A/b": "\u0000"}"#, &deep, &long] {
            assert_eq!(pointer(body).as_deref(), Some(""), "{body:.60}");
        }
    }

    #[test]
    fn everything_else_passes() {
        for body in
            ["", "{", r#"{"slug": "a\\u0000"}"#, r#"{"slug": "\\\\u0000"}"#, r#"{"slug": "\u0001 \n \" u0000"}"#, "\\"]
        {
            assert_eq!(pointer(body), None, "{body}");
        }
        assert_eq!(pointer(r#"{"slug": "\\\u0000"}"#).as_deref(), Some("/slug"), "a backslash, and then the character");
    }
}
