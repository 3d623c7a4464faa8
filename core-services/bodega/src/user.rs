//! `bodega user`: an account with roles, made by whoever holds the configuration file. The first admin of a shop comes
//! from here: nobody could give them the role through the API.

use std::{
    error::Error,
    io::{BufRead as _, IsTerminal as _},
};

use bodega_domain::{
    id::MerchantId,
    message::{
        catalog::MerchantOf,
        identity::{AccountView, PutUser},
    },
    token::Role,
};
use bodega_platform::Config;

use crate::operator::{Operator, OperatorError};

/// Bytes of the line with the password that are read at most.
const PASSWORD_LINE_BYTES_MAX: u64 = 4_096;

/// Whom to make.
#[derive(Clone, Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("role").required(true).multiple(true).args(["admin", "merchant"])))]
pub(crate) struct Wanted {
    /// E-mail to sign in with. An account that has it already is changed: its name, its password and all its roles.
    #[arg(long)]
    email: String,
    /// What to call them.
    #[arg(long)]
    name: String,
    /// May do everything.
    #[arg(long)]
    admin: bool,
    /// May act for this merchant, named by slug or by id (`mrc_…`). May be said more than once.
    #[arg(long, value_name = "SLUG|ID")]
    merchant: Vec<String>,
}

/// Makes the account, with the password on standard input.
pub(crate) async fn run(config: &Config, wanted: Wanted) -> Result<(), Box<dyn Error>> {
    let password = password()?;
    let core = Operator::connect(config).await?;
    let account = put(&core, wanted, password).await?;
    println!("{} {} may sign in", account.id, account.email);
    Ok(())
}

async fn put(core: &Operator, wanted: Wanted, password: String) -> Result<AccountView, OperatorError> {
    let mut roles: Vec<Role> = wanted.admin.then_some(Role::Admin).into_iter().collect();
    for merchant in wanted.merchant {
        let id = match merchant.parse::<MerchantId>() {
            Ok(id) => id,
            Err(_) => core.ask(&MerchantOf { slug: merchant }).await?.id,
        };
        roles.push(Role::Merchant(id));
    }
    core.ask(&PutUser { email: wanted.email, password: Some(password), name: wanted.name, roles }).await
}

/// One line of standard input. A terminal would show it to everybody near: that is said before.
fn password() -> Result<String, Box<dyn Error>> {
    let input = std::io::stdin();
    if input.is_terminal() {
        eprintln!("Password, on one line (this terminal shows it; `bodega user … < file` does not):");
    }
    let mut line = String::new();
    std::io::Read::take(input.lock(), PASSWORD_LINE_BYTES_MAX).read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err("no password: write it on standard input, on one line".into());
    }
    Ok(password.to_owned())
}
