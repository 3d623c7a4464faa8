//! Replication received: signed batches, each only after the one before; entries first, the position after.
//!
//! Edge storage cannot list its keys, so a manifest per bucket names them with their version. A batch that is sent again
//! after a crash finds its own mark in the manifests and counts once.

use std::collections::BTreeMap;

use bodega_domain::{
    Code, Failure,
    catalog::ViewEntry,
    replication::{
        self, Batch, BatchError, BatchKind, EdgePosition, IngestStep, MANIFEST_BUCKETS, Manifest, bucket, completes,
        open,
    },
    token::base64url,
};
use futures::future::join_all;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{
    cell::refused_step,
    keys,
    platform::{CellError, CellKind, KvError, Platform, setting},
    respond::{self, Answer},
    visit::Visit,
};

/// The key of the one ingest cell.
const CELL: &str = "position";
/// Writes under way at once: enough for a runtime to batch them, few enough for its connection limits.
const WRITES_AT_ONCE: usize = 64;

/// A stored manifest, with the mark of the batch that wrote it last.
#[derive(Default, Serialize, Deserialize)]
struct StoredManifest {
    batch: String,
    live_keys: i64,
    digest: u64,
    keys: Manifest,
}

/// What a batch changed, or with the last one of a snapshot what there is.
#[derive(Default)]
struct Change {
    live_keys: i64,
    digest: u64,
}

impl Change {
    fn add(&mut self, live_keys: i64, digest: u64) {
        self.live_keys = self.live_keys.saturating_add(live_keys);
        self.digest = self.digest.wrapping_add(digest);
    }
}

fn unavailable<P: Platform>(visit: &Visit<'_, P>, what: &str, detail: &str) -> Failure {
    visit.warn(what, detail);
    Failure::new(Code::EdgeNotReady, "This edge's storage does not answer. Send the batch again.").retry_after_s(1)
}

/// Where this edge is.
pub(crate) async fn position<P: Platform>(visit: &Visit<'_, P>) -> Result<EdgePosition, Failure> {
    match visit.platform.cell_read(CellKind::Ingest, CELL).await {
        Ok(bytes) => Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()),
        Err(error) => Err(unavailable(visit, "ingest_cell", &error.to_string())),
    }
}

/// `GET /_edge/v1/ingest`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    respond::json(StatusCode::OK, &position(visit).await?)
}

/// `POST /_edge/v1/ingest`.
pub(crate) async fn receive<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let edge = visit.platform.config(setting::EDGE_ID).unwrap_or_default();
    let signers = keys::public(visit.platform, setting::REPLICATION_KEYS);
    let batch = match open(&visit.request.body, &edge, &signers, visit.now) {
        Ok(batch) => batch,
        Err(BatchError::TooLarge) => return Err(Code::PayloadTooLarge.into()),
        Err(error) => return Err(Failure::new(Code::IngestSignatureInvalid, sentence(&error))),
    };
    let by = base64url(&visit.random::<12>());
    let begin =
        IngestStep::Begin { header: batch.header.clone(), batch: batch.hash.clone(), by: by.clone(), now: visit.now };
    let begun = match step(visit, &begin).await? {
        Ok(position) => position,
        Err(error) => return out_of_order(visit, &error).await,
    };
    let change =
        write(visit.platform, &batch, &begun).await.map_err(|error| unavailable(visit, "kv", &error.to_string()))?;
    let commit = IngestStep::Commit {
        header: batch.header.clone(),
        batch: batch.hash.clone(),
        by,
        live_keys: change.live_keys,
        digest: change.digest,
    };
    match step(visit, &commit).await? {
        Ok(position) => respond::json(StatusCode::OK, &position),
        Err(error) => out_of_order(visit, &error).await,
    }
}

fn sentence(error: &BatchError) -> String {
    format!("The batch was not accepted: {error}.")
}

async fn step<P: Platform>(
    visit: &Visit<'_, P>,
    step: &IngestStep,
) -> Result<Result<EdgePosition, BatchError>, Failure> {
    let delta = serde_json::to_vec(step).map_err(|_| Failure::internal())?;
    match visit.platform.cell_merge(CellKind::Ingest, CELL, delta).await {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Ok).map_err(|_| Failure::internal()),
        Err(CellError::Refused(refused)) => Ok(Err(refused_step(&refused))),
        Err(error) => Err(unavailable(visit, "ingest_cell", &error.to_string())),
    }
}

/// 409 with the position that the edge has, beside the members of the problem.
async fn out_of_order<P: Platform>(visit: &Visit<'_, P>, error: &BatchError) -> Answer {
    #[derive(Serialize)]
    struct Held {
        #[serde(flatten)]
        position: EdgePosition,
        #[serde(flatten)]
        problem: serde_json::Map<String, serde_json::Value>,
    }
    let failure = Failure::new(Code::IngestOutOfOrder, sentence(error));
    let mut response = respond::problem(&visit.id, &failure);
    let problem = serde_json::from_slice(&response.body).unwrap_or_default();
    let held = Held { position: position(visit).await?, problem };
    response.body = serde_json::to_vec(&held).map_err(|_| Failure::internal())?;
    Ok(response)
}

async fn write<P: Platform>(platform: &P, batch: &Batch, begun: &EdgePosition) -> Result<Change, KvError> {
    let begins = batch.header.kind == BatchKind::Snapshot && batch.header.from == 0;
    let generation = if begins { begun.generation.saturating_add(1) } else { begun.generation };
    let completes = completes(&batch.header);
    let mut buckets: BTreeMap<u8, Vec<(String, &ViewEntry)>> = BTreeMap::new();
    if completes {
        buckets.extend((0..MANIFEST_BUCKETS).map(|bucket| (bucket, Vec::new())));
    }
    for entry in &batch.entries {
        let key = format!("{}/{}", entry.kind, entry.key);
        buckets.entry(bucket(&key)).or_default().push((key, entry));
    }
    let mut change = Change::default();
    for (bucket, entries) in buckets {
        let (live_keys, digest) = write_bucket(platform, bucket, &entries, &batch.hash, generation, completes).await?;
        change.add(live_keys, digest);
    }
    Ok(change)
}

/// Gives back what changed in a bucket, or with the last batch of a snapshot what is in it: a batch that was half written
/// and never came again has left its keys in the manifest and its change in no position.
async fn write_bucket<P: Platform>(
    platform: &P,
    bucket: u8,
    entries: &[(String, &ViewEntry)],
    batch: &str,
    generation: u32,
    completes: bool,
) -> Result<(i64, u64), KvError> {
    let name = format!("manifest/{bucket}");
    let stored = platform.kv_get(&name).await?;
    let mut manifest: StoredManifest = stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    if manifest.batch == batch {
        // This very batch was written before and its position was not: every value below is there already.
        return Ok(if completes { manifest.keys.totals() } else { (manifest.live_keys, manifest.digest) });
    }
    let mut change = Change::default();
    let mut writes: Vec<(String, Option<Vec<u8>>)> = Vec::new();
    for (key, entry) in entries {
        let body = entry.body.as_ref().map(serde_json::to_vec).transpose().unwrap_or(None);
        if let Some((live, digest)) = manifest.keys.note(key, entry.version, body.is_some(), generation) {
            change.add(live, digest);
            writes.push((key.clone(), body));
        }
    }
    if completes {
        for (key, digest) in stale(&manifest.keys, generation) {
            manifest.keys.0.remove(&key);
            change.add(-1, 0_u64.wrapping_sub(digest));
            writes.push((key, None));
        }
    }
    for chunk in writes.chunks(WRITES_AT_ONCE) {
        let done = join_all(chunk.iter().map(async |(key, body)| match body {
            Some(body) => platform.kv_put(key, body.clone()).await,
            None => platform.kv_delete(key).await,
        }))
        .await;
        done.into_iter().collect::<Result<(), _>>()?;
    }
    if !writes.is_empty() {
        batch.clone_into(&mut manifest.batch);
        (manifest.live_keys, manifest.digest) = (change.live_keys, change.digest);
        platform.kv_put(&name, serde_json::to_vec(&manifest).unwrap_or_default()).await?;
    }
    Ok(if completes { manifest.keys.totals() } else { (change.live_keys, change.digest) })
}

/// Keys that an earlier snapshot wrote and this one did not.
fn stale(manifest: &replication::Manifest, generation: u32) -> Vec<(String, u64)> {
    manifest
        .0
        .iter()
        .filter(|(_, (_, _, written))| *written != generation)
        .map(|(key, (_, digest, _))| (key.clone(), *digest))
        .collect()
}
