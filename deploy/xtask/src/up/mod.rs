//! `cargo xtask up`: from a fresh clone to an open shop.

mod card;
mod claim;
mod detached;
mod flags;

use crate::build;
use crate::fault::Fault;
use crate::interrupt;
use crate::progress::{Steps, seconds};
use bodega_stack::shop::secrets::Secrets;
use bodega_stack::shop::{
    Files, Login, Ports, Programs, Progress, Shop, ShopOptions, demo_password, logins, seed_environment,
};
use bodega_stack::{Durability, Tools, workspace_root};
use claim::Claim;
pub(crate) use detached::down;
pub(crate) use flags::{DownFlags, Flags, NatsConfigFlags, SeedFlags};
use std::path::Path;

/// `cargo xtask up`
pub(crate) fn run(flags: &Flags) -> Result<(), Fault> {
    if flags.detach {
        return detached::up(&flags.state.folder()?);
    }
    let folder = flags.state.folder()?;
    let claim = Claim::take(&folder)?;
    // Said before anything is built.
    flags.ports.ports()?.must_be_free(flags.edges, flags.cloudflare)?;
    let steps = Steps::new();
    let tools = tools(&steps)?;
    let programs = if flags.prebuilt {
        Programs::built_in(&crate::cargo::target_folder())
    } else {
        let wanted = build::Shop { edges: flags.edges > 0, cloudflare: flags.cloudflare, as_tested: false };
        build::shop(&steps, wanted)?
    };
    if flags.fresh {
        steps.begin("deleting the data of earlier runs");
        forget(&folder)?;
        steps.end("");
    }
    let options = ShopOptions {
        folder: folder.clone(),
        workspace: workspace_root(),
        // Chosen now: what was free minutes ago, before the build, may be taken.
        ports: flags.ports.ports()?,
        edges: flags.edges,
        cloudflare: flags.cloudflare,
        durability: Durability::Full,
        demo: !flags.no_seed,
        database_per_service: false,
        core_environment: Vec::new(),
        service_per_process: Vec::new(),
        client_address_header: String::new(),
    };
    let mut shop = Shop::start(&tools, &programs, options, &steps)?;
    let logins = shop.logins()?;
    let card = card::Card { ports: shop.ports(), logins: &logins, folder: &folder, flags };
    claim.open(&card.to_json())?;
    println!("{}", card.to_text(&seconds(steps.elapsed())));
    interrupt::be_orderly();
    let ended = interrupt::wait(|| shop.ended());
    eprintln!();
    steps.begin("closing the shop");
    drop(shop);
    drop(claim);
    steps.end("its data stays");
    match ended {
        None => Ok(()),
        Some((name, log)) => Err(Fault::Ended { name, log }),
    }
}

/// `cargo xtask seed`
pub(crate) fn seed(flags: &SeedFlags) -> Result<(), Fault> {
    let folder = flags.state.folder()?;
    if !Claim::is_held(&folder) {
        return Err(Fault::NotOpen { folder });
    }
    let programs = Programs::built_in(&crate::cargo::target_folder());
    let mut command = std::process::Command::new(&programs.bodega);
    command.arg("seed").arg("--config").arg(folder.join("bodega.toml")).current_dir(workspace_root());
    if let Some(products) = flags.products {
        command.arg("--products").arg(products.to_string());
    }
    let password = demo_password(&mut Secrets::open(&folder.join("secrets.toml"))?)?;
    crate::cargo::run_command(command.envs(seed_environment(&programs, &password)))?;
    for Login { role, email, password } in logins(&password) {
        println!("  {role:<10} {email:<28} {password}");
    }
    Ok(())
}

/// `cargo xtask nats-config`
pub(crate) fn nats_config(flags: &NatsConfigFlags) -> Result<(), Fault> {
    let mut files = Files::open(&flags.out, &workspace_root(), &Ports::from_base(bodega_stack::shop::DEFAULT_BASE))?;
    println!("{}", files.bus(flags.edges, true)?.display());
    Ok(())
}

fn tools(steps: &Steps) -> Result<Tools, Fault> {
    steps.begin("looking for Postgres, NATS, Redis");
    let tools = Tools::obtain(&|notice: &str| steps.at(notice))?;
    steps.end(&format!("Postgres {}", tools.postgres_version));
    Ok(tools)
}

/// What a shop keeps; tools that were fetched stay.
const KEPT: [&str; 8] = ["postgres", "nats", "redis", "payments", "media", "artefacts", "logs", "secrets.toml"];

fn forget(folder: &Path) -> Result<(), Fault> {
    let edges = std::fs::read_dir(folder).map_err(Fault::file(folder))?.flatten().map(|entry| entry.path());
    let edges = edges.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("edge-")));
    for path in KEPT.iter().map(|name| folder.join(name)).chain(edges.collect::<Vec<_>>()) {
        let gone = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        match gone {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Fault::file(&path)(error)),
            _ => {}
        }
    }
    Ok(())
}
