//! A request on its way from the worker to the object that keeps the connection: a line of JSON, then the payload.

use serde::{Deserialize, Serialize};

/// What the line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frame {
    /// `<service>.v1.<verb>`.
    pub(super) subject: String,
    /// NATS headers.
    pub(super) headers: Vec<(String, String)>,
    /// When the asker gives up, Unix milliseconds.
    pub(super) deadline_ms: i64,
}

/// Status of an answer whose request surely reached no service.
pub(super) const STATUS_UNAVAILABLE: u16 = 503;
/// Status of an answer whose request may have been served.
pub(super) const STATUS_UNKNOWN: u16 = 504;

impl Frame {
    pub(super) fn encode(&self, payload: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = serde_json::to_vec(self)?;
        // JSON escapes line feeds, so the first one ends it.
        out.push(b'\n');
        out.extend_from_slice(payload);
        Ok(out)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = bytes.split_at_checked(end)?;
        Some((serde_json::from_slice(line).ok()?, rest.get(1..)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_the_way() {
        let frame = Frame {
            subject: "order.v1.place".into(),
            headers: vec![("Bodega-Token".into(), "a\nb".into())],
            deadline_ms: 1_764_000_000_000,
        };
        let bytes = frame.encode(b"{\n}").unwrap();
        assert_eq!(Frame::decode(&bytes), Some((frame, &b"{\n}"[..])));
        for broken in [&b""[..], b"{}", b"{}\n", b"\n"] {
            assert_eq!(Frame::decode(broken), None);
        }
    }
}
