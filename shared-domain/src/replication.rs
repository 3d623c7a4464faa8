//! Replication to an edge: signed batches, accepted only in order.
//!
//! A batch is `header length (4 bytes, big endian) · header (JSON) · Ed25519 signature over the header (64 bytes) ·
//! body (deflate of a JSON list of entries)`. The header carries the hash of the body and of the batch before, so that
//! nothing can be replayed, left out or put in another order. An edge writes the entries first and moves its position
//! after: a crash in between repeats the same bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    catalog::ViewEntry,
    limits::{REPLICATION_BATCH_BYTES_MAX, REPLICATION_ENTRIES_MAX},
    time::Timestamp,
    token::{PublicKey, SecretKey, sha256, sha256_hex},
};

/// Manifests of an edge: each names the keys of one bucket, because edge storage cannot list.
pub const MANIFEST_BUCKETS: u8 = 64;
/// Milliseconds for which one ingest request may write before another may begin.
pub const INGEST_CLAIM_MS: i64 = 20_000;
/// Hash of the batch before the first one.
pub const NO_BATCH: &str = "";
const HEADER_BYTES_MAX: usize = 4 * 1024;
const SIGNATURE_BYTES: usize = 64;

/// What a batch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchKind {
    /// Everything that is there, in several batches; the last one says `complete`.
    Snapshot,
    /// What changed since the last position.
    Delta,
    /// Keys that differ, at the position that the edge has.
    Repair,
}

/// What a batch says about itself. Its signature is the replicator's credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchHeader {
    /// The one edge it is for.
    pub edge: String,
    /// Positions of another epoch mean nothing.
    pub epoch: String,
    /// What it is for.
    pub kind: BatchKind,
    /// The position that the edge must have; 0 begins a snapshot.
    pub from: i64,
    /// The position it has afterwards.
    pub to: i64,
    /// Hash of the batch that the edge accepted before, [`NO_BATCH`] for the first.
    pub previous: String,
    /// Last batch of a snapshot.
    pub complete: bool,
    /// Not accepted after this.
    pub expires: Timestamp,
    /// SHA-256 of the body as sent, hexadecimal.
    pub body_hash: String,
}

/// Why a batch was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Not a batch at all.
    #[error("not a batch")]
    Malformed,
    /// Not signed by a key of the replicator, for another edge, changed or expired.
    #[error("the batch's signature does not count here")]
    Signature,
    /// Not the next one; the edge's state tells which it waits for.
    #[error("not the next batch")]
    OutOfOrder,
    /// Another request is writing.
    #[error("another batch is being written")]
    Busy,
    /// More entries or bytes than allowed.
    #[error("too large")]
    TooLarge,
}

/// Packs and signs a batch. `None` when it is too large or the key is not usable.
#[must_use]
pub fn seal(mut header: BatchHeader, entries: &[ViewEntry], key: &SecretKey) -> Option<Vec<u8>> {
    let json = serde_json::to_vec(entries).ok()?;
    if entries.len() > REPLICATION_ENTRIES_MAX || json.len() > REPLICATION_BATCH_BYTES_MAX {
        return None;
    }
    let body = miniz_oxide::deflate::compress_to_vec(&json, 6);
    header.body_hash = sha256_hex(&body);
    let head = serde_json::to_vec(&header).ok()?;
    let mut out = u32::try_from(head.len()).ok()?.to_be_bytes().to_vec();
    out.extend_from_slice(&head);
    out.extend_from_slice(&key.sign(&head)?);
    out.extend_from_slice(&body);
    Some(out)
}

/// A batch whose signature, edge, expiry and body hash held. Only [`open`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What it says about itself.
    pub header: BatchHeader,
    /// Its entries.
    pub entries: Vec<ViewEntry>,
    /// Names this very batch.
    pub hash: String,
}

/// Verifies and unpacks a batch: signature, edge and expiry before anything is decompressed.
///
/// # Errors
/// [`BatchError`]; nothing of an unsigned batch is looked at.
pub fn open(bytes: &[u8], edge: &str, keys: &[PublicKey], now: Timestamp) -> Result<Batch, BatchError> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(BatchError::Malformed)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| BatchError::Malformed)?;
    if length > HEADER_BYTES_MAX {
        return Err(BatchError::Malformed);
    }
    let (head, rest) = rest.split_at_checked(length).ok_or(BatchError::Malformed)?;
    let (signature, body) = rest.split_at_checked(SIGNATURE_BYTES).ok_or(BatchError::Malformed)?;
    if !keys.iter().any(|key| key.verifies(head, signature)) {
        return Err(BatchError::Signature);
    }
    let header: BatchHeader = serde_json::from_slice(head).map_err(|_| BatchError::Malformed)?;
    if header.edge != edge || now >= header.expires || header.body_hash != sha256_hex(body) {
        return Err(BatchError::Signature);
    }
    let json = miniz_oxide::inflate::decompress_to_vec_with_limit(body, REPLICATION_BATCH_BYTES_MAX)
        .map_err(|_| BatchError::TooLarge)?;
    let entries: Vec<ViewEntry> = serde_json::from_slice(&json).map_err(|_| BatchError::Malformed)?;
    if entries.len() > REPLICATION_ENTRIES_MAX {
        return Err(BatchError::TooLarge);
    }
    Ok(Batch { hash: sha256_hex(head), header, entries })
}

/// The position of an edge: what its ingest cell holds, and what `GET /_edge/v1/ingest` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgePosition {
    /// Epoch of the position; empty before the first batch.
    pub epoch: String,
    /// Up to where it has everything.
    pub position: i64,
    /// Hash of the last batch.
    pub last: String,
    /// A snapshot is complete: a missing key does not exist.
    pub ready: bool,
    /// How many snapshots have begun here; keys of earlier ones are dropped when one is complete.
    pub generation: u32,
    /// Live keys and sum of [`entry_digest`]s modulo 2^64, over everything.
    pub live_keys: i64,
    /// See `live_keys`.
    pub digest: u64,
    /// Who is writing now, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
}

/// The right to write the next batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Random name of the request that holds it.
    pub by: String,
    /// The batch.
    pub batch: String,
    /// Until when nobody else may begin.
    pub until: Timestamp,
}

/// A change of an edge's position, as its cell merges it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestStep {
    /// Before the entries are written.
    Begin {
        /// The batch's header.
        header: BatchHeader,
        /// The batch's hash.
        batch: String,
        /// Random name of this request.
        by: String,
        /// Now.
        now: Timestamp,
    },
    /// After the entries are written.
    Commit {
        /// The batch's header.
        header: BatchHeader,
        /// The batch's hash.
        batch: String,
        /// Random name of this request.
        by: String,
        /// Change of the number of live keys; with the last batch of a snapshot their number.
        live_keys: i64,
        /// Change of the digest, modulo 2^64; with the last batch of a snapshot the digest.
        digest: u64,
    },
}

/// Decides a step. The caller's cell makes it atomic.
///
/// # Errors
/// [`BatchError::OutOfOrder`] or [`BatchError::Busy`]; nothing changes then.
pub fn advance(position: &EdgePosition, step: &IngestStep) -> Result<EdgePosition, BatchError> {
    let mut next = position.clone();
    match step {
        IngestStep::Begin { header, batch, by, now } => {
            if !follows(position, header) {
                return Err(BatchError::OutOfOrder);
            }
            if position.claim.as_ref().is_some_and(|claim| claim.by != *by && claim.until > *now) {
                return Err(BatchError::Busy);
            }
            let until = now.plus_ms(INGEST_CLAIM_MS);
            next.claim = Some(Claim { by: by.clone(), batch: batch.clone(), until });
        }
        IngestStep::Commit { header, batch, by, live_keys, digest } => {
            if !position.claim.as_ref().is_some_and(|claim| claim.by == *by && claim.batch == *batch) {
                return Err(BatchError::OutOfOrder);
            }
            if header.kind == BatchKind::Snapshot && header.from == 0 {
                next.generation = position.generation.saturating_add(1);
                next.epoch.clone_from(&header.epoch);
            }
            next.claim = None;
            next.last.clone_from(batch);
            next.position = header.to;
            next.ready = position.ready || header.complete;
            if completes(header) {
                // Changes of a batch that was half written and never committed are in nobody's sum: counted anew, they are.
                (next.live_keys, next.digest) = (*live_keys, *digest);
            } else {
                next.live_keys = position.live_keys.saturating_add(*live_keys);
                next.digest = position.digest.wrapping_add(*digest);
            }
        }
    }
    Ok(next)
}

/// Whether a batch is the last one of a snapshot: every manifest is looked at then, and the totals are counted anew.
#[must_use]
pub fn completes(header: &BatchHeader) -> bool {
    header.kind == BatchKind::Snapshot && header.complete
}

/// Whether a batch is exactly the next one here.
fn follows(position: &EdgePosition, header: &BatchHeader) -> bool {
    let begins = header.kind == BatchKind::Snapshot && header.from == 0;
    let continues = header.epoch == position.epoch && header.from == position.position;
    let ready = header.kind == BatchKind::Snapshot || position.ready;
    header.previous == position.last && (begins || (continues && ready)) && header.to >= header.from
}

/// What an edge holds in one bucket: key → version, digest and the generation that wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifest(pub BTreeMap<String, (i64, u64, u32)>);

/// The bucket of a full key (`kind/key`).
#[must_use]
pub fn bucket(full_key: &str) -> u8 {
    sha256(full_key.as_bytes())[0] % MANIFEST_BUCKETS
}

/// The digest of a live key at a version. Additive: the digests of a set are the sum modulo 2^64, in any order.
#[must_use]
pub fn entry_digest(full_key: &str, version: i64) -> u64 {
    let hash = sha256(format!("{full_key}@{version}").as_bytes());
    hash.iter().take(8).fold(0, |digest, byte| (digest << 8) | u64::from(*byte))
}

impl Manifest {
    /// Live keys and sum of digests of this bucket.
    #[must_use]
    pub fn totals(&self) -> (i64, u64) {
        let digest = self.0.values().fold(0_u64, |sum, (_, digest, _)| sum.wrapping_add(*digest));
        (i64::try_from(self.0.len()).unwrap_or(i64::MAX), digest)
    }

    /// Notes an entry and returns the change of live keys and digest. An older version than the one held changes
    /// nothing, and `None` says so: the value must not be written either.
    pub fn note(&mut self, full_key: &str, version: i64, live: bool, generation: u32) -> Option<(i64, u64)> {
        let before = self.0.get(full_key).copied();
        if before.is_some_and(|(held, _, of)| held > version && of == generation) {
            return None;
        }
        let (was_live, was) = before.map_or((0, 0), |(_, digest, _)| (i64::from(digest != 0), digest));
        let now = if live { entry_digest(full_key, version).max(1) } else { 0 };
        if live {
            self.0.insert(full_key.to_owned(), (version, now, generation));
        } else {
            self.0.remove(full_key);
        }
        Some((i64::from(live) - was_live, now.wrapping_sub(was)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SecretKey {
        SecretKey { kid: "r1".into(), seed: vec![5; 32] }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn header(kind: BatchKind, from: i64, to: i64, previous: &str) -> BatchHeader {
        BatchHeader {
            edge: "e1".into(),
            epoch: "one".into(),
            kind,
            from,
            to,
            previous: previous.into(),
            complete: kind == BatchKind::Snapshot,
            expires: at(60_000),
            body_hash: String::new(),
        }
    }

    fn entries() -> Vec<ViewEntry> {
        let body = Some(serde_json::json!({"title": "Bread"}));
        vec![ViewEntry { kind: "product".into(), key: "bread".into(), version: 3, body }]
    }

    fn accept(position: &EdgePosition, header: &BatchHeader, hash: &str) -> Result<EdgePosition, BatchError> {
        let (by, batch) = ("me".to_owned(), hash.to_owned());
        let begin = IngestStep::Begin { header: header.clone(), batch: batch.clone(), by: by.clone(), now: at(1) };
        let begun = advance(position, &begin)?;
        advance(&begun, &IngestStep::Commit { header: header.clone(), batch, by, live_keys: 1, digest: 7 })
    }

    #[test]
    fn a_sealed_batch_opens_at_its_edge_only_and_in_time() {
        let sealed = seal(header(BatchKind::Delta, 1, 2, "x"), &entries(), &key()).unwrap();
        let keys = [key().public().unwrap()];
        assert_eq!(open(&sealed, "e1", &keys, at(0)).unwrap().entries, entries());
        assert_eq!(open(&sealed, "e2", &keys, at(0)), Err(BatchError::Signature));
        assert_eq!(open(&sealed, "e1", &keys, at(60_000)), Err(BatchError::Signature));
        assert_eq!(open(&sealed, "e1", &[], at(0)), Err(BatchError::Signature));
    }

    #[test]
    fn only_the_next_batch_is_accepted() {
        let empty = EdgePosition::default();
        let snapshot = header(BatchKind::Snapshot, 0, 10, NO_BATCH);
        assert_eq!(accept(&empty, &header(BatchKind::Delta, 0, 1, NO_BATCH), "d"), Err(BatchError::OutOfOrder));
        let ready = accept(&empty, &snapshot, "s").unwrap();
        assert!(ready.ready && ready.position == 10 && ready.epoch == "one");
        assert_eq!(accept(&ready, &snapshot, "s"), Err(BatchError::OutOfOrder), "a replay");
        let delta = header(BatchKind::Delta, 10, 12, "s");
        let moved = accept(&ready, &delta, "d").unwrap();
        assert_eq!(accept(&moved, &delta, "d"), Err(BatchError::OutOfOrder), "a replay");
        assert_eq!(accept(&moved, &header(BatchKind::Delta, 13, 14, "d"), "g"), Err(BatchError::OutOfOrder), "a gap");
        let mut other = header(BatchKind::Delta, 12, 13, "d");
        other.epoch = "two".into();
        assert_eq!(accept(&moved, &other, "o"), Err(BatchError::OutOfOrder), "another epoch");
        let mut again = header(BatchKind::Snapshot, 0, 5, "d");
        again.epoch = "two".into();
        assert_eq!(accept(&moved, &again, "s2").unwrap().epoch, "two", "after a restore a snapshot begins again");
    }

    #[test]
    fn the_last_batch_of_a_snapshot_sets_the_totals_and_every_other_changes_them() {
        // One key too many and a strange digest: a half-written batch was never committed.
        let drifted = EdgePosition { live_keys: 40, digest: 3, ..EdgePosition::default() };
        let mut part = header(BatchKind::Snapshot, 0, 5, NO_BATCH);
        part.complete = false;
        let begun = accept(&drifted, &part, "s1").unwrap();
        assert_eq!((begun.live_keys, begun.digest), (41, 10));
        let complete = accept(&begun, &header(BatchKind::Snapshot, 5, 10, "s1"), "s2").unwrap();
        assert_eq!((complete.live_keys, complete.digest), (1, 7));
        let moved = accept(&complete, &header(BatchKind::Delta, 10, 11, "s2"), "d").unwrap();
        assert_eq!((moved.live_keys, moved.digest), (2, 14));
    }

    #[test]
    fn one_request_writes_at_a_time_and_a_crashed_one_is_followed() {
        let position = EdgePosition::default();
        let head = header(BatchKind::Snapshot, 0, 1, NO_BATCH);
        let begin =
            |by: &str, now| IngestStep::Begin { header: head.clone(), batch: "s".into(), by: by.into(), now: at(now) };
        let claimed = advance(&position, &begin("a", 0)).unwrap();
        assert_eq!(advance(&claimed, &begin("b", 1)), Err(BatchError::Busy));
        let taken = advance(&claimed, &begin("b", INGEST_CLAIM_MS)).unwrap();
        let late = IngestStep::Commit { header: head, batch: "s".into(), by: "a".into(), live_keys: 0, digest: 0 };
        assert_eq!(advance(&taken, &late), Err(BatchError::OutOfOrder));
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(at_byte: prop::sample::Index, flip in 1_u8..=255) {
            let mut sealed = seal(header(BatchKind::Delta, 1, 2, "x"), &entries(), &key()).unwrap();
            let i = at_byte.index(sealed.len());
            sealed[i] ^= flip;
            prop_assert!(open(&sealed, "e1", &[key().public().unwrap()], at(0)).is_err());
        }

        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(open(&bytes, "e1", &[key().public().unwrap()], at(0)).is_err());
        }

        #[test]
        fn the_digest_is_that_of_the_live_set(ops in proptest::collection::vec((0_u8..8, any::<bool>()), 0..60)) {
            let mut manifest = Manifest::default();
            let (mut keys, mut digest) = (0_i64, 0_u64);
            for (version, (key, live)) in (1_i64..).zip(&ops) {
                if let Some((k, d)) = manifest.note(&format!("product/{key}"), version, *live, 1) {
                    keys += k;
                    digest = digest.wrapping_add(d);
                }
            }
            let expected = manifest.0.iter().fold(0_u64, |sum, (key, (v, ..))| sum.wrapping_add(entry_digest(key, *v)));
            prop_assert_eq!(digest, expected);
            prop_assert_eq!(usize::try_from(keys).unwrap(), manifest.0.len());
        }
    }
}
