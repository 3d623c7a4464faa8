//! The table and the file of a suite.

use bodega_stack::workspace_root;
use serde_json::{Value, json};

use crate::Fault;

/// Results in the order in which they were measured.
pub(crate) struct Report {
    suite: &'static str,
    /// What was built how, and what the servers promise: a figure means nothing without it.
    setting: String,
    results: Vec<Value>,
}

/// Median and spread (largest − smallest) of the same measurement, repeated.
pub(crate) fn median(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let spread = sorted.last().unwrap_or(&0.0) - sorted.first().unwrap_or(&0.0);
    (sorted.get(sorted.len() / 2).copied().unwrap_or(0.0), spread)
}

impl Report {
    pub(crate) fn new(suite: &'static str, setting: String) -> Self {
        eprintln!("{suite}: {setting}");
        Self { suite, setting, results: Vec::new() }
    }

    /// Notes runs of one measurement; gives their median.
    pub(crate) fn add(&mut self, name: &str, unit: &str, runs: &[f64]) -> f64 {
        let (value, spread) = median(runs);
        eprintln!("  {name:<64} {value:>12.2} {unit} (spread {spread:.2})");
        self.results.push(json!({"name": name, "value": rounded(value), "unit": unit, "spread": rounded(spread)}));
        value
    }

    /// As [`Self::add`], beside a yardstick of the same run.
    pub(crate) fn add_beside(&mut self, name: &str, unit: &str, runs: &[f64], yardstick: (&str, f64)) {
        self.add(name, unit, runs);
        self.beside(yardstick);
    }

    /// Lays what was noted last beside one more yardstick of the same run.
    pub(crate) fn beside(&mut self, (against, yardstick): (&str, f64)) {
        let Some(Value::Object(result)) = self.results.last_mut() else { return };
        let value = result.get("value").and_then(Value::as_f64).unwrap_or(0.0);
        let ratio = if yardstick > 0.0 { value / yardstick } else { 0.0 };
        eprintln!("  {:<64} {ratio:>12.2} × {against}", "");
        if let Some(Value::Object(ratios)) = result.get_mut("ratios") {
            ratios.insert(against.to_owned(), rounded(ratio).into());
        } else {
            result.insert("ratios".to_owned(), json!({ against: rounded(ratio) }));
        }
    }

    /// Writes `target/bench/<suite>.json`.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        let machine = format!("{processors} processors, {}; {}", std::env::consts::ARCH, self.setting);
        let folder = workspace_root().join("target/bench");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{}.json", self.suite));
        let whole = json!({"suite": self.suite, "machine": machine, "results": self.results});
        std::fs::write(&file, format!("{whole:#}\n"))?;
        println!("{}", file.display());
        Ok(())
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
