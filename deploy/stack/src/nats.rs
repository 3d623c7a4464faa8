//! One NATS server with JetStream on loopback.

use crate::tools::Tools;
use crate::{Child, Launch, Signal, StackError, port};
use std::ffi::OsStr;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// How to run it.
#[derive(Debug)]
pub struct NatsOptions {
    /// Holds JetStream's files and the log.
    pub folder: PathBuf,
    /// On 127.0.0.1.
    pub port: u16,
    /// Port of the monitoring endpoint on 127.0.0.1.
    pub monitor_port: Option<u16>,
    /// A configuration file with accounts and permissions; ports and store stay as given here.
    pub configuration: Option<PathBuf>,
}

/// A running server.
#[derive(Debug)]
pub struct Nats {
    child: Option<Child>,
    options: NatsOptions,
    program: PathBuf,
}

impl Nats {
    /// Starts it and waits until it greets.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(tools: &Tools, options: NatsOptions) -> Result<Self, StackError> {
        std::fs::create_dir_all(&options.folder).map_err(StackError::file("cannot create", &options.folder))?;
        let mut nats = Self { child: None, options, program: tools.nats_server.clone() };
        nats.run()?;
        Ok(nats)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.options.port
    }

    /// `nats://127.0.0.1:<port>`, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.options.port)
    }

    /// The process, to send it signals. `None` after [`Self::kill`].
    pub fn child(&mut self) -> Option<&mut Child> {
        self.child.as_mut()
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill();
        }
        self.child = None;
    }

    /// Starts it again on the same port and store.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self) -> Result<(), StackError> {
        self.kill();
        self.run()
    }

    /// Reads the configuration file again: new credentials, no connection lost.
    pub fn reload(&mut self) {
        if let Some(child) = &mut self.child {
            child.signal(Signal::HangUp);
        }
    }

    /// Starts it again with so many bytes for its streams: what does not fit is refused, as on a full disk. [`Self::restart`]
    /// gives it all the room there is.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart_with_room(&mut self, bytes: u64) -> Result<(), StackError> {
        self.kill();
        let given = self.options.configuration.as_ref().map(std::fs::read_to_string).transpose();
        let given = given.map_err(StackError::file("cannot read", &self.options.folder))?.unwrap_or_default();
        let store = self.options.folder.join("jetstream");
        let text = format!("{given}\njetstream {{ store_dir: \"{}\", max_file_store: {bytes} }}\n", store.display());
        let file = self.options.folder.join("little-room.conf");
        std::fs::write(&file, text).map_err(StackError::file("cannot write", &file))?;
        self.run_with(&["--config".as_ref(), file.as_os_str()])
    }

    fn run(&mut self) -> Result<(), StackError> {
        let store = self.options.folder.join("jetstream");
        let file = self.options.configuration.clone();
        let mut arguments: Vec<&OsStr> = vec!["--jetstream".as_ref(), "--store_dir".as_ref(), store.as_os_str()];
        if let Some(file) = &file {
            arguments.extend(["--config".as_ref(), file.as_os_str()]);
        }
        self.run_with(&arguments)
    }

    fn run_with(&mut self, arguments: &[&OsStr]) -> Result<(), StackError> {
        let mut launch = Launch::new("nats-server", &self.program, &self.options.folder.join("nats.log"))
            .args(["--addr", "127.0.0.1", "--port", &self.options.port.to_string()])
            .folder(&self.options.folder);
        for argument in arguments {
            launch = launch.arg(argument);
        }
        if let Some(monitor) = self.options.monitor_port {
            launch = launch.args(["--http_port", &monitor.to_string()]);
        }
        let mut child = launch.start()?;
        let port = self.options.port;
        child.wait_until(READY_WITHIN, || greets(port))?;
        self.child = Some(child);
        Ok(())
    }
}

fn greets(port: u16) -> bool {
    let mut greeting = [0; 5];
    port::connect(port).and_then(|mut stream| stream.read_exact(&mut greeting)).is_ok() && &greeting == b"INFO "
}
