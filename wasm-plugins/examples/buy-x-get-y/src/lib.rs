//! Example plugin: buy X, get Y.
