//! Black-box tests: end to end, browser, faults, contract, load; and the harness that every service's own tests use.
//!
//! ```no_run
//! # async fn example() -> Result<(), bodega_tests::HarnessError> {
//! let servers = bodega_tests::Servers::start().await?;
//! let admin = servers.database("order").await?;
//! println!("{admin} {} {}", servers.nats_url(), servers.redis_url());
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "black-box")]
pub mod black_box;
mod condition;
mod servers;

pub use bodega_stack::{
    Child, Launch, Signal, Tools, find_on_path, free_port, local_folder, test_folder, workspace_root,
};
pub use condition::{eventually, eventually_within};
pub use servers::{FILLED_DATABASE, HarnessError, Servers};
