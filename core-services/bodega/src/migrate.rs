//! `bodega migrate`

use std::error::Error;

use bodega_platform::{Config, service};

use crate::services;

/// Brings databases up to date.
pub(crate) async fn run(config: &Config, only: &[String]) -> Result<(), Box<dyn Error>> {
    let chosen = services::chosen(only)?;
    service::migrate(config, &chosen, |service| println!("{service}: up to date")).await?;
    Ok(())
}
