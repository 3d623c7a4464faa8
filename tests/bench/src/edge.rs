//! Pages of the embedded edge, beside a component in the same host that only says hello.

use std::time::Duration;

use bodega_stack::{Launch, Signal, free_port, http_status};
use serde_json::Value;

use crate::{
    Fault, http,
    opened::{Opened, Profile, edge_host, target_folder},
    report::Report,
};

const CONNECTIONS: usize = 32;
const RUN_TIME: Duration = Duration::from_secs(4);
const RUNS: usize = 3;
const READY_WITHIN: Duration = Duration::from_secs(60);

pub(crate) async fn measure(core: Profile) -> Result<Report, Fault> {
    let opened = Opened::start(1, core).await?;
    let port = opened.ports.edge;
    let setting =
        format!("edge host built as Release, {CONNECTIONS} connections, load generator and core on the same machine");
    let mut report = Report::new("edge", setting);
    let component = Programs::storefront();
    report.add("storefront component", "bytes", &[std::fs::metadata(component)?.len() as f64]);
    let folder = opened.shop.folder().join("hello");
    let hello = free_port()?;
    let _process = tokio::task::spawn_blocking(move || start_hello(&folder, hello)).await??;
    let empty = loads(&mut report, "a component that only says hello", hello, "/").await?;
    let (_, list) = http::get(port, "/api/v1/products?limit=1").await?;
    let list: Value = serde_json::from_slice(&list)?;
    let slug = list["items"][0]["slug"].as_str().ok_or("a shop without products")?.to_owned();
    let category = list["items"][0]["category"].as_str().unwrap_or("bakery").to_owned();
    for (name, path) in [
        ("product page", format!("/p/{slug}")),
        ("product as JSON", format!("/api/v1/products/{slug}")),
        ("category page", format!("/c/{category}")),
        ("home page", "/".to_owned()),
    ] {
        let (status, body) = http::get(port, &path).await?;
        if status != 200 {
            report.add(&format!("{name}: not measured, answered"), "status", &[f64::from(status)]);
            continue;
        }
        report.add(&format!("{name}: body"), "bytes", &[body.len() as f64]);
        let runs = runs(port, &path).await?;
        let rates: Vec<f64> = runs.iter().map(|load| load.per_s).collect();
        report.add_beside(
            &format!("{name}: rate"),
            "requests/s",
            &rates,
            ("the component that only says hello", empty),
        );
        report.add(&format!("{name}: p99"), "ms", &runs.iter().map(|load| load.p99_ms).collect::<Vec<_>>());
    }
    Ok(report)
}

struct Programs;

impl Programs {
    fn storefront() -> std::path::PathBuf {
        bodega_stack::shop::Programs::built_in(&target_folder()).edge_component
    }
}

async fn runs(port: u16, path: &str) -> Result<Vec<http::Load>, Fault> {
    http::load(port, path, CONNECTIONS, RUN_TIME / 4).await?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(http::load(port, path, CONNECTIONS, RUN_TIME).await?);
    }
    Ok(runs)
}

async fn loads(report: &mut Report, name: &str, port: u16, path: &str) -> Result<f64, Fault> {
    let runs = runs(port, path).await?;
    report.add(&format!("{name}: p99"), "ms", &runs.iter().map(|load| load.p99_ms).collect::<Vec<_>>());
    Ok(report.add(&format!("{name}: rate"), "requests/s", &runs.iter().map(|load| load.per_s).collect::<Vec<_>>()))
}

/// The tests' probe: it answers `/` with a word.
fn start_hello(folder: &std::path::Path, port: u16) -> Result<bodega_stack::Child, Fault> {
    let component = target_folder().join("wasm32-wasip2/edge/bodega_edge_probe.wasm");
    let launch = Launch::new("hello", &edge_host(), &folder.join("hello.log"))
        .args(["--bind", &format!("127.0.0.1:{port}"), "--access-log", "off", "--data"])
        .arg(folder)
        .arg("--component")
        .arg(component)
        .signals(Signal::Terminate, Signal::Terminate);
    let mut child = launch.start()?;
    child.wait_until(READY_WITHIN, || http_status(port, "/") == Some(200))?;
    Ok(child)
}
