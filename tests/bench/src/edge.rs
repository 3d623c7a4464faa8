//! Pages of the embedded edge, beside a component in the same host that only says hello.

use std::time::Duration;

use bodega_stack::{Launch, Signal, free_port, http_status, shop::Programs};
use serde_json::Value;

use crate::{
    Fault, http,
    opened::{Opened, Profile, edge_host, target_folder},
    report::Report,
};

const CONNECTIONS: usize = 32;
const WARM_UP: Duration = Duration::from_secs(1);
const RUN_TIME: Duration = Duration::from_secs(2);
const RUNS: usize = 5;
const HELLO: &str = "a component that only says hello";
const READY_WITHIN: Duration = Duration::from_secs(60);

pub(crate) async fn measure(core: Profile) -> Result<Report, Fault> {
    let opened = Opened::start(1, core).await?;
    let port = opened.ports.edge;
    let setting =
        format!("edge host built as Release, {CONNECTIONS} connections, load generator and core on the same machine");
    let mut report = Report::new("edge", setting);
    let storefront = Programs::built_in(&target_folder()).edge_component;
    report.add("storefront component", "bytes", &[std::fs::metadata(storefront)?.len() as f64]);
    let folder = opened.shop.folder().join("hello");
    let hello = free_port()?;
    let _process = tokio::task::spawn_blocking(move || start_hello(&folder, hello)).await??;
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
        // In turn, so that what else the machine does meets both alike.
        http::load(port, &path, CONNECTIONS, WARM_UP).await?;
        let (mut pages, mut hellos) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            hellos.push(http::load(hello, "/", CONNECTIONS, RUN_TIME).await?);
            pages.push(http::load(port, &path, CONNECTIONS, RUN_TIME).await?);
        }
        let rates = |loads: &[http::Load]| loads.iter().map(|load| load.per_s).collect::<Vec<_>>();
        let delays = |loads: &[http::Load]| loads.iter().map(|load| load.p99_ms).collect::<Vec<_>>();
        let against = format!("{HELLO}, in turn with the {name}: rate");
        let yardstick = report.add(&against, "requests/s", &rates(&hellos));
        report.add_beside(&format!("{name}: rate"), "requests/s", &rates(&pages), (&against, yardstick));
        report.add(&format!("{name}: p99"), "ms", &delays(&pages));
    }
    Ok(report)
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
