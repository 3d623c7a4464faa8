//! A child process that cannot outlive us.
//!
//! Between us and the server stands a small shell with the reading end of a pipe. While we live the pipe is open and
//! signals travel down it as words; when we end, by whatever means, the pipe closes and the shell ends the server.
//! (`PR_SET_PDEATHSIG` would not do: it follows the thread that spawned the child, and test threads end early.)

use crate::{Account, StackError};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// `$1` is the signal for the server when we are gone; the rest is its command line. Five seconds later everything
/// left in the group is killed. What the server leaves behind in the group when it ends is ended too, with a signal
/// that nobody handles after the one that asks.
const GUARD: &str = r#"
on_loss=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(
  while read -r signal; do kill -"$signal" "$server" 2>/dev/null; done
  kill -"$on_loss" "$server" 2>/dev/null
  tries=0
  while kill -0 "$server" 2>/dev/null && [ "$tries" -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -KILL 0
) <&3 2>/dev/null &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill -KILL "$watcher" 2>/dev/null
trap '' TERM VTALRM
kill -TERM 0; kill -VTALRM 0
exit "$status"
"#;

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);
/// A server that ignores a polite signal for this long is killed. The core gives what has begun 20 seconds.
const STOP_PATIENCE: Duration = Duration::from_secs(25);
/// Lines of a log shown in an error.
const TAIL_LINES: usize = 15;

/// A signal that a server understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ask to finish and end.
    Terminate,
    /// For Postgres: fast shutdown, without waiting for clients.
    Interrupt,
    /// For Postgres: end at once, free shared memory, recover at the next start.
    Quit,
    /// Read the configuration again.
    HangUp,
    /// End without a chance to do anything.
    Kill,
    /// Freeze: connections stay open and nothing answers.
    Stop,
    /// Go on after [`Signal::Stop`].
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
            Self::HangUp => "HUP",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// What to start and how.
#[derive(Debug)]
pub struct Launch {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    account: Option<Account>,
    log: PathBuf,
    on_our_terminal: bool,
    on_loss: Signal,
    polite: Signal,
    patience: Duration,
}

impl Launch {
    /// A program whose output is appended to `log`.
    #[must_use]
    pub fn new(name: &str, program: &Path, log: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_path_buf(),
            args: Vec::new(),
            envs: Vec::new(),
            folder: None,
            account: None,
            log: log.to_path_buf(),
            on_our_terminal: false,
            on_loss: Signal::Kill,
            polite: Signal::Terminate,
            patience: STOP_PATIENCE,
        }
    }

    /// A program whose output goes where ours goes.
    #[must_use]
    pub fn on_our_terminal(name: &str, program: &Path) -> Self {
        Self { on_our_terminal: true, ..Self::new(name, program, Path::new("")) }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The folder to run in.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_path_buf());
        self
    }

    /// The user to run as.
    #[must_use]
    pub fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// The signal when we are gone, and the one for an orderly end.
    #[must_use]
    pub fn signals(mut self, on_loss: Signal, polite: Signal) -> Self {
        (self.on_loss, self.polite) = (on_loss, polite);
        self
    }

    /// How long the polite signal is given before the child is killed.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When the log cannot be opened or the program not be started.
    pub fn start(self) -> Result<Child, StackError> {
        let (output, errors) = self.output()?;
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(GUARD).arg("guard").arg(self.on_loss.name());
        command.args(Account::prefix(self.account.as_ref())).arg(&self.program).args(&self.args);
        command.envs(self.envs).stdin(Stdio::piped()).stdout(output).stderr(errors);
        // A group of its own: Ctrl-C at the terminal reaches us alone, and we stop the servers in order.
        command.process_group(0);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        Account::switch(self.account.as_ref(), &mut command);
        let mut guard = command.spawn().map_err(StackError::file("cannot start", &self.program))?;
        let control = guard.stdin.take();
        let Self { name, log, polite, patience, .. } = self;
        Ok(Child { name, guard, control, log, polite, patience })
    }

    /// Where standard output and standard error go.
    fn output(&self) -> Result<(Stdio, Stdio), StackError> {
        if self.on_our_terminal {
            return Ok((Stdio::inherit(), Stdio::inherit()));
        }
        if let Some(folder) = self.log.parent() {
            std::fs::create_dir_all(folder).map_err(StackError::file("cannot create", folder))?;
        }
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(StackError::file("cannot write", &self.log))?;
        let errors = log.try_clone().map_err(StackError::file("cannot write", &self.log))?;
        Ok((log.into(), errors.into()))
    }
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Child {
    name: String,
    guard: Process,
    control: Option<ChildStdin>,
    log: PathBuf,
    polite: Signal,
    patience: Duration,
}

impl Child {
    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Sends a signal to the server. A server that has already ended ignores it.
    pub fn signal(&mut self, signal: Signal) {
        if let Some(control) = &mut self.control {
            // The pipe is broken only when the guard, and with it the server, has ended.
            let _ = writeln!(control, "{}", signal.name());
        }
    }

    /// How it ended, if it has: 128 + n for signal n.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.guard.try_wait().ok().flatten()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    /// Waits for its end.
    pub fn wait(&mut self, at_most: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + at_most;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Kills it, as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::Kill);
        self.wait(STOP_PATIENCE);
    }

    /// Asks it to end, waits, and kills what does not listen.
    pub fn stop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        self.signal(self.polite);
        if self.wait(self.patience).is_none() {
            self.kill();
        }
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// When the server ends first or the time is over; the error carries the end of the log.
    pub fn wait_until(&mut self, at_most: Duration, mut ready: impl FnMut() -> bool) -> Result<(), StackError> {
        let deadline = Instant::now() + at_most;
        loop {
            if self.ended().is_some() {
                return Err(StackError::Ended { name: self.name.clone(), log: self.log.clone(), tail: self.tail() });
            }
            if ready() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let (name, log, tail) = (self.name.clone(), self.log.clone(), self.tail());
                return Err(StackError::Late { name, after: at_most, log, tail });
            }
            std::thread::sleep(POLL);
        }
    }

    fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::{Launch, Signal};
    use std::path::Path;
    use std::time::{Duration, Instant};

    fn script(name: &str, text: &str) -> Launch {
        let log = std::env::temp_dir().join(format!("bodega-child-{}-{name}.log", std::process::id()));
        let _ = std::fs::remove_file(&log);
        Launch::new(name, Path::new("/bin/sh"), &log).arg("-c").arg(text)
    }

    fn is_gone(pid: &str) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            // A process that nobody waits for is gone too: `Z`.
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    #[test]
    fn the_status_is_the_childs_own() -> Result<(), crate::StackError> {
        let mut child = script("status", "exit 7").start()?;
        assert_eq!(child.wait(Duration::from_secs(10)).and_then(|status| status.code()), Some(7));
        Ok(())
    }

    #[test]
    fn what_the_child_leaves_behind_ends_with_it() -> Result<(), crate::StackError> {
        let mut child = script("leaves", "sleep 1000 & echo $!; wait").start()?;
        let log = child.log().to_path_buf();
        child.wait_until(Duration::from_secs(10), || {
            std::fs::read_to_string(&log).is_ok_and(|text| text.ends_with('\n'))
        })?;
        let left = std::fs::read_to_string(&log).unwrap_or_default();
        child.kill();
        assert!(is_gone(left.trim()), "process {left} is left");
        Ok(())
    }

    #[test]
    fn a_child_that_ignores_the_polite_signal_is_killed_when_dropped() -> Result<(), crate::StackError> {
        let deaf = script("deaf", "trap '' TERM; echo $$; while :; do read -r line; sleep 0.1; done");
        let mut child = deaf.signals(Signal::Kill, Signal::Terminate).patience(Duration::from_millis(200)).start()?;
        let log = child.log().to_path_buf();
        child.wait_until(Duration::from_secs(10), || {
            std::fs::read_to_string(&log).is_ok_and(|text| text.ends_with('\n'))
        })?;
        let pid = std::fs::read_to_string(&log).unwrap_or_default();
        drop(child);
        assert!(is_gone(pid.trim()), "process {pid} is left");
        Ok(())
    }
}
