//! The trial before a plugin may take part.

use crate::support::{options, plugin};
use bodega_plugin_host::{
    client::Pool,
    trial::{self, Objection},
};

#[tokio::test]
async fn every_example_passes_its_trial_with_its_own_configuration() {
    let pool = Pool::new(options());
    for name in ["buy-x-get-y", "tiered-discount", "bundle-discount"] {
        let (loaded, report) = trial::run(&pool, &plugin(name), None).await.expect("a plugin");
        assert_eq!(report.objection(), None, "{name}: {report:?}");
        assert_eq!((loaded.description.name.as_str(), report.cases.len()), (name, trial::carts().len()));
        assert!(report.fuel_max > 0);
    }
}

#[tokio::test]
async fn a_hostile_plugin_does_not_pass_its_trial() {
    let pool = Pool::new(options());
    let objections = [
        ("endless-loop", r#""add""#, "used up its fuel"),
        ("memory-bomb", r#""gulp""#, "memory"),
        ("giant-output", r#""refusal""#, "more than it may"),
        ("giant-output", r#""surcharge""#, "nonsense"),
        ("panicking", "{}", "broke"),
    ];
    for (name, configuration, reason) in objections {
        let (_, report) = trial::run(&pool, &plugin(name), Some(configuration)).await.expect("a plugin");
        let objection = report.objection().expect("an objection").to_string();
        assert!(objection.contains("on one line the plugin") && objection.contains(reason), "{name}: {objection}");
    }
}

#[tokio::test]
async fn a_configuration_that_the_plugin_refuses_is_an_objection_in_its_own_words() {
    let (_, report) = trial::run(&Pool::new(options()), &plugin("buy-x-get-y"), Some(r#"{"buy": 0, "get": 1}"#))
        .await
        .expect("a plugin");
    assert_eq!(report.objection(), Some(Objection::Configuration("buy and get must be at least 1".into())));
}
