//! What a person sees while waiting: one line a step, with its time.

use bodega_stack::shop::Progress;
use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Without a terminal a long step says that it lives at this interval.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
/// Characters of a line that is written over.
const LINE_WIDTH: usize = 100;

/// Writes steps to standard error.
#[derive(Debug)]
pub(crate) struct Steps {
    begun: Instant,
    step: RefCell<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    begun: Instant,
    last_sign: Instant,
}

impl Steps {
    /// Begins to count.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { begun: now, step: RefCell::new(Step { name: String::new(), begun: now, last_sign: now }) }
    }

    /// Time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// How far the step is, shown when someone looks.
    pub(crate) fn at(&self, detail: &str) {
        let mut step = self.step.borrow_mut();
        let waited = seconds(step.begun.elapsed());
        if std::io::stderr().is_terminal() {
            let line = format!("  … {}  {detail}  {waited}", step.name);
            let line: String = line.chars().take(LINE_WIDTH).collect();
            eprint!("\r\x1b[2K{line}");
            let _ = std::io::stderr().flush();
        } else if step.last_sign.elapsed() > SIGN_OF_LIFE {
            step.last_sign = Instant::now();
            eprintln!("  … {}  {detail}  {waited}", step.name);
        }
    }
}

impl Progress for Steps {
    fn begin(&self, name: &str) {
        let now = Instant::now();
        *self.step.borrow_mut() = Step { name: name.to_owned(), begun: now, last_sign: now };
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[2K  … {name}");
            let _ = std::io::stderr().flush();
        }
    }

    fn end(&self, note: &str) {
        let step = self.step.borrow();
        let clear = if std::io::stderr().is_terminal() { "\r\x1b[2K" } else { "" };
        let gap = if note.is_empty() { "" } else { "  " };
        eprintln!("{clear}  {} {:<46} {:>8}{gap}{note}", green("✓"), step.name, seconds(step.begun.elapsed()));
    }
}

/// `1.2 s`, `3 min 05 s`
pub(crate) fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole >= 60 {
        return format!("{} min {:02} s", whole / 60, whole % 60);
    }
    format!("{whole}.{} s", time.subsec_millis() / 100)
}

fn coloured(code: &str, text: &str) -> String {
    let wanted = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if wanted { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

pub(crate) fn green(text: &str) -> String {
    coloured("32", text)
}

pub(crate) fn red(text: &str) -> String {
    coloured("31;1", text)
}

pub(crate) fn bold(text: &str) -> String {
    coloured("1", text)
}
