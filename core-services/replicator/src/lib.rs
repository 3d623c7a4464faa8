//! Feeds the catalogue and revocations to every edge.
