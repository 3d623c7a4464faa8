//! The JSON API under `/api/v1`.

pub(crate) mod products;
