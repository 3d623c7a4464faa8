//! Counters, gauges and histograms of atomics, rendered in Prometheus' text format.
//!
//! ```
//! use bodega_platform::telemetry::metrics;
//! metrics::counter("bodega_orders_total", &[("outcome", "placed")]).add(1);
//! metrics::histogram("bodega_place_seconds", &[]).observe(std::time::Duration::from_millis(12));
//! ```

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, LazyLock, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Series in one process: labels come from closed sets, so reaching it means that somebody used an id as a label.
const SERIES_MAX: usize = 10_000;

/// Upper bounds of a histogram's buckets in microseconds: from a cached read to a request that gave up.
const BUCKETS_US: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
];

/// Only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds so many.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The sum so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// Raises it (lowers it when negative).
    pub fn add(&self, by: i64) {
        self.0.fetch_add(by, Relaxed);
    }

    /// What it is now.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// How long things took.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS_US.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
}

impl Histogram {
    /// Notes one duration.
    pub fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = BUCKETS_US.iter().position(|bound| us <= *bound) {
            self.buckets[bucket].fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// How many were noted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }
}

#[derive(Clone)]
enum Series {
    Counter(Arc<Counter>),
    Gauge(Arc<Gauge>),
    Histogram(Arc<Histogram>),
}

/// Name, then rendered labels: sorted, so that a family's series stand together.
type Registry = BTreeMap<(&'static str, String), Series>;

static REGISTRY: LazyLock<RwLock<Registry>> = LazyLock::new(RwLock::default);

/// The counter of this name and these labels. By convention the name ends in `_total`.
#[must_use]
pub fn counter(name: &'static str, labels: &[(&str, &str)]) -> Arc<Counter> {
    match series(name, labels, || Series::Counter(Arc::default())) {
        Series::Counter(counter) => counter,
        _ => Arc::default(),
    }
}

/// The gauge of this name and these labels.
#[must_use]
pub fn gauge(name: &'static str, labels: &[(&str, &str)]) -> Arc<Gauge> {
    match series(name, labels, || Series::Gauge(Arc::default())) {
        Series::Gauge(gauge) => gauge,
        _ => Arc::default(),
    }
}

/// The histogram of this name and these labels. By convention the name ends in `_seconds`.
#[must_use]
pub fn histogram(name: &'static str, labels: &[(&str, &str)]) -> Arc<Histogram> {
    match series(name, labels, || Series::Histogram(Arc::default())) {
        Series::Histogram(histogram) => histogram,
        _ => Arc::default(),
    }
}

fn series(name: &'static str, labels: &[(&str, &str)], make: impl FnOnce() -> Series) -> Series {
    let key = (name, render_labels(labels));
    // A thread that panicked while it held the lock left a map that is still whole.
    if let Some(found) = REGISTRY.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(&key) {
        return found.clone();
    }
    let mut registry = REGISTRY.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    if registry.len() >= SERIES_MAX && !registry.contains_key(&key) {
        return make();
    }
    registry.entry(key).or_insert_with(make).clone()
}

fn render_labels(labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        let separator = if text.is_empty() { "" } else { "," };
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{separator}{name}=\"{value}\"");
    }
    text
}

/// Everything, in Prometheus' text format (version 0.0.4).
#[must_use]
pub fn render() -> String {
    let registry = REGISTRY.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let mut out = String::new();
    let mut family = "";
    for ((name, labels), series) in &registry {
        if *name != family {
            family = name;
            let kind = match series {
                Series::Counter(_) => "counter",
                Series::Gauge(_) => "gauge",
                Series::Histogram(_) => "histogram",
            };
            let _ = writeln!(out, "# TYPE {name} {kind}");
        }
        let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        match series {
            Series::Counter(counter) => drop(writeln!(out, "{name}{braced} {}", counter.value())),
            Series::Gauge(gauge) => drop(writeln!(out, "{name}{braced} {}", gauge.value())),
            Series::Histogram(histogram) => render_histogram(&mut out, name, labels, &braced, histogram),
        }
    }
    out
}

fn render_histogram(out: &mut String, name: &str, labels: &str, braced: &str, histogram: &Histogram) {
    let comma = if labels.is_empty() { "" } else { "," };
    let mut below = 0;
    for (bound, bucket) in BUCKETS_US.iter().zip(&histogram.buckets) {
        below += bucket.load(Relaxed);
        let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{}\"}} {below}", seconds(*bound));
    }
    let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", histogram.count());
    let _ = writeln!(out, "{name}_sum{braced} {}", seconds(histogram.sum_us.load(Relaxed)));
    let _ = writeln!(out, "{name}_count{braced} {}", histogram.count());
}

/// Microseconds written as seconds, without going through floats.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_renders_cumulative_buckets_and_its_sum() {
        let histogram = histogram("test_render_seconds", &[("subject", "a\"b")]);
        histogram.observe(Duration::from_micros(300));
        histogram.observe(Duration::from_millis(30));
        histogram.observe(Duration::from_secs(60));
        let text = render();
        assert!(text.contains("# TYPE test_render_seconds histogram\n"), "{text}");
        assert!(text.contains("test_render_seconds_bucket{subject=\"a\\\"b\",le=\"0.000250\"} 0\n"), "{text}");
        assert!(text.contains("test_render_seconds_bucket{subject=\"a\\\"b\",le=\"0.050000\"} 2\n"), "{text}");
        assert!(text.contains("test_render_seconds_bucket{subject=\"a\\\"b\",le=\"+Inf\"} 3\n"), "{text}");
        assert!(text.contains("test_render_seconds_sum{subject=\"a\\\"b\"} 60.030300\n"), "{text}");
    }

    #[test]
    fn the_same_name_and_labels_are_the_same_series() {
        counter("test_same_total", &[("a", "1")]).add(2);
        counter("test_same_total", &[("a", "1")]).add(3);
        assert_eq!(counter("test_same_total", &[("a", "1")]).value(), 5);
        assert_eq!(counter("test_same_total", &[("a", "2")]).value(), 0);
    }
}
