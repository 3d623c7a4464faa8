//! Events: what has happened, told to whoever wants to know. They tell; they never ask.

use serde::{Deserialize, Serialize};

use crate::{id::EventId, time::Timestamp};

/// The envelope of an event, after CloudEvents. Its data carries ids, never personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Also the `Nats-Msg-Id`; a consumer applies it once.
    pub id: EventId,
    /// The service that says it.
    pub source: String,
    /// Its subject on the bus, `evt.<service>.v1.<name>`.
    pub r#type: String,
    /// When it happened.
    pub time: Timestamp,
    /// The id of what it is about.
    pub subject: String,
    /// Version of the data's shape.
    pub data_version: u16,
    /// The data.
    pub data: serde_json::Value,
}

/// An event's data: its subject and version are part of its type.
pub trait EventData: Serialize + serde::de::DeserializeOwned {
    /// `evt.<service>.v1.<name>`.
    const SUBJECT: &'static str;
    /// Version of the shape.
    const VERSION: u16 = 1;
}
