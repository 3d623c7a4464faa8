//! What every service of the core stands on: bus, outbox and inbox, principals, configuration, telemetry, Postgres,
//! Redis. [`service`] shows a whole service; begin there.
//!
//! | concern | module |
//! | --- | --- |
//! | a service, its context, its wiring | [`service`] |
//! | asking others and being asked | [`bus`] |
//! | who may call what | [`operation`], [`principal`] |
//! | transactions, roles and schemas | [`postgres`] |
//! | many requests, one transaction | [`batch`] |
//! | events: out once, in once, none lost | [`outbox`] |
//! | what can be configured | [`config`] |
//! | logs and metrics | [`telemetry`], [`health`] |
//! | time, randomness, tasks, crashes on purpose | [`clock`], [`entropy`], [`tasks`], [`failpoint`] |
//! | a cache that may be away | [`redis`] |

pub mod batch;
pub mod bus;
pub mod clock;
pub mod config;
pub mod entropy;
pub mod failpoint;
pub mod health;
pub mod operation;
pub mod outbox;
pub mod postgres;
pub mod principal;
pub mod redis;
pub mod service;
pub mod tasks;
pub mod telemetry;

pub use batch::{BatchError, BatchLimits, Batcher, halving};
pub use bus::{Bus, Call, CallError, RequestContext};
pub use clock::Clock;
pub use config::Config;
pub use entropy::Entropy;
pub use failpoint::Failpoints;
pub use outbox::{Applied, EventTx, Received};
pub use postgres::{DatabaseError, Postgres, TransactionError, Tx};
pub use service::{Context, Service, StartError, Wiring};
/// The same SQL client for every service.
pub use sqlx;
pub use tasks::Tasks;
