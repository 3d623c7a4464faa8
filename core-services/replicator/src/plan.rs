//! What an edge gets next: decided from where it says it is, what was noted about it, and where the log ends.

use bodega_domain::{
    catalog::ViewEntry,
    replication::{BatchHeader, BatchKind, EdgePosition},
};

/// The snapshot that an edge stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) epoch: String,
    /// The edge's count of snapshots with this one.
    pub(crate) generation: u32,
    /// Up to where it goes: deletions before need not be told, deletions after must be.
    pub(crate) head: i64,
    /// Whether the edge has all of it.
    pub(crate) complete: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A snapshot from the beginning.
    Begin,
    /// The rest of a snapshot.
    Continue {
        /// Up to where it goes.
        head: i64,
    },
    /// What changed since.
    Follow,
}

/// Where the log is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log<'a> {
    pub(crate) epoch: &'a str,
    pub(crate) head: i64,
    /// Deletions up to here are not told any more.
    pub(crate) horizon: i64,
}

/// Decides. A position counts only within the epoch and the snapshot that it was reached in.
pub(crate) fn next(edge: &EdgePosition, snapshot: Option<&Snapshot>, log: Log<'_>) -> Next {
    match snapshot {
        Some(snapshot)
            if snapshot.epoch == log.epoch
                && edge.epoch == log.epoch
                && edge.generation == snapshot.generation
                && edge.position <= log.head =>
        {
            // Deletions count from the end of the snapshot, and then from where the edge is.
            let told_from = if snapshot.complete { edge.position } else { snapshot.head };
            match (told_from < log.horizon, snapshot.complete && edge.ready) {
                (true, _) => Next::Begin,
                (false, true) => Next::Follow,
                (false, false) => Next::Continue { head: snapshot.head },
            }
        }
        _ => Next::Begin,
    }
}

/// A batch to be sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: BatchKind,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) complete: bool,
    pub(crate) entries: Vec<ViewEntry>,
}

/// The part of a snapshot up to `head` that begins after `from`, out of a page of the log without deletions.
pub(crate) fn snapshot_part(from: i64, head: i64, page: Vec<(i64, ViewEntry)>) -> Part {
    let ends = page.last().is_none_or(|(position, _)| *position >= head);
    let mut last = from;
    let mut entries = Vec::with_capacity(page.len());
    for (position, entry) in page {
        // What moved behind the end has changed since, and comes as a change.
        if position <= head {
            last = position;
            entries.push(entry);
        }
    }
    let to = if ends { head.max(from) } else { last };
    Part { kind: BatchKind::Snapshot, from, to, complete: ends, entries }
}

/// The changes after `from`; `None` when there are none.
pub(crate) fn delta_part(from: i64, page: Vec<(i64, ViewEntry)>) -> Option<Part> {
    let to = page.last()?.0;
    let entries = page.into_iter().map(|(_, entry)| entry).collect();
    Some(Part { kind: BatchKind::Delta, from, to, complete: false, entries })
}

/// Whether the edge still waits for exactly this batch.
pub(crate) fn awaits(edge: &EdgePosition, header: &BatchHeader) -> bool {
    let begins = header.kind == BatchKind::Snapshot && header.from == 0;
    header.previous == edge.last && (begins || (header.epoch == edge.epoch && header.from == edge.position))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Log<'static> = Log { epoch: "one", head: 10, horizon: 3 };

    fn edge(epoch: &str, position: i64, generation: u32, ready: bool) -> EdgePosition {
        EdgePosition { epoch: epoch.into(), position, generation, ready, ..EdgePosition::default() }
    }

    fn snapshot(complete: bool) -> Snapshot {
        Snapshot { epoch: "one".into(), generation: 1, head: 8, complete }
    }

    fn page(positions: &[i64]) -> Vec<(i64, ViewEntry)> {
        let entry = |at: &i64| ViewEntry { kind: "flag".into(), key: at.to_string(), version: 1, body: None };
        positions.iter().map(|at| (*at, entry(at))).collect()
    }

    #[test]
    fn an_edge_without_a_past_begins() {
        assert_eq!(next(&EdgePosition::default(), None, LOG), Next::Begin);
        assert_eq!(next(&edge("one", 5, 1, true), None, LOG), Next::Begin, "nobody knows how it got there");
        assert_eq!(next(&EdgePosition::default(), Some(&snapshot(true)), LOG), Next::Begin, "it lost its store");
    }

    #[test]
    fn a_snapshot_goes_on_where_it_was() {
        assert_eq!(next(&edge("one", 5, 1, false), Some(&snapshot(false)), LOG), Next::Continue { head: 8 });
        let again = edge("one", 5, 1, true);
        assert_eq!(
            next(&again, Some(&snapshot(false)), LOG),
            Next::Continue { head: 8 },
            "a second one, still serving"
        );
        assert_eq!(next(&edge("one", 5, 0, true), Some(&snapshot(false)), LOG), Next::Begin, "it did not begin yet");
    }

    #[test]
    fn a_complete_edge_follows_until_its_positions_mean_nothing() {
        assert_eq!(next(&edge("one", 9, 1, true), Some(&snapshot(true)), LOG), Next::Follow);
        assert_eq!(next(&edge("one", 11, 1, true), Some(&snapshot(true)), LOG), Next::Begin, "it is ahead of the log");
        let restored = Log { epoch: "two", ..LOG };
        assert_eq!(next(&edge("one", 9, 1, true), Some(&snapshot(true)), restored), Next::Begin);
    }

    #[test]
    fn an_edge_that_missed_forgotten_deletions_begins_again() {
        let later = Log { horizon: 8, ..LOG };
        assert_eq!(next(&edge("one", 7, 1, true), Some(&snapshot(true)), later), Next::Begin);
        assert_eq!(next(&edge("one", 8, 1, true), Some(&snapshot(true)), later), Next::Follow);
        assert_eq!(next(&edge("one", 2, 1, false), Some(&snapshot(false)), later), Next::Continue { head: 8 });
        let latest = Log { horizon: 9, ..LOG };
        assert_eq!(next(&edge("one", 2, 1, false), Some(&snapshot(false)), latest), Next::Begin);
    }

    #[test]
    fn a_snapshot_ends_at_its_head_whatever_changed_meanwhile() {
        let part = |from, head, positions: &[i64]| {
            let part = snapshot_part(from, head, page(positions));
            (part.entries.len(), part.to, part.complete)
        };
        assert_eq!(part(0, 8, &[1, 2, 5]), (3, 5, false));
        assert_eq!(part(0, 8, &[1, 2, 8]), (3, 8, true));
        assert_eq!(part(5, 8, &[6, 9, 10]), (1, 8, true), "9 and 10 come as changes");
        assert_eq!(part(5, 8, &[]), (0, 8, true));
        assert_eq!(part(0, 0, &[]), (0, 0, true), "an empty catalogue is a complete one");
    }

    #[test]
    fn changes_are_told_as_they_come() {
        assert_eq!(delta_part(5, page(&[])), None);
        let part = delta_part(5, page(&[6, 9])).unwrap();
        assert_eq!((part.from, part.to, part.entries.len()), (5, 9, 2));
    }
}
