//! The configuration of NATS: one account, a user per service and per edge, each limited to what it needs.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// `deploy/nats/permissions.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    every_service: Subjects,
    services: BTreeMap<String, Asks>,
    every_edge: Subjects,
}

/// What a credential may publish and subscribe to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subjects {
    /// Subjects it may publish to.
    pub publish: Vec<String>,
    /// Subjects it may subscribe to.
    pub subscribe: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asks {
    publish: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
}

/// A user of the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The service's or edge's name.
    pub user: String,
    /// Its password.
    pub password: String,
    /// What it may do.
    pub subjects: Subjects,
}

impl Permissions {
    /// Reads the file.
    ///
    /// # Errors
    /// Where it is not what it should be.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The services that have a credential.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// What a service may do. `None` for one that is not listed.
    #[must_use]
    pub fn of_service(&self, service: &str) -> Option<Subjects> {
        let asks = self.services.get(service)?;
        let mut subjects = named(&self.every_service, "{service}", service);
        subjects.publish.extend(asks.publish.iter().cloned());
        subjects.subscribe.extend(asks.subscribe.iter().cloned());
        Some(subjects)
    }

    /// What an edge may do.
    #[must_use]
    pub fn of_edge(&self, edge: &str) -> Subjects {
        named(&self.every_edge, "{edge}", edge)
    }
}

fn named(subjects: &Subjects, placeholder: &str, name: &str) -> Subjects {
    let put = |list: &[String]| list.iter().map(|subject| subject.replace(placeholder, name)).collect();
    Subjects { publish: put(&subjects.publish), subscribe: put(&subjects.subscribe) }
}

/// The text of `nats.conf` without ports and folders, which the command line gives.
#[must_use]
pub fn server_configuration(credentials: &[Credential]) -> String {
    let mut text = "# Generated from deploy/nats/permissions.toml: change that instead.\nmax_payload: 1MB\n\naccounts {\n  BODEGA {\n    jetstream: enabled\n    users: [\n".to_owned();
    for credential in credentials {
        let Credential { user, password, subjects } = credential;
        let _ = writeln!(text, "      {{ user: \"{user}\", password: \"{password}\", permissions: {{");
        let _ = writeln!(text, "          publish: {{ allow: {} }}", list(&subjects.publish));
        let _ = writeln!(text, "          subscribe: {{ allow: {} }}", list(&subjects.subscribe));
        // A reply to a request, once, to wherever the request asks for it.
        text.push_str("          allow_responses: { max: 1, expires: \"2m\" }\n      } }\n");
    }
    text.push_str("    ]\n  }\n}\n");
    text
}

fn list(subjects: &[String]) -> String {
    let quoted: Vec<String> = subjects.iter().map(|subject| format!("\"{subject}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::Permissions;

    const LISTED: &str = include_str!("../../../nats/permissions.toml");

    #[test]
    fn a_service_publishes_its_own_events_and_nobody_elses() -> Result<(), toml::de::Error> {
        let permissions = Permissions::parse(LISTED)?;
        for service in permissions.services() {
            let subjects = permissions.of_service(service).unwrap_or_else(|| panic!("{service} is listed"));
            let events: Vec<&String> = subjects.publish.iter().filter(|subject| subject.starts_with("evt.")).collect();
            assert_eq!(events, [&format!("evt.{service}.v1.>")]);
            assert!(subjects.publish.iter().all(|subject| subject != ">" && subject != "$JS.>"));
        }
        Ok(())
    }

    #[test]
    fn an_edge_reaches_only_what_shoppers_need_and_its_own_inbox() -> Result<(), toml::de::Error> {
        let edge = Permissions::parse(LISTED)?.of_edge("edge-1");
        assert!(edge.publish.iter().all(|subject| !subject.contains(['*', '>', '$'])));
        assert_eq!(edge.subscribe, ["_INBOX.edge-1.>"]);
        Ok(())
    }
}
