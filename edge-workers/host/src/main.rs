//! The embedded edge: wasmtime runs the storefront component beside its own key-value store.

fn main() {}
