//! The whole shop on one machine: servers, core, payment simulator, mail catcher, edges. `cargo xtask up` runs one under `.local`,
//! black-box tests run theirs in folders of their own.

mod apart;
pub mod bus;
mod configuration;
mod ports;
pub mod secrets;

use crate::tools::Tools;
use crate::{Child, Durability, Launch, Nats, NatsOptions, Postgres, PostgresOptions, Redis, RedisOptions, Signal};
use crate::{StackError, http_status};
use apart::Apart;
pub use configuration::{CLOUDFLARE_EDGE, Files};
pub use ports::{DEFAULT_BASE, EDGES_MAX, Ports};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The core migrates and seeds before it answers; an edge compiles its component and takes a snapshot.
const READY_WITHIN: Duration = Duration::from_secs(120);
const CONNECTIONS_MAX: u32 = 200;
/// workerd ends a moment after the program that runs it.
const PORT_FREE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The programs that cargo builds.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `bodega`.
    pub bodega: PathBuf,
    /// `bodega-plugin-host`.
    pub plugin_host: PathBuf,
    /// `bodega-payment-simulator`.
    pub simulator: PathBuf,
    /// `bodega-mail-catcher`.
    pub mail_catcher: PathBuf,
    /// `bodega-edge-host`.
    pub edge_host: PathBuf,
    /// The storefront component.
    pub edge_component: PathBuf,
    /// Promotion plugins to put into the demo shop.
    pub plugins: PathBuf,
}

impl Programs {
    /// Where cargo puts them under a target folder.
    #[must_use]
    pub fn built_in(target: &Path) -> Self {
        let native = target.join("debug");
        Self {
            bodega: native.join("bodega"),
            plugin_host: native.join("bodega-plugin-host"),
            simulator: native.join("bodega-payment-simulator"),
            mail_catcher: native.join("bodega-mail-catcher"),
            edge_host: native.join("bodega-edge-host"),
            edge_component: target.join("wasm32-wasip2/edge/bodega_edge_spin.wasm"),
            plugins: target.join("plugins"),
        }
    }
}

/// What shop to run.
#[derive(Debug, Clone)]
pub struct ShopOptions {
    /// Holds everything that the shop keeps.
    pub folder: PathBuf,
    /// The clone: lists and scripts are read from it.
    pub workspace: PathBuf,
    /// Where to listen.
    pub ports: Ports,
    /// Embedded edges, 0 to [`EDGES_MAX`].
    pub edges: u16,
    /// Whether to run the storefront in workerd too.
    pub cloudflare: bool,
    /// What a power cut may cost.
    pub durability: Durability,
    /// Whether to put the demo shop in.
    pub demo: bool,
    /// Whether every service gets a database of its own, as it may have in production.
    pub database_per_service: bool,
    /// Variables of the environment of `bodega serve`.
    pub core_environment: Vec<(String, String)>,
    /// Services that run in a process each; none: all of them in one.
    pub service_per_process: Vec<String>,
    /// Header in which edges believe the shopper's address; empty: the connection's.
    pub client_address_header: String,
}

/// Told what happens, for a progress display.
pub trait Progress {
    /// A step begins.
    fn begin(&self, step: &str);
    /// The step is done; `note` says what was found.
    fn end(&self, note: &str);
}

impl Progress for () {
    fn begin(&self, _: &str) {}
    fn end(&self, _: &str) {}
}

/// Who can sign in to the demo shop.
#[derive(Debug, Clone)]
pub struct Login {
    /// Of whom: `shopper`, `merchant`, `admin`.
    pub role: &'static str,
    /// The address to sign in with.
    pub email: &'static str,
    /// The password.
    pub password: String,
}

const LOGINS: [(&str, &str); 4] = [
    ("shopper", "shopper@bodega.example"),
    ("merchant", "merchant@bodega.example"),
    ("merchant", "luna@bodega.example"),
    ("admin", "admin@bodega.example"),
];

/// A running shop. Dropping it stops everything, edges first and servers last.
#[derive(Debug)]
pub struct Shop {
    // Fields are dropped in this order: who asks ends before who answers.
    workerd: Option<Child>,
    edges: Vec<Option<Child>>,
    core: Option<Child>,
    services: BTreeMap<String, Apart>,
    simulator: Option<Child>,
    mail_catcher: Option<Child>,
    redis: Redis,
    nats: Nats,
    postgres: Postgres,
    files: Files,
    programs: Programs,
    options: ShopOptions,
}

impl Shop {
    /// Starts everything and waits until every process is ready.
    ///
    /// # Errors
    /// The first thing that does not come up.
    pub fn start(
        tools: &Tools,
        programs: &Programs,
        options: ShopOptions,
        progress: &dyn Progress,
    ) -> Result<Self, StackError> {
        let mut files = Files::open(&options.folder, &options.workspace, &options.ports)?;
        options.ports.must_be_free(options.edges, options.cloudflare)?;
        progress.begin("starting Postgres, NATS, Redis");
        let (postgres, nats, redis) = servers(tools, &options, &mut files)?;
        progress.end(&format!("ports {}, {}, {}", options.ports.postgres, options.ports.nats, options.ports.redis));
        let mut shop = Self {
            workerd: None,
            edges: Vec::new(),
            core: None,
            services: BTreeMap::new(),
            simulator: None,
            mail_catcher: None,
            redis,
            nats,
            postgres,
            files,
            programs: programs.clone(),
            options,
        };
        shop.write_core_configuration()?;
        shop.prepare(progress)?;
        progress.begin("starting the payment simulator");
        shop.start_simulator()?;
        progress.end("");
        progress.begin("starting the mail catcher");
        shop.start_mail_catcher()?;
        progress.end("");
        progress.begin("starting the core");
        if shop.options.service_per_process.is_empty() {
            shop.start_core()?;
        } else {
            shop.start_services()?;
        }
        progress.end("");
        if shop.options.demo {
            progress.begin("putting the demo shop in");
            shop.seed()?;
            progress.end("");
        }
        for number in 1..=shop.options.edges {
            progress.begin(&format!("starting {}", edge_name(number)));
            shop.edges.push(None);
            shop.start_edge(number)?;
            progress.end("");
        }
        if shop.options.cloudflare {
            progress.begin("starting the storefront in workerd");
            shop.start_workerd()?;
            progress.end("");
        }
        shop.wait_for_edges(progress)?;
        Ok(shop)
    }

    /// The ports in use.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.options.ports
    }

    /// The folder of this shop.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.options.folder
    }

    /// Who can sign in.
    ///
    /// # Errors
    /// When the secrets cannot be read.
    pub fn logins(&mut self) -> Result<Vec<Login>, StackError> {
        Ok(logins(&demo_password(self.files.secrets())?))
    }

    /// Secrets and configuration files.
    pub fn files(&mut self) -> &mut Files {
        &mut self.files
    }

    /// Postgres.
    pub fn postgres(&mut self) -> &mut Postgres {
        &mut self.postgres
    }

    /// NATS.
    pub fn nats(&mut self) -> &mut Nats {
        &mut self.nats
    }

    /// Redis.
    pub fn redis(&mut self) -> &mut Redis {
        &mut self.redis
    }

    /// The core, while it runs.
    pub fn core(&mut self) -> Option<&mut Child> {
        self.core.as_mut()
    }

    /// Embedded edge `number`, from 1, while it runs.
    pub fn edge(&mut self, number: u16) -> Option<&mut Child> {
        self.edges.get_mut(usize::from(number).checked_sub(1)?)?.as_mut()
    }

    /// The name and log of a process that ended by itself.
    pub fn ended(&mut self) -> Option<(String, PathBuf)> {
        let servers = [self.postgres.child(), self.nats.child(), self.redis.child()];
        let ours = [self.core.as_mut(), self.simulator.as_mut(), self.mail_catcher.as_mut(), self.workerd.as_mut()];
        let edges = self.edges.iter_mut().map(Option::as_mut);
        let all = servers.into_iter().chain(ours).chain(edges).flatten();
        let mut gone =
            all.filter_map(|child| (!child.is_running()).then(|| (child.name().to_owned(), child.log().into())));
        gone.next()
    }

    /// Kills the core as a crash would.
    pub fn kill_core(&mut self) {
        if let Some(mut core) = self.core.take() {
            core.kill();
        }
    }

    /// Stops the core as an operator would.
    pub fn stop_core(&mut self) {
        self.core = None;
    }

    /// Starts the core with the environment given at the start and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_core(&mut self) -> Result<(), StackError> {
        let environment = self.options.core_environment.clone();
        self.start_core_with(&environment)
    }

    /// Starts the core with this environment, in which a test arms its fail points.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_core_with(&mut self, environment: &[(String, String)]) -> Result<(), StackError> {
        let mut launch = self.launch("bodega", &self.programs.bodega).args(["serve", "--config"]).arg(self.core_file());
        for (name, value) in environment {
            launch = launch.env(name, value);
        }
        let mut core = launch.signals(Signal::Terminate, Signal::Terminate).start()?;
        let port = self.options.ports.metrics;
        core.wait_until(READY_WITHIN, || http_status(port, "/readyz") == Some(200))?;
        self.core = Some(core);
        Ok(())
    }

    /// Starts embedded edge `number`, from 1, and waits until it listens. It is ready once it has its catalogue.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_edge(&mut self, number: u16) -> Result<(), StackError> {
        let component = self.programs.edge_component.clone();
        let header = self.options.client_address_header.clone();
        let file = self.files.edge(number, &component, &header)?;
        let launch = self.launch(&edge_name(number), &self.programs.edge_host).arg("--config").arg(file);
        let mut edge = launch.signals(Signal::Terminate, Signal::Terminate).start()?;
        let port = self.options.ports.edge.saturating_add(number - 1);
        edge.wait_until(READY_WITHIN, || http_status(port, "/healthz") == Some(200))?;
        if let Some(place) = self.edges.get_mut(usize::from(number - 1)) {
            *place = Some(edge);
        }
        Ok(())
    }

    /// Kills embedded edge `number`, from 1.
    pub fn kill_edge(&mut self, number: u16) {
        let place = usize::from(number).checked_sub(1).and_then(|index| self.edges.get_mut(index));
        if let Some(mut edge) = place.and_then(Option::take) {
            edge.kill();
        }
    }

    /// Runs `bodega` with arguments against this shop and waits for its end.
    ///
    /// # Errors
    /// When it fails; the error carries what it printed.
    pub fn bodega(&self, arguments: &[&str]) -> Result<String, StackError> {
        crate::tools::run_for_output(&mut self.bodega_command(arguments))
    }

    fn bodega_command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(&self.programs.bodega);
        command.args(arguments).arg("--config").arg(self.core_file()).current_dir(&self.options.workspace);
        command
    }

    fn core_file(&self) -> PathBuf {
        self.options.folder.join("bodega.toml")
    }

    fn write_core_configuration(&mut self) -> Result<(), StackError> {
        self.files.core(&self.options, &self.programs.plugin_host)?;
        Ok(())
    }

    fn prepare(&mut self, progress: &dyn Progress) -> Result<(), StackError> {
        progress.begin("migrating");
        self.bodega(&["migrate"])?;
        progress.end("");
        Ok(())
    }

    /// Puts the demo shop in; what is there already stays as it is.
    fn seed(&mut self) -> Result<(), StackError> {
        let password = demo_password(self.files.secrets())?;
        let mut command = self.bodega_command(&["seed"]);
        crate::tools::run_for_output(command.envs(seed_environment(&self.programs, &password)))?;
        Ok(())
    }

    fn start_simulator(&mut self) -> Result<(), StackError> {
        let (webhook_secret, api_key) = self.files.simulator_keys()?;
        let ports = &self.options.ports;
        let launch = self
            .launch("payment-simulator", &self.programs.simulator)
            .env("BODEGA_SIMULATOR_PORT", ports.simulator.to_string())
            .env(
                "BODEGA_SIMULATOR_WEBHOOK_URL",
                format!("http://127.0.0.1:{}/webhooks/payments/simulator", ports.gateway),
            )
            .env("BODEGA_SIMULATOR_WEBHOOK_SECRET", webhook_secret)
            .env("BODEGA_SIMULATOR_API_KEY", api_key)
            .env("BODEGA_SIMULATOR_DATA", self.options.folder.join("payments"));
        let mut simulator = launch.start()?;
        let port = ports.simulator;
        simulator.wait_until(READY_WITHIN, || http_status(port, "/").is_some())?;
        self.simulator = Some(simulator);
        Ok(())
    }

    fn start_mail_catcher(&mut self) -> Result<(), StackError> {
        let ports = &self.options.ports;
        let launch = self
            .launch("mail-catcher", &self.programs.mail_catcher)
            .env("BODEGA_MAIL_CATCHER_PORT", ports.mail_catcher.to_string())
            .env("BODEGA_MAIL_CATCHER_SMTP_PORT", ports.smtp.to_string());
        let mut catcher = launch.start()?;
        let port = ports.mail_catcher;
        catcher.wait_until(READY_WITHIN, || http_status(port, "/healthz") == Some(200))?;
        self.mail_catcher = Some(catcher);
        Ok(())
    }

    /// Kills the edge in workerd and waits until its port is free again.
    pub fn kill_workerd(&mut self) {
        let Some(mut workerd) = self.workerd.take() else { return };
        workerd.kill();
        let deadline = std::time::Instant::now() + PORT_FREE_WITHIN;
        while crate::is_taken(self.options.ports.cloudflare) && std::time::Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Starts the edge in workerd and waits until it listens. It is ready once it has its catalogue.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_workerd(&mut self) -> Result<(), StackError> {
        let node = crate::find_on_path("node").ok_or(StackError::Missing {
            name: "node",
            needed: "20 or newer",
            reason: "not on the PATH; workerd is started by it".to_owned(),
            advice: "apt-get install nodejs npm   (or: brew install node)",
        })?;
        let mut launch = self
            .launch("workerd", &node)
            .arg(self.options.workspace.join("tests/workerd/run.mjs"))
            .env("BODEGA_WORKERD_PORT", self.options.ports.cloudflare.to_string())
            .env("BODEGA_WORKERD_DATA", self.options.folder.join(CLOUDFLARE_EDGE));
        for (name, value) in self.files.edge_variables(CLOUDFLARE_EDGE)? {
            launch = launch.env(name.to_uppercase(), value);
        }
        let mut workerd = launch.start()?;
        let port = self.options.ports.cloudflare;
        workerd.wait_until(READY_WITHIN, || http_status(port, "/healthz") == Some(200))?;
        self.workerd = Some(workerd);
        Ok(())
    }

    fn wait_for_edges(&mut self, progress: &dyn Progress) -> Result<(), StackError> {
        let first = self.options.ports.edge;
        for (index, edge) in (0u16..).zip(self.edges.iter_mut()) {
            let Some(edge) = edge else { continue };
            progress.begin(&format!("filling {} with the catalogue", edge.name()));
            edge.wait_until(READY_WITHIN, || http_status(first + index, "/readyz") == Some(200))?;
            progress.end("");
        }
        if let Some(workerd) = &mut self.workerd {
            progress.begin("filling the edge in workerd with the catalogue");
            let port = self.options.ports.cloudflare;
            workerd.wait_until(READY_WITHIN, || http_status(port, "/readyz") == Some(200))?;
            progress.end("");
        }
        Ok(())
    }

    fn launch(&self, name: &str, program: &Path) -> Launch {
        Launch::new(name, program, &self.options.folder.join("logs").join(format!("{name}.log")))
            .folder(&self.options.workspace)
    }
}

/// The name under which the demo shop's password is kept.
const DEMO_PASSWORD: &str = "demo_password";

/// The password of the demo shop's accounts, the same at every call.
///
/// # Errors
/// As [`secrets::Secrets::password`].
pub fn demo_password(secrets: &mut secrets::Secrets) -> Result<String, StackError> {
    secrets.password(DEMO_PASSWORD)
}

/// Who can sign in to a demo shop with this password.
#[must_use]
pub fn logins(password: &str) -> Vec<Login> {
    LOGINS.map(|(role, email)| Login { role, email, password: password.to_owned() }).into()
}

/// What `bodega seed` is told by its environment.
#[must_use]
pub fn seed_environment(programs: &Programs, password: &str) -> [(&'static str, std::ffi::OsString); 2] {
    [("BODEGA_DEMO_PASSWORD", password.into()), ("BODEGA_DEMO_PLUGINS", programs.plugins.clone().into())]
}

/// The name of embedded edge `number`, from 1.
#[must_use]
pub fn edge_name(number: u16) -> String {
    format!("edge-{number}")
}

fn servers(tools: &Tools, options: &ShopOptions, files: &mut Files) -> Result<(Postgres, Nats, Redis), StackError> {
    let password = files.database_admin_password()?;
    let configuration = files.bus(options.edges, options.cloudflare)?;
    let ports = &options.ports;
    let postgres = PostgresOptions {
        folder: options.folder.join("postgres"),
        port: ports.postgres,
        password: Some(password),
        durability: options.durability,
        database: Some("bodega".to_owned()),
        cluster: None,
        max_connections: CONNECTIONS_MAX,
    };
    let nats = NatsOptions {
        folder: options.folder.join("nats"),
        port: ports.nats,
        monitor_port: Some(ports.nats_monitor),
        configuration: Some(configuration),
    };
    let redis = RedisOptions { folder: options.folder.join("redis"), port: ports.redis };
    Ok((Postgres::start(tools, postgres)?, Nats::start(tools, nats)?, Redis::start(tools, redis)?))
}
