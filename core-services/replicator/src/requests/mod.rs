//! A file a request.

pub(crate) mod edges;
