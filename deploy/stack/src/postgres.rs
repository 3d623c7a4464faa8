//! One Postgres cluster on loopback.

use crate::place::{is_running, tools_folder};
use crate::tools::{Tools, run};
use crate::{Account, Child, Launch, Signal, StackError, port};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Recovery after a kill may have to replay a checkpoint's worth of log.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A server that was told to quit has no more than its files to close.
const LAST_ONE_ENDS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Raised when the options of `initdb` change: an old template is then not used.
const TEMPLATE_FORMAT: u32 = 1;

/// What a power cut may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: Postgres' own defaults.
    Full,
    /// Everything: for tests, whose data lives as long as they do. Killed processes lose nothing even so.
    None,
}

/// How to run it.
#[derive(Debug)]
pub struct PostgresOptions {
    /// Holds the cluster (`data`) and the log.
    pub folder: PathBuf,
    /// On 127.0.0.1.
    pub port: u16,
    /// Of the user `postgres`, set when the cluster is made. `None`: whoever reaches the port is let in.
    pub password: Option<String>,
    /// See [`Durability`].
    pub durability: Durability,
    /// A database made together with the cluster.
    pub database: Option<String>,
    /// A folder that [`Postgres::stop_into`] made: the new cluster is a copy of it. `None`: an empty one.
    pub cluster: Option<PathBuf>,
    /// Of the server.
    pub max_connections: u32,
}

/// A running cluster.
#[derive(Debug)]
pub struct Postgres {
    child: Option<Child>,
    options: PostgresOptions,
    program: PathBuf,
    account: Option<Account>,
}

impl Postgres {
    /// Makes the cluster unless the folder holds one, and starts it.
    ///
    /// # Errors
    /// When the folder cannot be used or the server does not come up.
    pub fn start(tools: &Tools, options: PostgresOptions) -> Result<Self, StackError> {
        std::fs::create_dir_all(&options.folder).map_err(StackError::file("cannot create", &options.folder))?;
        let account = Account::to_drop_to(&options.folder)?;
        Account::own(account.as_ref(), &options.folder)?;
        let mut postgres = Self { child: None, options, program: tools.postgres_bin.join("postgres"), account };
        if !postgres.data().join("PG_VERSION").exists() {
            postgres.create_cluster(tools)?;
        }
        postgres.run()?;
        Ok(postgres)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.options.port
    }

    /// A connection string of the superuser for a database of that name.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let password = self.options.password.as_deref().unwrap_or("postgres");
        format!("postgres://postgres:{password}@127.0.0.1:{}/{database}", self.options.port)
    }

    /// The process, to send it signals. `None` after [`Self::kill`].
    pub fn child(&mut self) -> Option<&mut Child> {
        self.child.as_mut()
    }

    /// Ends it as a crash would: clients lose their connections, nothing committed is lost.
    pub fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            child.signal(Signal::Quit);
            if child.wait(Duration::from_secs(10)).is_none() {
                child.kill();
            }
        }
        self.child = None;
    }

    /// Starts it again on the same port and data.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self) -> Result<(), StackError> {
        self.kill();
        self.run()
    }

    /// Stops it as an operator would and moves its cluster to `folder`, for others to begin from.
    ///
    /// # Errors
    /// When it does not end, or the folder is on another file system.
    pub fn stop_into(mut self, folder: &Path) -> Result<(), StackError> {
        if let Some(mut child) = self.child.take() {
            child.stop();
        }
        std::fs::rename(self.data(), folder).map_err(StackError::file("cannot move the cluster to", folder))
    }

    fn data(&self) -> PathBuf {
        self.options.folder.join("data")
    }

    /// Complete or not there: whoever is killed here begins anew the next time.
    fn create_cluster(&self, tools: &Tools) -> Result<(), StackError> {
        let unfinished = self.options.folder.join("unfinished");
        let _ = std::fs::remove_dir_all(&unfinished);
        match (&self.options.cluster, &self.options.password) {
            (Some(cluster), _) => self.copy(cluster, &unfinished)?,
            (None, Some(password)) => self.initdb(tools, &unfinished, Some(password))?,
            (None, None) => self.copy(&self.template(tools)?, &unfinished)?,
        }
        if let Some(database) = &self.options.database {
            self.create_database(&unfinished, database)?;
        }
        std::fs::rename(&unfinished, self.data()).map_err(StackError::file("cannot move", &unfinished))
    }

    fn copy(&self, cluster: &Path, to: &Path) -> Result<(), StackError> {
        self.run_here(self.command("cp").arg("-a").arg(cluster).arg(to))
    }

    /// `initdb` takes seconds, a copy of what it made takes a tenth of one.
    fn template(&self, tools: &Tools) -> Result<PathBuf, StackError> {
        let (folder, _lock) = tools_folder()?;
        let owner = if self.account == Some(Account::Namespace) { "-own" } else { "" };
        let parent = folder.join(format!("postgres-template-{}-{TEMPLATE_FORMAT}{owner}", tools.postgres_version));
        let finished = parent.join("cluster");
        if finished.join("PG_VERSION").exists() {
            return Ok(finished);
        }
        std::fs::create_dir_all(&parent).map_err(StackError::file("cannot create", &parent))?;
        Account::own(self.account.as_ref(), &parent)?;
        let unfinished = parent.join("unfinished");
        let _ = std::fs::remove_dir_all(&unfinished);
        self.initdb(tools, &unfinished, None)?;
        std::fs::rename(&unfinished, &finished).map_err(StackError::file("cannot move", &unfinished))?;
        Ok(finished)
    }

    fn initdb(&self, tools: &Tools, data: &Path, password: Option<&str>) -> Result<(), StackError> {
        let mut command = self.command(tools.postgres_bin.join("initdb"));
        command.arg("-D").arg(data).args(["-U", "postgres", "--encoding=UTF8", "--locale=C"]);
        let Some(password) = password else {
            // Tests: no password, little to copy.
            command.args(["--auth=trust", "--no-sync", "--wal-segsize=1"]);
            return self.run_here(&mut command);
        };
        let file = self.options.folder.join("password");
        std::fs::write(&file, password).map_err(StackError::file("cannot write", &file))?;
        Account::own(self.account.as_ref(), &file)?;
        command.arg("--auth=scram-sha-256").arg("--pwfile").arg(&file);
        let made = self.run_here(&mut command);
        let _ = std::fs::remove_file(&file);
        made
    }

    /// With the server's single-user mode: neither `psql` nor a client library is needed.
    fn create_database(&self, data: &Path, name: &str) -> Result<(), StackError> {
        let statement = self.options.folder.join("create.sql");
        std::fs::write(&statement, format!("CREATE DATABASE \"{name}\"\n"))
            .map_err(StackError::file("cannot write", &statement))?;
        let input = std::fs::File::open(&statement).map_err(StackError::file("cannot read", &statement))?;
        let mut command = self.command(&self.program);
        command.args(["--single", "-D"]).arg(data).arg("postgres").stdin(input);
        let made = self.run_here(&mut command);
        let _ = std::fs::remove_file(&statement);
        made
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        Account::command(self.account.as_ref(), program)
    }

    fn run_here(&self, command: &mut Command) -> Result<(), StackError> {
        run(command.current_dir(&self.options.folder))
    }

    /// The server of a killed `up` may still be closing its files: it is given time, and is then Postgres' own concern.
    fn let_the_last_one_end(&self) {
        let file = self.data().join("postmaster.pid");
        let deadline = Instant::now() + LAST_ONE_ENDS_WITHIN;
        while Instant::now() < deadline {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            match text.lines().next().and_then(|pid| pid.trim().parse().ok()) {
                Some(pid) if is_running(pid) => std::thread::sleep(LOOK_EVERY),
                _ => return,
            }
        }
    }

    fn run(&mut self) -> Result<(), StackError> {
        self.let_the_last_one_end();
        let settings = [
            format!("port={}", self.options.port),
            format!("max_connections={}", self.options.max_connections),
            "listen_addresses=127.0.0.1".to_owned(),
            // Sockets in a shared folder would clash with another cluster of the machine.
            "unix_socket_directories=".to_owned(),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
        ];
        let relaxed = ["fsync=off", "full_page_writes=off", "shared_buffers=64MB", "max_wal_size=256MB"];
        let relaxed = if self.options.durability == Durability::None { &relaxed[..] } else { &[] };
        let mut launch = Launch::new("postgres", &self.program, &self.options.folder.join("postgres.log"))
            .arg("-D")
            .arg(self.data())
            .account(self.account.clone())
            .signals(Signal::Quit, Signal::Interrupt)
            .folder(&self.options.folder);
        for setting in settings.iter().map(String::as_str).chain(relaxed.iter().copied()) {
            launch = launch.arg("-c").arg(setting);
        }
        let mut child = launch.start()?;
        let (port, state) = (self.options.port, self.data().join("postmaster.pid"));
        child.wait_until(READY_WITHIN, || is_ready(port, &state))?;
        self.child = Some(child);
        Ok(())
    }
}

/// The server writes its pid file before it listens, so that a file read after a connection is this server's own.
fn is_ready(port: u16, state: &Path) -> bool {
    port::connect(port).is_ok()
        && std::fs::read_to_string(state)
            .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
}
