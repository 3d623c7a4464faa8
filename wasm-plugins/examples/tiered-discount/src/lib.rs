//! Example plugin: the more you buy, the less each costs.
