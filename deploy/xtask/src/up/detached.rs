//! `up --detach` and `down`: a shop without a terminal.

use super::claim::Claim;
use super::flags::DownFlags;
use crate::fault::Fault;
use crate::interrupt;
use crate::progress::Steps;
use bodega_stack::shop::Progress;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longer than every process of the shop may take to end.
const CLOSED_WITHIN: Duration = Duration::from_secs(90);

/// Starts ourselves again without `--detach`, shows what it says, and returns when the shop is open.
pub(crate) fn up(folder: &Path) -> Result<(), Fault> {
    if Claim::is_held(folder) {
        return Err(Fault::AlreadyOpen { folder: folder.to_path_buf() });
    }
    std::fs::create_dir_all(folder).map_err(Fault::file(folder))?;
    let _ = std::fs::remove_file(Claim::open_file(folder));
    let log = folder.join("up.log");
    let output = std::fs::File::create(&log).map_err(Fault::file(&log))?;
    let errors = output.try_clone().map_err(Fault::file(&log))?;
    let program = std::env::current_exe().map_err(Fault::file(Path::new("cargo xtask")))?;
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--detach");
    // Whoever interrupts us wants no shop: it is closed before we end.
    interrupt::be_orderly();
    let mut shop = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        // A group of its own: Ctrl-C and the end of this terminal are none of its business.
        .process_group(0)
        .spawn()
        .map_err(Fault::file(&log))?;
    let mut shown = 0;
    loop {
        let ended = shop.try_wait().ok().flatten();
        let open = Claim::open_file(folder).exists();
        shown = show(&log, shown);
        if ended.is_some() {
            return Err(Fault::Told);
        }
        if interrupt::is_asked() {
            close(shop.id())?;
            let _ = shop.wait();
            interrupt::leave();
        }
        if open {
            // The card is printed right after the file is there.
            std::thread::sleep(LOOK_EVERY * 2);
            show(&log, shown);
            println!("The shop stays open: `cargo xtask down` closes it.");
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn show(log: &Path, from: u64) -> u64 {
    let mut text = Vec::new();
    let read = std::fs::File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut text)
    });
    let _ = std::io::stdout().write_all(&text);
    let _ = std::io::stdout().flush();
    from + read.ok().and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

/// Asks the process of a shop to close it.
fn close(pid: u32) -> Result<(), Fault> {
    let asked = Command::new("kill").args(["-TERM", &pid.to_string()]).status();
    match asked {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Fault::Plain(format!("process {pid} cannot be told to close the shop"))),
    }
}

/// `cargo xtask down`
pub(crate) fn down(flags: &DownFlags) -> Result<(), Fault> {
    let folder = flags.state.folder()?;
    let not_open = || Fault::NotOpen { folder: folder.clone() };
    if !Claim::is_held(&folder) {
        return Err(not_open());
    }
    let pid = Claim::holder(&folder).ok_or_else(not_open)?;
    let steps = Steps::new();
    steps.begin("closing the shop");
    close(pid)?;
    let deadline = Instant::now() + CLOSED_WITHIN;
    while Claim::is_held(&folder) {
        if Instant::now() > deadline {
            return Err(Fault::Plain(format!(
                "process {pid} does not end: `kill -KILL {pid}` ends it and all it started"
            )));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    steps.end("its data stays");
    Ok(())
}
