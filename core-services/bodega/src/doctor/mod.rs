//! `bodega doctor`: what is wrong, and what to do about it.

mod neighbours;

use std::{error::Error, fmt::Display, time::Duration};

use bodega_platform::{Bus, Clock, Config, Postgres, Service, postgres, redis::Redis, sqlx};

use crate::services;

/// Seconds to wait for a connection.
const CONNECT_PATIENCE_S: u64 = 3;
/// Seconds between our clock and another one above which tokens may be refused.
const SKEW_MAX_S: i64 = 5;

/// What was found about one thing.
enum Finding {
    Fine(String),
    /// What is wrong, and what to do.
    Wrong {
        what: String,
        fix: String,
    },
}

fn wrong(what: impl Display, fix: impl Into<String>) -> Finding {
    Finding::Wrong { what: what.to_string(), fix: fix.into() }
}

/// Some checks failed; each was printed.
#[derive(Debug, thiserror::Error)]
#[error("{0} of the checks failed")]
struct Unwell(usize);

/// Looks at everything and prints a line for each.
pub(crate) async fn run(config: &Config) -> Result<(), Box<dyn Error>> {
    let mut failed = 0;
    let mut tell = |name: &str, finding: Finding| match finding {
        Finding::Fine(note) => println!("ok    {name}: {note}"),
        Finding::Wrong { what, fix } => {
            failed += 1;
            println!("WRONG {name}: {what}\n      → {fix}");
        }
    };
    tell("keys", keys(config));
    tell("plugin host", plugin_host(config));
    let http = neighbours::client()?;
    for (name, address) in [("gateway address", config.http.gateway), ("metrics address", config.http.metrics)] {
        tell(name, neighbours::port(&http, address).await);
    }
    tell("redis", redis(config).await);
    let (bus, finding) = nats(config).await;
    tell("nats", finding);
    for service in services::all() {
        tell(&format!("database of {}", service.name), database(config, &service).await);
    }
    let catalogue = match &bus {
        Some(bus) => neighbours::catalogue(bus).await,
        None => None,
    };
    if config.replicator.edges.is_empty() {
        tell("edges", Finding::Fine("none is in [replicator] edges, so none gets the catalogue".to_owned()));
    }
    for edge in &config.replicator.edges {
        tell(&format!("edge {}", edge.id), neighbours::edge(&http, &edge.url, catalogue.as_ref()).await);
    }
    if config.payment.providers.is_empty() {
        tell("payment", wrong("no provider is configured, so nobody can pay", "name one under [payment.providers]"));
    }
    for (name, provider) in &config.payment.providers {
        tell(&format!("payment provider {name}"), neighbours::provider(&http, &provider.base_url).await);
    }
    tell("mail", mail(config).await);
    if failed > 0 { Err(Unwell(failed).into()) } else { Ok(()) }
}

fn keys(config: &Config) -> Finding {
    let keys = &config.keys;
    let empty: Vec<&str> = [
        ("guest", keys.guest.0.is_empty()),
        ("quote", keys.quote.0.is_empty()),
        ("order_link", keys.order_link.0.is_empty()),
        ("identity or identity_public", keys.account_keys().is_empty()),
        ("replication", keys.replication.is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, empty)| empty.then_some(name))
    .collect();
    let weak =
        [&keys.guest, &keys.quote, &keys.order_link].iter().flat_map(|ring| &ring.0).any(|key| key.secret.len() < 32);
    if !empty.is_empty() {
        return wrong(format!("no keys for {}", empty.join(", ")), "`bodega keys` prints a fresh [keys] section");
    }
    if weak {
        return wrong("a key is shorter than 32 bytes", "replace it by one that `bodega keys` prints");
    }
    Finding::Fine("every ring has one".to_owned())
}

fn plugin_host(config: &Config) -> Finding {
    let configured = &config.pricing.plugin_host;
    let path = if configured.as_os_str().is_empty() {
        std::env::current_exe()
            .ok()
            .and_then(|exe| exe.parent().map(|dir| dir.join("bodega-plugin-host")))
            .unwrap_or_default()
    } else {
        configured.clone()
    };
    if path.is_file() {
        Finding::Fine(path.display().to_string())
    } else {
        wrong(
            format!("{} is not there, so plugins give no discounts", path.display()),
            "`cargo build -p bodega-plugin-host`, or set pricing.plugin_host",
        )
    }
}

async fn mail(config: &Config) -> Finding {
    let Some(mail) = &config.mail else {
        return Finding::Fine("there is no [mail], so none is sent".to_owned());
    };
    match bodega_notification::reach(mail, Duration::from_secs(CONNECT_PATIENCE_S)).await {
        Ok(()) => Finding::Fine("the server takes mails".to_owned()),
        Err(error) => wrong(error, "start the mail server, or correct mail.smtp_url"),
    }
}

async fn redis(config: &Config) -> Finding {
    match Redis::new(&config.redis).ready().await {
        None => Finding::Fine("none is configured; everything works without it".to_owned()),
        Some(true) => Finding::Fine("answers".to_owned()),
        Some(false) => wrong("it does not answer; everything works, some of it slower", "start it, or empty redis.url"),
    }
}

/// The connection, when there is one, and what is to say of it.
async fn nats(config: &Config) -> (Option<Bus>, Finding) {
    let url = &config.nats.url;
    let bus = match Bus::connect(config, "admin", Clock::skewed(config.clock.skew_ms)).await {
        Ok(bus) => bus,
        Err(error) => return (None, wrong(error, "correct [nats]")),
    };
    let connected = tokio::time::timeout(Duration::from_secs(CONNECT_PATIENCE_S), async {
        while !bus.is_connected() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    if connected.await.is_err() {
        let what = format!("no connection to {url} as `admin`");
        return (None, wrong(what, "start NATS, and look at nats.url and [nats.services.admin]"));
    }
    let version = bus.client().server_info().version;
    let account = tokio::time::timeout(Duration::from_secs(CONNECT_PATIENCE_S), bus.jetstream().query_account()).await;
    let fix = "start nats-server with --jetstream";
    let finding = match account {
        Ok(Ok(account)) => Finding::Fine(format!("{version} at {url}, JetStream with {} streams", account.streams)),
        Ok(Err(error)) => wrong(format!("{version} at {url}, no JetStream: {error}"), fix),
        Err(_) => wrong(format!("{version} at {url}, JetStream does not answer"), fix),
    };
    (Some(bus), finding)
}

async fn database(config: &Config, service: &Service) -> Finding {
    let Some(migrations) = service.migrations else { return Finding::Fine("needs none".to_owned()) };
    let setting = format!("database.url (or database.services.{}.url)", service.name);
    let database = match Postgres::new(config, service.name) {
        Ok(database) => database,
        Err(error) => return wrong(error, format!("correct {setting}")),
    };
    if let Err(error) = database.ready().await {
        return wrong(error, format!("start Postgres, look at {setting}, then run `bodega migrate`"));
    }
    match postgres::pending_migrations(config, service.name, migrations).await {
        Ok(0) => {}
        Ok(count) => return wrong(format!("{count} migrations are not applied"), "run `bodega migrate`"),
        Err(error) => return wrong(error, "run `bodega migrate`"),
    }
    let theirs = sqlx::query_scalar::<_, i64>("select (extract(epoch from clock_timestamp()) * 1000)::bigint")
        .fetch_one(database.pool())
        .await;
    let skew_ms = match theirs {
        Ok(ms) => Clock::skewed(config.clock.skew_ms).now().unix_ms() - ms,
        Err(error) => return wrong(error, "look at Postgres' log"),
    };
    if skew_ms.abs() > SKEW_MAX_S * 1000 {
        return wrong(
            format!("its clock and ours differ by {skew_ms} ms"),
            "run NTP on both machines; sessions and quotes may be refused until then",
        );
    }
    Finding::Fine("up to date".to_owned())
}
