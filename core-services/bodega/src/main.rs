//! The executable of the core: serve, migrate, seed, doctor.

fn main() {}
