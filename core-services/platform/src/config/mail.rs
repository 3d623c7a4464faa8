//! How mails leave, checked when it is read: a mistake is told at start and not by the first mail.

use serde::{Deserialize, Deserializer, de::Error as _};

use super::Secret;

/// Mails to shoppers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// The server that takes our mails, with user and password where it asks for them.
    #[serde(deserialize_with = "smtp_url")]
    pub smtp_url: Secret,
    /// Whom mails come from.
    #[serde(deserialize_with = "from")]
    pub from: String,
}

// The messages do not repeat what was written: it may hold a password.

fn smtp_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let url = Secret::deserialize(deserializer)?;
    if has_host(url.expose(), ["smtp://", "smtps://"]) {
        Ok(url)
    } else {
        Err(D::Error::custom("expected smtp://host or smtps://user:password@host"))
    }
}

fn from<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let from = String::deserialize(deserializer)?;
    if from.contains('@') {
        Ok(from)
    } else {
        Err(D::Error::custom("expected a sender like `Corner Shop <shop@example.com>`"))
    }
}

fn has_host(url: &str, schemes: [&str; 2]) -> bool {
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}
