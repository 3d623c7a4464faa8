//! The two commands of a developer: up and test, and what they need.

fn main() {}
