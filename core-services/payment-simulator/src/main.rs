//! A payment provider that misbehaves on request.

fn main() {}
