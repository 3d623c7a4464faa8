use super::*;

#[test]
fn the_documented_defaults_are_complete() {
    let config = Config::parse("").unwrap();
    assert_eq!(config.http.gateway.to_string(), "127.0.0.1:8090");
    assert_eq!(config.database.url_of("order").expose(), "postgres://bodega_order:bodega@127.0.0.1:5432/bodega");
}

#[test]
fn a_service_may_have_its_own_database() {
    let config =
        Config::parse("[database.services.order]\nurl = \"postgres://o@db/orders\"\nconnections_max = 3").unwrap();
    assert_eq!(config.database.url_of("order").expose(), "postgres://o@db/orders");
    assert_eq!(config.database.connections_max_of("order"), 3);
    assert_eq!(config.database.connections_max_of("cart"), 8);
    assert!(config.database.url_of("cart").expose().contains("bodega_cart"));
}

#[test]
fn an_unknown_key_is_an_error_that_names_it() {
    let error = Config::parse("[http]\ngatway = \"127.0.0.1:1\"").unwrap_err().to_string();
    assert!(error.contains("gatway"), "{error}");
}

#[test]
fn secrets_are_masked_in_debug_output() {
    let config = Config::parse(
        "[nats]\npassword = \"hunter2\"\n[keys]\nguest = [{ kid = \"a\", secret = \"c2VjcmV0\" }]\n\
         [database]\nurl = \"postgres://u:hunter2@h/d\"",
    )
    .unwrap();
    let debug = format!("{config:?}");
    assert!(!debug.contains("hunter2") && !debug.contains("c2VjcmV0"), "{debug}");
    assert!(debug.contains("<masked>"), "{debug}");
}

#[test]
fn a_password_of_digits_is_a_text() {
    assert_eq!(Config::parse("[nats]\npassword = 1234").unwrap().nats.password.expose(), "1234");
}

#[test]
fn fresh_keys_can_be_written_and_read_again() {
    let keys = Keys::generate(&Entropy);
    let read = Config::parse(&keys.to_toml()).unwrap().keys;
    assert_eq!(read.guest.0[0].secret, keys.guest.0[0].secret);
    assert_eq!(read.identity[0].seed, keys.identity[0].seed);
    assert_eq!(read.account_keys()[0].key, keys.account_keys()[0].key);
    assert_ne!(keys.guest.0[0].secret, keys.quote.0[0].secret);
}

const MAIL: &str = "[mail]\nsmtp_url = \"smtps://shop:hunter2@mail.example.com\"\n\
     from = \"Corner Shop <shop@example.com>\"\n";

#[test]
fn mail_is_off_until_it_is_configured_and_its_password_is_masked() {
    assert!(Config::parse("").unwrap().mail.is_none());
    let mail = Config::parse(MAIL).unwrap().mail.unwrap();
    assert_eq!(mail.smtp_url.expose(), "smtps://shop:hunter2@mail.example.com");
    assert_eq!(mail.from, "Corner Shop <shop@example.com>");
    let debug = format!("{mail:?}");
    assert!(!debug.contains("hunter2") && debug.contains("<masked>"), "{debug}");
}

#[test]
fn a_mistake_about_mail_is_named_and_no_password_with_it() {
    for (right, wrong, named) in [
        ("smtps://", "https://", "mail.smtp_url"),
        ("smtps://shop:hunter2@mail.example.com", "smtp://", "mail.smtp_url"),
        ("Corner Shop <shop@example.com>", "", "mail.from"),
        ("smtp_url", "smtp_ur", "smtp_ur"),
        ("from = \"Corner Shop <shop@example.com>\"\n", "", "from"),
    ] {
        let error = Config::parse(&MAIL.replace(right, wrong)).unwrap_err().to_string();
        assert!(error.contains(named) && !error.contains("hunter2"), "{wrong}: {error}");
    }
}
