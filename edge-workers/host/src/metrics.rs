//! What the host counts, in the text format of Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::guest::UsageSnapshot;

/// Upper bounds of the histogram of whole requests, microseconds.
const REQUEST_BOUNDS_US: [u64; 12] =
    [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 10_000_000];
/// Upper bounds of the histogram of key-value reads of a request.
const READ_BOUNDS: [u64; 10] = [0, 1, 2, 3, 4, 6, 8, 16, 64, 256];

/// Counters since the start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By hundreds: index 2 is 2xx.
    statuses: [AtomicU64; 6],
    requests: Histogram<13>,
    reads_per_request: Histogram<11>,
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
    swaps: AtomicU64,
    refused: AtomicU64,
    timeouts: AtomicU64,
    faults: AtomicU64,
    instance_faults: AtomicU64,
    instantiations: AtomicU64,
    instantiation_us: AtomicU64,
}

/// What is going on at one moment.
pub(crate) struct Now {
    pub(crate) instances: u32,
    pub(crate) running: u32,
    pub(crate) waiting: u32,
}

/// Cumulative counts are made when it is read; `N` is one more than the bounds.
#[derive(Debug)]
struct Histogram<const N: usize> {
    counts: [AtomicU64; N],
    sum: AtomicU64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }
}

impl<const N: usize> Histogram<N> {
    fn observe(&self, bounds: &[u64], value: u64) {
        let bucket = bounds.partition_point(|bound| *bound < value).min(N - 1);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// `per_unit`: how many of the counted units make one of the unit that is shown.
    fn write(&self, text: &mut String, name: &str, help: &str, bounds: &[u64], per_unit: u32) {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        let mut seen = 0;
        for (bound, count) in bounds.iter().zip(&self.counts) {
            seen += count.load(Relaxed);
            let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {seen}", decimal(*bound, per_unit));
        }
        seen += self.counts[N - 1].load(Relaxed);
        let sum = decimal(self.sum.load(Relaxed), per_unit);
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {seen}\n{name}_sum {sum}\n{name}_count {seen}");
    }
}

/// `count / per_unit` with six decimals at most, without floating point.
fn decimal(count: u64, per_unit: u32) -> String {
    let per_unit = u64::from(per_unit);
    if per_unit == 1 {
        return count.to_string();
    }
    let fraction = format!("{:06}", count % per_unit * 1_000_000 / per_unit);
    format!("{}.{}", count / per_unit, fraction.trim_end_matches('0')).trim_end_matches('.').to_owned()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Metrics {
    /// Counts a request that was answered, however.
    pub(crate) fn answered(&self, status: u16, took: Duration, usage: &UsageSnapshot) {
        self.statuses[usize::from(status / 100).min(5)].fetch_add(1, Relaxed);
        self.requests.observe(&REQUEST_BOUNDS_US, micros(took));
        self.reads_per_request.observe(&READ_BOUNDS, usage.reads);
        self.reads.fetch_add(usage.reads, Relaxed);
        self.read_bytes.fetch_add(usage.read_bytes, Relaxed);
        self.writes.fetch_add(usage.writes, Relaxed);
        self.written_bytes.fetch_add(usage.written_bytes, Relaxed);
        self.swaps.fetch_add(usage.swaps, Relaxed);
    }

    /// Counts a request refused because too many were waiting.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a request whose time was over.
    pub(crate) fn timed_out(&self) {
        self.timeouts.fetch_add(1, Relaxed);
    }

    /// Counts a request that the component failed on.
    pub(crate) fn faulted(&self) {
        self.faults.fetch_add(1, Relaxed);
    }

    /// Counts an instance that trapped, or was ended by its limits.
    pub(crate) fn instance_failed(&self) {
        self.instance_faults.fetch_add(1, Relaxed);
    }

    /// Counts a new instance and how long it took to make.
    pub(crate) fn instantiated(&self, took: Duration) {
        self.instantiations.fetch_add(1, Relaxed);
        self.instantiation_us.fetch_add(micros(took), Relaxed);
    }

    /// All counters, and what is going on now.
    pub(crate) fn text(&self, now: &Now) -> String {
        let mut text = String::with_capacity(4096);
        let name = "bodega_edge_requests_total";
        let _ = writeln!(text, "# HELP {name} Requests by class of status.\n# TYPE {name} counter");
        for (class, count) in self.statuses.iter().enumerate().skip(1) {
            let _ = writeln!(text, "{name}{{status=\"{class}xx\"}} {}", count.load(Relaxed));
        }
        self.requests.write(
            &mut text,
            "bodega_edge_request_seconds",
            "Whole requests, waiting included.",
            &REQUEST_BOUNDS_US,
            1_000_000,
        );
        self.reads_per_request.write(
            &mut text,
            "bodega_edge_kv_reads_per_request",
            "Key-value reads of a request.",
            &READ_BOUNDS,
            1,
        );
        for (name, help, count) in [
            ("kv_reads_total", "Key-value reads.", &self.reads),
            ("kv_read_bytes_total", "Bytes of values read.", &self.read_bytes),
            ("kv_writes_total", "Plain key-value writes and deletions.", &self.writes),
            ("kv_written_bytes_total", "Bytes of values written plainly.", &self.written_bytes),
            ("kv_swaps_total", "Attempts of compare-and-swap.", &self.swaps),
            ("requests_refused_total", "Requests refused because too many were waiting.", &self.refused),
            ("request_timeouts_total", "Requests whose time was over.", &self.timeouts),
            ("request_faults_total", "Requests that the component failed on.", &self.faults),
            ("instance_faults_total", "Instances that trapped or were ended by a limit.", &self.instance_faults),
            ("instantiations_total", "Instances made.", &self.instantiations),
            ("instantiation_microseconds_total", "Time spent making instances.", &self.instantiation_us),
        ] {
            let count = count.load(Relaxed);
            let _ = writeln!(text, "# HELP bodega_edge_{name} {help}\n# TYPE bodega_edge_{name} counter");
            let _ = writeln!(text, "bodega_edge_{name} {count}");
        }
        for (name, help, count) in [
            ("instances", "Instances that exist.", now.instances),
            ("requests_running", "Requests in the component.", now.running),
            ("requests_waiting", "Requests that wait for an instance.", now.waiting),
        ] {
            let _ = writeln!(text, "# HELP bodega_edge_{name} {help}\n# TYPE bodega_edge_{name} gauge");
            let _ = writeln!(text, "bodega_edge_{name} {count}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_cumulative_and_shows_its_own_unit() {
        let metrics = Metrics::default();
        metrics.answered(200, Duration::from_micros(700), &UsageSnapshot { reads: 3, ..UsageSnapshot::default() });
        metrics.answered(503, Duration::from_secs(60), &UsageSnapshot::default());
        let text = metrics.text(&Now { instances: 4, running: 1, waiting: 0 });
        for line in [
            "bodega_edge_requests_total{status=\"2xx\"} 1",
            "bodega_edge_requests_total{status=\"5xx\"} 1",
            "bodega_edge_request_seconds_bucket{le=\"0.0005\"} 0",
            "bodega_edge_request_seconds_bucket{le=\"0.001\"} 1",
            "bodega_edge_request_seconds_bucket{le=\"10\"} 1",
            "bodega_edge_request_seconds_bucket{le=\"+Inf\"} 2",
            "bodega_edge_request_seconds_sum 60.0007",
            "bodega_edge_kv_reads_per_request_bucket{le=\"2\"} 1",
            "bodega_edge_kv_reads_per_request_bucket{le=\"3\"} 2",
            "bodega_edge_kv_reads_total 3",
            "bodega_edge_instances 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
