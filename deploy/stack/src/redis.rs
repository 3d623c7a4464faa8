//! One Redis (or Valkey) server on loopback, without persistence: nothing in it is the only copy of anything.

use crate::tools::Tools;
use crate::{Child, Launch, StackError, port};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// How to run it.
#[derive(Debug)]
pub struct RedisOptions {
    /// Holds the log.
    pub folder: PathBuf,
    /// On 127.0.0.1.
    pub port: u16,
}

/// A running server.
#[derive(Debug)]
pub struct Redis {
    child: Option<Child>,
    options: RedisOptions,
    program: PathBuf,
}

impl Redis {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(tools: &Tools, options: RedisOptions) -> Result<Self, StackError> {
        std::fs::create_dir_all(&options.folder).map_err(StackError::file("cannot create", &options.folder))?;
        let mut redis = Self { child: None, options, program: tools.redis_server.clone() };
        redis.run()?;
        Ok(redis)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.options.port
    }

    /// `redis://127.0.0.1:<port>/`
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.options.port)
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

    /// Starts it again on the same port, empty.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self) -> Result<(), StackError> {
        self.kill();
        self.run()
    }

    fn run(&mut self) -> Result<(), StackError> {
        let launch = Launch::new("redis-server", &self.program, &self.options.folder.join("redis.log"))
            .args(["--bind", "127.0.0.1", "--port", &self.options.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(&self.options.folder)
            .folder(&self.options.folder);
        let mut child = launch.start()?;
        let port = self.options.port;
        child.wait_until(READY_WITHIN, || answers(port))?;
        self.child = Some(child);
        Ok(())
    }
}

fn answers(port: u16) -> bool {
    let mut answer = [0; 5];
    let asked = port::connect(port).and_then(|mut stream| {
        stream.write_all(b"PING\r\n")?;
        stream.read_exact(&mut answer)
    });
    asked.is_ok() && &answer == b"+PONG"
}
