//! The money path on the bus alone: quote → hold → order → intent → simulator → webhook → post → capture → ledger.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod at_shipment;
mod books;
mod clocks;
mod commit;
mod counting;
mod crash;
mod culprits;
mod database;
mod fulfilment;
mod hanging;
mod hostile;
mod incoming;
mod keys;
mod late;
mod limits;
mod links;
mod mails;
mod misfits;
mod moved;
mod notes;
mod pages;
mod payment;
mod personal;
mod place;
mod races;
mod saga;
mod shop;
mod stock;
mod stock_mails;
mod undone;
