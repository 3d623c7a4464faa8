//! A process that runs merchants' promotion plugins and has nothing else: no bus, no database, no network.

fn main() {}
