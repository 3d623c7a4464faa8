//! Every service of the core.

use bodega_platform::Service;

/// All of them, in the order in which they are migrated and started.
pub(crate) fn all() -> Vec<Service> {
    vec![
        bodega_identity::service(),
        bodega_catalog::service(),
        bodega_inventory::service(),
        bodega_pricing::service(),
        bodega_payment::service(),
        bodega_order::service(),
        bodega_cart::service(),
        bodega_notification::service(),
        bodega_replicator::service(),
        bodega_gateway::service(),
    ]
}

/// A name that is not a service.
#[derive(Debug, thiserror::Error)]
#[error("there is no service `{name}`; there are: {known}")]
pub(crate) struct UnknownService {
    name: String,
    known: String,
}

/// The named ones, or all when none is named.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<Service>, UnknownService> {
    let all = all();
    if let Some(name) = names.iter().find(|name| all.iter().all(|service| service.name != name.as_str())) {
        let known: Vec<&str> = all.iter().map(|service| service.name).collect();
        return Err(UnknownService { name: name.clone(), known: known.join(", ") });
    }
    Ok(all.into_iter().filter(|service| names.is_empty() || names.iter().any(|name| name == service.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_is_named_and_a_misspelling_is_told() {
        let names = |services: Vec<Service>| services.into_iter().map(|s| s.name).collect::<Vec<_>>();
        assert_eq!(names(chosen(&["catalog".into()]).unwrap()), ["catalog"]);
        assert_eq!(chosen(&[]).unwrap().len(), all().len());
        let error = chosen(&["catalogue".into()]).unwrap_err().to_string();
        assert!(error.contains("`catalogue`") && error.contains("catalog, "), "{error}");
    }
}
