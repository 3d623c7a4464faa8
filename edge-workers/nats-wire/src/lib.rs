//! A NATS client protocol without I/O, for WebAssembly and anything else.
//!
//! Nothing here opens a socket, reads a clock or draws a random number. Bytes go in through
//! [`Client::receive`], bytes come out of [`Client::transmit`], and the caller owns the socket, the deadline and the
//! seed of the inbox. So the same code serves a browser, a Cloudflare Worker, a WASI component and a native program,
//! and a test can replay a conversation byte for byte.
//!
//! ```
//! use nats_wire::{Client, ClientEvent, Event, Headers, Options};
//!
//! let mut client = Client::new(Options::default(), "k3v9q2xw7p")?;
//! // The server speaks first; a socket would have read this.
//! let events = client.receive(b"INFO {\"headers\":true,\"max_payload\":1048576}\r\n");
//! assert_eq!(events, [ClientEvent::Connection(Event::Greeted)]);
//!
//! let request = client.begin_request("greet.v1.hello", &Headers::new(), b"{}")?;
//! let bytes = client.transmit(); // CONNECT, PING, SUB and PUB in one write
//! assert!(bytes.ends_with(b"PUB greet.v1.hello _INBOX.k3v9q2xw7p.1 2\r\n{}\r\n"));
//!
//! client.receive(b"PONG\r\nMSG _INBOX.k3v9q2xw7p.1 1 5\r\nhello\r\n");
//! let reply = client.take_reply(request).expect("it has arrived")?;
//! assert_eq!(reply.payload, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it promises: no panic on any input, memory bounded by [`limits`], the same events however the stream is cut,
//! no credential before the server's demand for TLS was looked at, and for each request without a reply the knowledge
//! whether a responder may have seen it ([`RequestErrorKind::surely_not_received`]).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod client;
mod command;
mod connection;
mod error;
mod header;
pub mod limits;
mod nkey;
mod parser;
mod server_error;
mod subject;

pub use client::{Client, ClientEvent, Reply, RequestError, RequestErrorKind, RequestToken};
pub use command::{Command, CommandError, CommandErrorKind, Credentials};
pub use connection::{Connection, ConnectionError, ConnectionErrorKind, Event, Options, State, UseError, UseErrorKind};
pub use error::Error;
pub use header::{HeaderError, HeaderErrorKind, Headers, STATUS_NO_RESPONDERS, Status};
pub use nkey::{NkeyError, NkeyErrorKind, UserKey};
pub use parser::{Message, ParseError, ParseErrorKind, Parser, ServerInfo, ServerOp};
pub use server_error::{Operation, ServerError};
pub use subject::{SubjectError, SubjectErrorKind, check_inbox_prefix, check_literal, check_pattern};
