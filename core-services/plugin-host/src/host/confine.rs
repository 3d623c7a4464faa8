//! Limits of the process itself: the second wall, for the day when the first one has a hole.

use bodega_plugin_host::limits::{PROCESS_DATA_BYTES_MAX, PROCESS_FILE_BYTES_MAX, PROCESS_FILES_MAX};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;

/// Lowers what this process may ever use, for good: hard limits cannot be raised again without privileges.
///
/// The address space is left alone, because an engine reserves gigabytes of it that it never touches.
pub(crate) fn confine() -> io::Result<()> {
    lower(Resource::Data, PROCESS_DATA_BYTES_MAX)?;
    lower(Resource::Nofile, PROCESS_FILES_MAX)?;
    lower(Resource::Fsize, PROCESS_FILE_BYTES_MAX)?;
    // A core dump would be a copy of carts on disk.
    lower(Resource::Core, 0)?;
    #[cfg(target_os = "linux")]
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

fn lower(resource: Resource, to: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let to = now.maximum.map_or(to, |maximum| maximum.min(to));
    Ok(setrlimit(resource, Rlimit { current: Some(to), maximum: Some(to) })?)
}
