//! What a shopper sees, and what a client may rely on: black box, at every edge.

mod buying;
mod carts;
mod databases;
mod errors;
mod fulfilment;
mod hostile;
mod links;
mod once;
mod pages;
mod plugins;
mod quotes;
mod replication;
mod stock;
mod tracing;
