//! The money path on the bus alone: quote → hold → order → intent → simulator → webhook → post → capture → ledger.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod books;
mod crash;
mod database;
mod hostile;
mod limits;
mod misfits;
mod payment;
mod personal;
mod place;
mod races;
mod saga;
mod shop;
mod stock;
