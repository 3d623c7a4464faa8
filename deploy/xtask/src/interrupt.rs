//! Ctrl-C, and its relatives.
//!
//! While things are being fetched and built we simply leave: children end with us. Once the shop is open, or while tests
//! run, the first signal ends those in order, and the second leaves at once.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static ORDERLY: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicBool = AtomicBool::new(false);
static WHEN_LEAVING: OnceLock<fn()> = OnceLock::new();

/// Exit code of a command that was interrupted, as shells expect it.
const INTERRUPTED: i32 = 130;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Begins to listen.
pub(crate) fn listen() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if !ORDERLY.load(Ordering::SeqCst) || ASKED.swap(true, Ordering::SeqCst) {
                leave();
            }
        }
    });
}

/// From now on the first signal asks instead of ending us.
pub(crate) fn be_orderly() {
    ORDERLY.store(true, Ordering::SeqCst);
}

/// From now on a signal ends us at once again; one that came meanwhile does so now.
pub(crate) fn be_prompt() {
    ORDERLY.store(false, Ordering::SeqCst);
    if is_asked() {
        leave();
    }
}

/// Whether a signal came since [`be_orderly`].
pub(crate) fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Does this, the first that is said, before [`leave`] ends us.
pub(crate) fn when_leaving(act: fn()) {
    let _ = WHEN_LEAVING.set(act);
}

/// Ends us as a command that was interrupted.
pub(crate) fn leave() -> ! {
    if let Some(act) = WHEN_LEAVING.get() {
        act();
    }
    eprintln!("\ninterrupted");
    std::process::exit(INTERRUPTED)
}

/// Waits for a signal, looking at `problem` now and then; returns what it finds.
pub(crate) fn wait<T>(mut problem: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        if is_asked() {
            return None;
        }
        if let Some(found) = problem() {
            return Some(found);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
