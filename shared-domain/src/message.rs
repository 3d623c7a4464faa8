//! The wire contract of every service, one file each: requests with their subject and answer, and events.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::failure::Failure;

pub mod cart;
pub mod catalog;
pub mod identity;
pub mod inventory;
pub mod note;
pub mod notification;
pub mod order;
pub mod payment;
pub mod pricing;
mod reconciliation;
pub mod replicator;
mod statement;
mod supply;

/// A request on the bus: its subject and answer are part of its type.
pub trait Request: Serialize + DeserializeOwned + Send + 'static {
    /// `<service>.v1.<verb>`.
    const SUBJECT: &'static str;
    /// What comes back when it is not refused.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
}

/// What comes back over the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<T> {
    /// It was done, and this is the answer.
    #[serde(rename = "ok")]
    Ok(T),
    /// It was refused, and nothing was changed unless the code says otherwise.
    #[serde(rename = "failure")]
    Failure(Failure),
}

impl<T> From<Result<T, Failure>> for Reply<T> {
    fn from(result: Result<T, Failure>) -> Self {
        match result {
            Ok(answer) => Reply::Ok(answer),
            Err(failure) => Reply::Failure(failure),
        }
    }
}

impl<T> From<Reply<T>> for Result<T, Failure> {
    fn from(reply: Reply<T>) -> Self {
        match reply {
            Reply::Ok(answer) => Ok(answer),
            Reply::Failure(failure) => Err(failure),
        }
    }
}

/// Names of the headers that every request carries.
pub mod header {
    /// The request's id, in every log line on its way.
    pub const REQUEST_ID: &str = "Bodega-Request-Id";
    /// The shopper's session token, forwarded unchanged.
    pub const TOKEN: &str = "Bodega-Token";
    /// Unix milliseconds after which nothing new may be begun.
    pub const DEADLINE: &str = "Bodega-Deadline";
    /// W3C trace context.
    pub const TRACE: &str = "traceparent";
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to go on, opaque; absent at the end.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// An empty answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

macro_rules! requests {
    ($($request:ty => $subject:literal, $answer:ty;)*) => {$(
        impl crate::message::Request for $request {
            const SUBJECT: &'static str = $subject;
            type Answer = $answer;
        }
    )*};
}
pub(crate) use requests;

macro_rules! events {
    ($($event:ty => $subject:literal;)*) => {$(
        impl crate::event::EventData for $event {
            const SUBJECT: &'static str = $subject;
        }
    )*};
}
pub(crate) use events;
