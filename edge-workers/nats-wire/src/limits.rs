//! Every bound of this crate, in one place. Sizes are in bytes.

/// Longest control line a server accepts by default (`max_control_line`), `CONNECT` included. Longer commands are
/// refused here, because the server's answer to them is to close the connection.
pub const CONTROL_LINE_MAX: usize = 4096;

/// Longest line accepted from the server, except for `INFO`: subject and reply subject of one publisher's control line,
/// rewritten by mappings or imports, a subscription id and two sizes.
pub const RECEIVED_LINE_MAX: usize = 2 * CONTROL_LINE_MAX;

/// Longest `INFO` line accepted. It lists the addresses of a whole cluster, so it may exceed the control line.
pub const INFO_LINE_MAX: usize = 64 * 1024;

/// Largest message (headers and payload together) accepted from the server unless [`crate::Options`] says otherwise.
/// The server's own `max_payload` is 1 MiB by default and at most 64 MiB.
pub const RECEIVED_MESSAGE_MAX: usize = 8 * 1024 * 1024;

/// Longest header block accepted or sent, status line and closing empty line included.
pub const HEADER_BLOCK_MAX: usize = 64 * 1024;

/// Most header fields in one block.
pub const HEADER_FIELDS_MAX: usize = 128;

/// Longest subject, pattern or queue group that can be sent. Leaves room in the control line for the verb, a reply
/// subject of [`INBOX_SUBJECT_MAX`] and two sizes.
pub const SUBJECT_MAX: usize = 3 * 1024;

/// Longest inbox prefix (the part between `_INBOX.` and the number of a request).
pub const INBOX_PREFIX_MAX: usize = 128;

/// Longest reply subject that the request layer makes: `_INBOX.`, prefix, a dot and a 64-bit number.
pub const INBOX_SUBJECT_MAX: usize = 7 + INBOX_PREFIX_MAX + 1 + 20;

/// Bytes that may wait for [`crate::Connection::transmit`] before further commands are refused.
pub const PENDING_MAX: usize = 8 * 1024 * 1024;

/// Room beyond [`PENDING_MAX`] for the answers to the server's own `PING`. A peer that asks for more without reading
/// is closed.
pub const PONG_RESERVE: usize = 4 * 1024;

/// Subscriptions open at once on one connection.
pub const SUBSCRIPTIONS_MAX: usize = 1024;

/// Own `PING`s without `PONG` after which the connection counts as stale.
pub const PINGS_OUTSTANDING_MAX: u32 = 2;

/// Requests begun and not yet taken or cancelled, on one client.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 1024;

/// Bytes of replies that wait for [`crate::Client::take_reply`]; a reply that does not fit is dropped and its request
/// fails.
pub const REPLIES_HELD_MAX: usize = 16 * 1024 * 1024;
