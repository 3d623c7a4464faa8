//! Limits of the process itself: the second wall, for the day when the first one has a hole.
//!
//! Resource limits everywhere; on Linux, where the kernel has Landlock (5.13, with the network 6.7), no files but the
//! cache, no TCP, no new privileges. Not prevented: UDP, and system calls as such (there is no seccomp filter yet); a
//! deployment that wants those too runs the process in a container without a network.

use bodega_plugin_host::limits::{PROCESS_DATA_BYTES_MAX, PROCESS_FILE_BYTES_MAX, PROCESS_FILES_MAX};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{fs, io, net::TcpStream, path::Path, process::Command};

/// What was built.
pub(crate) struct Walls {
    /// How much of Landlock this kernel enforces: all, some or none of it.
    pub(crate) landlock: &'static str,
}

/// Lowers what this process may ever use, for good: hard limits cannot be raised again without privileges, and
/// Landlock not at all. Of all files, `folder` stays.
///
/// The address space is left alone, because an engine reserves gigabytes of it that it never touches.
pub(crate) fn confine(folder: Option<&Path>) -> io::Result<Walls> {
    lower(Resource::Data, PROCESS_DATA_BYTES_MAX)?;
    lower(Resource::Nofile, PROCESS_FILES_MAX)?;
    lower(Resource::Fsize, PROCESS_FILE_BYTES_MAX)?;
    // A core dump would be a copy of carts on disk.
    lower(Resource::Core, 0)?;
    #[cfg(target_os = "linux")]
    {
        rustix::thread::set_no_new_privs(true)?;
        Ok(Walls { landlock: landlock(folder).map_err(io::Error::other)? })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        Ok(Walls { landlock: "none" })
    }
}

#[cfg(target_os = "linux")]
fn landlock(folder: Option<&Path>) -> Result<&'static str, landlock::RulesetError> {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
        Scope,
    };
    // What a kernel does not know yet is left out: the crate's way unless it is told otherwise.
    let abi = ABI::V6;
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?;
    if let Some(folder) = folder.and_then(|folder| PathFd::new(folder).ok()) {
        let files = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir | AccessFs::MakeReg;
        let change = AccessFs::RemoveFile | AccessFs::Truncate;
        ruleset = ruleset.add_rule(PathBeneath::new(folder, files | change))?;
    }
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => "all",
        RulesetStatus::PartiallyEnforced => "some",
        RulesetStatus::NotEnforced => "none",
    })
}

fn lower(resource: Resource, to: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let to = now.maximum.map_or(to, |maximum| maximum.min(to));
    Ok(setrlimit(resource, Rlimit { current: Some(to), maximum: Some(to) })?)
}

/// What a process that was taken over would try first, and the error that stopped it.
pub(crate) fn attempts() -> Vec<(&'static str, Option<String>)> {
    fn stopped<T>(result: io::Result<T>) -> Option<String> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(error.to_string()),
            Ok(_) | Err(_) => None,
        }
    }
    let beside = std::env::temp_dir().join(format!("bodega-walls-{}", std::process::id()));
    vec![
        ("reading a file", stopped(fs::read("/proc/version"))),
        ("listing a folder", stopped(fs::read_dir("/").map(drop))),
        ("writing a file", stopped(fs::write(&beside, b"").and_then(|()| fs::remove_file(&beside)))),
        // Nothing listens on the discard port: refused by the other side would still mean that it was possible.
        ("connecting over TCP", stopped(TcpStream::connect(("127.0.0.1", 9)).map(drop))),
        ("listening on TCP", stopped(std::net::TcpListener::bind(("127.0.0.1", 0)).map(drop))),
        ("starting a program", stopped(Command::new("/bin/true").status().map(drop))),
    ]
}
