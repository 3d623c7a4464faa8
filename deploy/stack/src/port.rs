//! Ports on loopback.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// A port nobody listens on now. Another process may take it before it is used: callers retry with a new one.
///
/// # Errors
/// When the system has no free port.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether something listens there, or the port may not be bound.
#[must_use]
pub fn is_taken(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err()
}

/// A connection that gives up soon: a server on loopback answers at once or is not there.
pub(crate) fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), Duration::from_millis(500))?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.set_write_timeout(Some(Duration::from_millis(500)))?;
    Ok(stream)
}
