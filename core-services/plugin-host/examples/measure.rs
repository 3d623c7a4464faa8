//! Measures what plugins cost: `cargo run --release -p bodega-plugin-host --example measure`.
//!
//! Prints a table and writes `target/bench/plugins.json`. Start-up and loading are medians of 11, calls of 201.

use bodega_plugin_build::{Kind, build, workspace};
use bodega_plugin_host::{
    client::{Options, Pool},
    protocol::{Batch, Call, Cart, Component, Line},
};
use std::{
    error::Error,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

const PLUGINS: [(&str, &str); 3] = [
    ("buy-x-get-y", r#"{"buy": 2, "get": 1}"#),
    ("tiered-discount", r#"{"together": true, "tiers": [{"pieces": 3, "percentage_bp": 500}]}"#),
    (
        "bundle-discount",
        r#"{"label": "Set", "parts": [{"of": {"categories": ["coffee"]}}, {"of": {"tags": ["roll"]}}], "off": {"percentage_bp": 1500}}"#,
    ),
];

struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    spread: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let built = build(&workspace(), &[Kind::Example])?;
    let component = |name: &str| -> Result<Component, Box<dyn Error>> {
        let plugin = built.iter().find(|plugin| plugin.name == name).ok_or("no such plugin")?;
        Ok(Component::new(fs::read(&plugin.path)?))
    };
    let program =
        PathBuf::from(std::env::current_exe()?.ancestors().nth(2).ok_or("no folder")?).join("bodega-plugin-host");
    let folder = std::env::temp_dir().join(format!("bodega-measure-{}", std::process::id()));
    let options = Options { processes: 1, cache: Some(folder.clone()), ..Options::new(program) };
    let mut figures = Vec::new();

    for (name, _) in PLUGINS {
        let component = component(name)?;
        let size = u32::try_from(component.bytes().len())?;
        figures.push(Figure { name: format!("{name}: component"), value: size.into(), unit: "bytes", spread: 0.0 });
    }
    let first = component(PLUGINS[0].0)?;
    let mut compiling = Vec::new();
    for _ in 0..11 {
        let _ = fs::remove_dir_all(&folder);
        let begun = Instant::now();
        Pool::new(options.clone()).admit(&first, &Batch::default()).await?;
        compiling.push(begun.elapsed());
    }
    figures.push(figure("new process, compile, describe", compiling, 1e3, "ms"));
    let mut cached = Vec::new();
    for _ in 0..11 {
        let begun = Instant::now();
        Pool::new(options.clone()).admit(&first, &Batch::default()).await?;
        cached.push(begun.elapsed());
    }
    figures.push(figure("new process, from the cache, describe", cached, 1e3, "ms"));

    let pool = Pool::new(options);
    for (name, configuration) in PLUGINS {
        let plugin = pool.register(component(name)?);
        for lines in [1, 10, 200] {
            let call = Call { plugin, cart: 0, configuration: configuration.into(), fuel: None };
            for calls in [1, 16] {
                let batch = Batch { carts: vec![cart(lines)], calls: vec![call.clone(); calls] };
                let mut times = Vec::new();
                let mut fuel = 0;
                for _ in 0..201 {
                    let begun = Instant::now();
                    fuel = pool.run(&batch).await?[0].fuel;
                    times.push(begun.elapsed() / u32::try_from(calls)?);
                }
                let name = format!("{name}: {lines} lines, {calls} at once, fuel {fuel}");
                figures.push(figure(&name, times, 1e6, "µs/call"));
            }
        }
    }
    let _ = fs::remove_dir_all(&folder);
    report(&figures)
}

/// The median, and half of the distance between the quartiles.
fn figure(name: &str, mut times: Vec<Duration>, scale: f64, unit: &'static str) -> Figure {
    times.sort();
    let at = |quarter: usize| times[(times.len() - 1) * quarter / 4].as_secs_f64();
    #[allow(clippy::float_arithmetic, reason = "measured time, not money")]
    let (value, spread) = (at(2) * scale, (at(3) - at(1)) * scale / 2.0);
    Figure { name: name.into(), value, unit, spread }
}

fn report(figures: &[Figure]) -> Result<(), Box<dyn Error>> {
    for Figure { name, value, unit, spread } in figures {
        println!("{name:<60} {value:>10.1} ± {spread:<7.1} {unit}");
    }
    let results: Vec<_> = figures
        .iter()
        .map(|Figure { name, value, unit, spread }| {
            serde_json::json!({"name": name, "value": value, "unit": unit, "spread": spread})
        })
        .collect();
    let processors = std::thread::available_parallelism()?;
    let machine = format!("{} processors, {}", processors, std::env::consts::ARCH);
    let folder = workspace().join("target/bench");
    fs::create_dir_all(&folder)?;
    let report = serde_json::json!({"suite": "plugins", "machine": machine, "results": results});
    fs::write(folder.join("plugins.json"), serde_json::to_vec_pretty(&report)?)?;
    Ok(())
}

fn cart(lines: u32) -> Cart {
    let lines: Vec<Line> = (0..lines)
        .map(|index| Line {
            index,
            sku: format!("sku-{index:04}"),
            product: format!("product-{index:04}"),
            merchant: "corner-goods".into(),
            categories: vec!["coffee".into(), "drinks".into()],
            tags: vec![if index % 2 == 0 { "roll".into() } else { "organic".into() }],
            attributes: vec![("origin".into(), "Colombia".into()), ("weight".into(), "250 g".into())],
            quantity: 3,
            unit_price: 990 + i64::from(index),
            total: 3 * (990 + i64::from(index)),
        })
        .collect();
    Cart {
        currency: "EUR".into(),
        minor_digits: 2,
        market: "eu".into(),
        subtotal: lines.iter().map(|line| line.total).sum(),
        lines,
        codes: vec![],
        customer_group: None,
        issued_at: Some(1_795_000_000),
    }
}
