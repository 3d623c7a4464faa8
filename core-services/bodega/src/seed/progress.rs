//! What a person sees while a large seed runs: a bar at a terminal, a line a step elsewhere.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

/// Characters of the bar.
const BAR_CHARS: usize = 30;

/// Tells how far it is, on standard error.
pub(super) struct Progress {
    began: Instant,
    terminal: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), terminal: std::io::stderr().is_terminal() }
    }

    /// Begins a step.
    pub(super) fn step(&self, what: &str) {
        eprintln!("seed: {what}");
    }

    /// So many of a step's parts are done.
    pub(super) fn at(&self, what: &str, done: usize, total: usize) {
        if self.terminal {
            let filled = done.min(total) * BAR_CHARS / total.max(1);
            let end = if done >= total { "\n" } else { "" };
            eprint!("\r{what} [{:<BAR_CHARS$}] {done}/{total}{end}", "#".repeat(filled));
            // A bar that cannot be shown is no reason to stop.
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("seed: {what}: {done} of {total}");
        }
    }

    pub(super) fn done(&self) {
        eprintln!("seed: done in {} s", self.began.elapsed().as_secs());
    }
}
