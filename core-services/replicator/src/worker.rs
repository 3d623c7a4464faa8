//! Feeds one edge.

use std::{sync::Arc, time::Duration};

use bodega_domain::{
    Timestamp,
    message::catalog::{Digests, DigestsAnswer, Views, ViewsPage},
    replication::{BatchHeader, BatchKind, EdgePosition, seal},
};
use bodega_platform::{
    CallError,
    config::Edge,
    sqlx::{self, Connection as _, PgConnection},
    telemetry::metrics,
};

use crate::{
    State,
    edge::{self, EdgeError, Taken},
    feed,
    limits::{
        BACKOFF_MAX_MS, BACKOFF_MIN_MS, BATCH_ENTRIES_MAX, BATCH_VALID_MIN, COMPARE_EVERY_S, EDGE_LOOK_EVERY_S,
        ERROR_CHARS_MAX, LOOK_EVERY_MS, STANDBY_MS,
    },
    plan::{self, Log, Next, Part, Snapshot},
    store::{self, Confirmed},
};

/// Why a round did not come to its end.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("{0}")]
    Edge(#[from] EdgeError),
    #[error("the catalogue: {0}")]
    Catalog(#[from] CallError),
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("a batch could not be sealed")]
    Seal,
    #[error("another batch is being written there")]
    Busy,
    #[error("it waits for another batch than it did a moment ago")]
    Moved,
}

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// A batch arrived; there may be more.
    Fed,
    /// The edge has everything.
    UpToDate,
}

/// One edge, while this process leads it.
struct Worker {
    state: Arc<State>,
    edge: Edge,
    /// Holds the lock.
    connection: PgConnection,
    snapshot: Option<Snapshot>,
    /// Sent and not confirmed.
    pending: Option<Vec<u8>>,
    /// Where the edge is; `None` when it has to be asked.
    position: Option<EdgePosition>,
    asked_at: Timestamp,
    compared_at: Timestamp,
    repair: Repair,
    /// Something that operators should know although the edge is fed.
    problem: Option<String>,
    head: i64,
}

/// Runs until the stop or until the lock is lost, and is then begun anew.
pub(crate) async fn run(state: Arc<State>, edge: Edge) {
    let tasks = state.context.tasks().clone();
    let mut worker = match begin(&state, &edge).await {
        Ok(Some(worker)) => worker,
        Ok(None) => {
            tasks.pause(Duration::from_millis(STANDBY_MS)).await;
            return;
        }
        Err(error) => {
            tracing::warn!(edge = edge.id, %error, "the edge cannot be fed");
            return;
        }
    };
    let stopping = tasks.stopping();
    tokio::select! {
        () = stopping.cancelled() => {}
        () = worker.feed() => {}
    }
    // Ends the lock too; a connection that is broken has lost it already.
    let _ = worker.connection.close().await;
}

async fn begin(state: &Arc<State>, edge: &Edge) -> Result<Option<Worker>, sqlx::Error> {
    let mut connection = state.context.postgres().pool().acquire().await?.detach();
    if !store::lead(&mut connection, &edge.id).await? {
        connection.close().await?;
        return Ok(None);
    }
    let (snapshot, pending) = store::load(&mut connection, &edge.id).await?;
    let now = state.context.clock().now();
    Ok(Some(Worker {
        state: state.clone(),
        edge: edge.clone(),
        connection,
        snapshot,
        pending,
        position: None,
        asked_at: now,
        // At the first rest, and then every minute.
        compared_at: Timestamp::default(),
        repair: Repair::default(),
        problem: None,
        head: 0,
    }))
}

impl Worker {
    /// Round after round; ends when the database does not go along, because the lock may be lost then.
    async fn feed(&mut self) {
        let mut told = self.state.told.subscribe();
        let mut failures = 0_u32;
        loop {
            match self.round().await {
                Ok(Round::Fed) => failures = 0,
                Ok(Round::UpToDate) => {
                    failures = 0;
                    let look = tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS));
                    tokio::select! {
                        _ = told.changed() => {}
                        () = look => {}
                    }
                }
                Err(RoundError::Database(error)) => {
                    tracing::warn!(edge = self.edge.id, %error, "feeding was interrupted");
                    return;
                }
                Err(error) => {
                    failures += 1;
                    if self.note_failure(&error, failures).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(backoff(failures)).await;
                }
            }
        }
    }

    async fn note_failure(&mut self, error: &RoundError, failures: u32) -> Result<(), sqlx::Error> {
        self.position = None;
        // Twice is not a hiccup; and the log is not filled with the rest.
        if failures == 2 {
            tracing::warn!(edge = self.edge.id, url = self.edge.url, %error, "the edge cannot be fed");
        }
        metrics::counter("bodega_edge_failures_total", &[("edge", &self.edge.id)]).add(1);
        if let RoundError::Edge(error) = error {
            let text: String = error.to_string().chars().take(ERROR_CHARS_MAX).collect();
            store::note_unreachable(&mut self.connection, &self.edge.id, self.head, &text).await?;
        }
        Ok(())
    }

    async fn round(&mut self) -> Result<Round, RoundError> {
        let now = self.state.context.clock().now();
        let stale = now.ms_since(self.asked_at) >= EDGE_LOOK_EVERY_S * 1_000;
        let position = match self.position.take() {
            Some(position) if !stale => position,
            _ => {
                self.asked_at = now;
                edge::position(&self.state.http, &self.edge.url).await?
            }
        };
        if let Some(pending) = self.pending.take()
            && let Some(round) = self.repeat(&position, pending, now).await?
        {
            return Ok(round);
        }
        let (page, next) = self.look(&position).await?;
        self.head = page.head;
        feed::note(&self.state, page.head);
        let (snapshot, part) = self.part(&position, page, &next);
        let Some(part) = part else { return self.rest(position, now).await };
        self.send(position, snapshot, part, now).await
    }

    /// A batch that was sent before and may have been written: either it was, or the same bytes go again.
    async fn repeat(
        &mut self,
        position: &EdgePosition,
        pending: Vec<u8>,
        now: Timestamp,
    ) -> Result<Option<Round>, RoundError> {
        let Some((header, hash)) = edge::header_of(&pending) else { return Ok(None) };
        if position.last == hash {
            self.confirm(position.clone(), &header, now).await?;
            return Ok(Some(Round::Fed));
        }
        if !plan::awaits(position, &header) || now >= header.expires {
            return Ok(None);
        }
        self.give(pending, &header).await.map(Some)
    }

    /// What the catalogue has for an edge at this position, and what that means.
    async fn look(&self, position: &EdgePosition) -> Result<(ViewsPage, Next), CallError> {
        // Deletions before the end of a snapshot mean nothing to whoever begins with it.
        let snapshot = self.snapshot.as_ref();
        let live_only = snapshot.is_some_and(|snapshot| !snapshot.complete && position.position < snapshot.head);
        let page = self.views(position.position, live_only).await?;
        let next = plan::next(position, snapshot, Log { epoch: &page.epoch, head: page.head, horizon: page.horizon });
        if next == Next::Begin {
            return Ok((self.views(0, true).await?, next));
        }
        Ok((page, next))
    }

    async fn views(&self, after: i64, live_only: bool) -> Result<ViewsPage, CallError> {
        let ask = Views { after, limit: BATCH_ENTRIES_MAX, live_only };
        let context = &self.state.context;
        context.bus().request(&ask, &context.request_context()).await
    }

    fn part(&self, position: &EdgePosition, page: ViewsPage, next: &Next) -> (Snapshot, Option<Part>) {
        match (next, &self.snapshot) {
            (Next::Continue { head }, Some(snapshot)) => {
                (snapshot.clone(), Some(plan::snapshot_part(position.position, *head, page.entries)))
            }
            (Next::Follow, Some(snapshot)) => (snapshot.clone(), plan::delta_part(position.position, page.entries)),
            _ => {
                let generation = position.generation.saturating_add(1);
                let snapshot = Snapshot { epoch: page.epoch, generation, head: page.head, complete: false };
                let part = plan::snapshot_part(0, page.head, page.entries);
                (snapshot, Some(part))
            }
        }
    }

    async fn send(
        &mut self,
        position: EdgePosition,
        snapshot: Snapshot,
        part: Part,
        now: Timestamp,
    ) -> Result<Round, RoundError> {
        let header = BatchHeader {
            edge: self.edge.id.clone(),
            epoch: snapshot.epoch.clone(),
            kind: part.kind,
            from: part.from,
            to: part.to,
            previous: position.last,
            complete: part.complete,
            expires: now.plus_min(BATCH_VALID_MIN),
            body_hash: String::new(),
        };
        let key = self.state.signing.as_ref().ok_or(RoundError::Seal)?;
        let batch = seal(header.clone(), &part.entries, key).ok_or(RoundError::Seal)?;
        // Noted first: whatever happens from here on, the same bytes can be sent again.
        store::note_sending(&mut self.connection, &self.edge.id, &snapshot, &batch).await?;
        self.snapshot = Some(snapshot);
        self.give(batch, &header).await
    }

    async fn give(&mut self, batch: Vec<u8>, header: &BatchHeader) -> Result<Round, RoundError> {
        self.pending = Some(batch.clone());
        let now = self.state.context.clock().now();
        match edge::give(&self.state.http, &self.edge.url, batch).await? {
            Taken::Yes(position) => {
                self.asked_at = now;
                self.confirm(position, header, now).await?;
                Ok(Round::Fed)
            }
            Taken::No(position) if plan::awaits(&position, header) => Err(RoundError::Busy),
            // Somebody else moved it, or it lost its store: the next round looks where it is.
            Taken::No(_) => Err(RoundError::Moved),
        }
    }

    async fn confirm(
        &mut self,
        position: EdgePosition,
        header: &BatchHeader,
        now: Timestamp,
    ) -> Result<(), RoundError> {
        self.pending = None;
        let mut complete = false;
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.complete = snapshot.complete || header.complete;
            complete = snapshot.complete;
        }
        let told = *self.state.told.borrow();
        let measured = header.kind == BatchKind::Delta && header.to >= told.head && told.head > header.from;
        let lag_ms = measured.then(|| self.state.context.clock().now().ms_since(told.at).max(0));
        if header.complete {
            tracing::info!(edge = self.edge.id, position = position.position, "the edge has a snapshot");
        }
        let edge = [("edge", self.edge.id.as_str())];
        if let Some(lag) = lag_ms.and_then(|ms| u64::try_from(ms).ok()) {
            metrics::histogram("bodega_edge_lag_seconds", &edge).observe(Duration::from_millis(lag));
        }
        metrics::gauge("bodega_edge_behind", &edge).set(self.head.max(header.to) - position.position);
        let at = Confirmed { position: position.position, head: self.head.max(header.to), complete, at: now, lag_ms };
        store::note_confirmed(&mut self.connection, &self.edge.id, at, self.problem.as_deref()).await?;
        self.position = Some(position);
        Ok(())
    }

    /// The edge has everything: notes it now and then, and compares digests.
    async fn rest(&mut self, position: EdgePosition, now: Timestamp) -> Result<Round, RoundError> {
        if self.asked_at == now {
            let problem = self.problem.as_deref();
            let (at, head) = (position.position, self.head);
            let confirmed = Confirmed { position: at, head, complete: true, at: now, lag_ms: None };
            store::note_confirmed(&mut self.connection, &self.edge.id, confirmed, problem).await?;
        }
        if now.ms_since(self.compared_at) >= COMPARE_EVERY_S * 1_000 {
            let context = &self.state.context;
            let digests = context.bus().request(&Digests {}, &context.request_context()).await?;
            self.compare(&position, &digests, now);
        }
        self.position = Some(position);
        Ok(Round::UpToDate)
    }

    /// Digests of one position must be equal.
    fn compare(&mut self, position: &EdgePosition, digests: &DigestsAnswer, now: Timestamp) {
        if digests.epoch != position.epoch || digests.position != position.position {
            // The log went on; the next look will find them together.
            return;
        }
        self.compared_at = now;
        let equal = totals(digests) == Some((position.live_keys, position.digest));
        self.problem = (!equal).then(|| "its digest differs from the catalogue's".to_owned());
        if self.repair.is_due(equal, position.generation) {
            tracing::warn!(edge = self.edge.id, "digests differ; the edge gets a snapshot");
            self.snapshot = None;
        }
    }
}

/// The generation of the snapshot that was begun because digests differed.
#[derive(Default)]
struct Repair(Option<u32>);

impl Repair {
    /// Whether an edge gets a snapshot: when its digest differs, and not again while the one for that reason did not help.
    fn is_due(&mut self, equal: bool, generation: u32) -> bool {
        if equal {
            self.0 = None;
            return false;
        }
        let due = self.0 != Some(generation);
        if due {
            self.0 = Some(generation.saturating_add(1));
        }
        due
    }
}

/// Live keys and digest over all kinds, as an edge counts them.
fn totals(digests: &DigestsAnswer) -> Option<(i64, u64)> {
    digests.kinds.values().try_fold((0_i64, 0_u64), |(keys, sum), (live, digest)| {
        Some((keys + live, sum.wrapping_add(u64::from_str_radix(digest, 16).ok()?)))
    })
}

fn backoff(failures: u32) -> Duration {
    let doubled = BACKOFF_MIN_MS.saturating_mul(1 << failures.saturating_sub(1).min(16));
    Duration::from_millis(doubled.min(BACKOFF_MAX_MS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_edge_that_fails_is_asked_less_and_less_often() {
        let waits: Vec<u128> = [1, 2, 3, 10, u32::MAX].map(|n| backoff(n).as_millis()).to_vec();
        assert_eq!(waits, [100, 200, 400, 3_000, 3_000]);
    }

    #[test]
    fn digests_that_differ_are_worth_a_snapshot_and_no_second_one_unless_the_first_helped() {
        let mut repair = Repair::default();
        assert!(!repair.is_due(true, 1));
        assert!(repair.is_due(false, 1));
        assert!(!repair.is_due(false, 2), "the snapshot did not help");
        assert!(!repair.is_due(true, 2));
        assert!(repair.is_due(false, 2), "equal in between: another reason");
    }

    #[test]
    fn totals_wrap_as_an_edges_do() {
        let kinds = BTreeMap::from([
            ("a".to_owned(), (2, format!("{:016x}", u64::MAX))),
            ("b".to_owned(), (3, format!("{:016x}", 3))),
        ]);
        let digests = DigestsAnswer { position: 1, epoch: "one".into(), kinds };
        assert_eq!(totals(&digests), Some((5, 2)));
    }
}
