//! Payments on real servers and the provider's simulator. One program, so that what they share is built once.

mod answers;
mod at_shipment;
mod audit;
mod batches;
mod crash;
mod late;
mod methods;
mod money;
mod refunds;
mod statement;
mod support;
