//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::user;

/// The core of a Bodega shop.
#[derive(Debug, Parser)]
#[command(name = "bodega", version, about, max_term_width = 110)]
pub(crate) struct Arguments {
    /// Configuration file. Without it `bodega.toml` in the current folder is read, if there is one. The environment
    /// overrides both: BODEGA__HTTP__GATEWAY=0.0.0.0:8090
    #[arg(long, global = true, env = "BODEGA_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs services until it is stopped.
    ///
    /// They wait for Postgres and NATS, answer on the bus, and stop gracefully on SIGTERM or Ctrl-C: what has begun is
    /// finished first.
    #[command(after_help = "Examples:\n  bodega serve --config shop.toml\n  bodega serve --only order,payment")]
    Serve {
        /// Only these services, separated by commas.
        #[arg(long, value_delimiter = ',', value_name = "SERVICES")]
        only: Vec<String>,
    },
    /// Brings databases up to date: a role and a schema for each service, then its migrations. Safe to repeat.
    #[command(after_help = "Examples:\n  bodega migrate --config shop.toml\n  bodega migrate --only order")]
    Migrate {
        /// Only these services, separated by commas.
        #[arg(long, value_delimiter = ',', value_name = "SERVICES")]
        only: Vec<String>,
    },
    /// Puts the demo shop into a running core: merchants, products, pictures, stock, promotions, accounts.
    ///
    /// Safe to repeat: what is there stays. The accounts get the password in BODEGA_DEMO_PASSWORD, plugins come from the
    /// folder in BODEGA_DEMO_PLUGINS.
    #[command(after_help = "Examples:\n  bodega seed --config shop.toml\n  bodega seed --products 100000")]
    Seed {
        /// Makes a large catalogue of so many products beside the demo shop.
        #[arg(long, default_value_t = 0, value_name = "NUMBER")]
        products: u64,
        /// Writes the demo shop again, over what merchants have changed in it.
        #[arg(long)]
        fresh: bool,
    },
    /// Makes or changes an account with roles in a running core: the first admin of a shop, say.
    ///
    /// The password is read from standard input, one line of at least 10 characters. Sessions that were opened with
    /// an old password or old roles end.
    #[command(after_help = "Examples:\n  bodega user --email ada@example.org --name Ada --admin < password.txt\n  \
                      bodega user --email luna@example.org --name Luna --merchant luna-bakery < password.txt")]
    User(user::Wanted),
    /// Looks at keys, ports, Redis, NATS and JetStream, databases, migrations, clocks, edges and payment providers, and
    /// says what to do about what is wrong.
    #[command(after_help = "Example:\n  bodega doctor --config shop.toml")]
    Doctor,
    /// Prints a fresh `[keys]` section for the configuration file. Keep it secret.
    #[command(after_help = "Example:\n  bodega keys >> shop.toml")]
    Keys,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_has_an_example() {
        let command = Arguments::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("bodega {}", sub.get_name())), "`{}` has no example", sub.get_name());
        }
    }

    #[test]
    fn the_configuration_may_be_named_before_and_after_the_command() {
        for line in [["bodega", "--config", "a.toml", "migrate"], ["bodega", "migrate", "--config", "a.toml"]] {
            assert_eq!(Arguments::parse_from(line).config, Some(PathBuf::from("a.toml")));
        }
    }
}
