//! Ctrl-C, and its relatives.
//!
//! While things are being fetched and built we simply leave: children end with us. Once the shop is open the first
//! signal closes it in order, and the second leaves at once.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static ORDERLY: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicBool = AtomicBool::new(false);

/// Exit code of a command that was interrupted, as shells expect it.
const INTERRUPTED: i32 = 130;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Begins to listen.
pub(crate) fn listen() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if !ORDERLY.load(Ordering::SeqCst) || ASKED.swap(true, Ordering::SeqCst) {
                eprintln!("\ninterrupted");
                std::process::exit(INTERRUPTED);
            }
        }
    });
}

/// From now on the first signal asks instead of ending us.
pub(crate) fn be_orderly() {
    ORDERLY.store(true, Ordering::SeqCst);
}

/// Waits for a signal, looking at `problem` now and then; returns what it finds.
pub(crate) fn wait<T>(mut problem: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        if ASKED.load(Ordering::SeqCst) {
            return None;
        }
        if let Some(found) = problem() {
            return Some(found);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
