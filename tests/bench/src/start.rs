//! How long an edge takes from being started to the first page it answers, and how large what it runs is.
//!
//! Both edges have their catalogue on disk already, as an edge has that comes back. The embedded edge is started without
//! its compiled artefact, beside the same start with it.

use std::time::Instant;

use bodega_stack::{http_status, shop::Programs};
use serde_json::Value;

use crate::{
    Fault, http,
    opened::{Opened, Profile, target_folder},
    report::Report,
};

const RUNS: usize = 5;

pub(crate) async fn measure(core: Profile) -> Result<Report, Fault> {
    let mut opened = Opened::start_with_workerd(core).await?;
    let setting = "edge host built as Release; from the start of the process to the first product page".to_owned();
    let mut report = Report::new("start", setting);
    let component = Programs::built_in(&target_folder()).edge_component;
    let worker = target_folder().join("cloudflare");
    report.add("embedded edge: component", "bytes", &[size(&component)?]);
    let (wasm, script) = (size(&worker.join("index_bg.wasm"))?, size(&worker.join("index.js"))?);
    report.add("Worker: WebAssembly", "bytes", &[wasm]);
    report.add("Worker: WebAssembly and script, as deployed but not compressed", "bytes", &[wasm + script]);
    let (_, list) = http::get(opened.ports.edge, "/api/v1/products?limit=1").await?;
    let list: Value = serde_json::from_slice(&list)?;
    let slug = list["items"][0]["slug"].as_str().ok_or("a shop without products")?.to_owned();
    let path = format!("/p/{slug}");
    let [compiled, kept, workerd] = tokio::task::block_in_place(|| starts(&mut opened, &path))?;
    let cold = "embedded edge, nothing kept: compiled first";
    let kept_name = "embedded edge, compiled artefact kept";
    let yardstick = report.add(kept_name, "ms", &kept);
    report.add_beside(cold, "ms", &compiled, (kept_name, yardstick));
    report.add("workerd under Miniflare, with node's own start", "ms", &workerd);
    Ok(report)
}

fn size(file: &std::path::Path) -> Result<f64, Fault> {
    Ok(std::fs::metadata(file)?.len() as f64)
}

/// Milliseconds of each start: compiled first, artefact kept, workerd.
fn starts(opened: &mut Opened, path: &str) -> Result<[Vec<f64>; 3], Fault> {
    let (edge, cloudflare) = (opened.ports.edge, opened.ports.cloudflare);
    let mut took = [Vec::new(), Vec::new(), Vec::new()];
    let page = |port: u16| if http_status(port, path) == Some(200) { Ok(()) } else { Err(Fault::from("no page")) };
    for _ in 0..RUNS {
        for keep in [false, true] {
            opened.shop.kill_edge(1);
            if !keep {
                forget_artefacts(&opened.shop.folder().join("edge-1"))?;
            }
            let begun = Instant::now();
            opened.shop.start_edge(1)?;
            page(edge)?;
            took[usize::from(keep)].push(begun.elapsed().as_secs_f64() * 1_000.0);
        }
        opened.shop.kill_workerd();
        let begun = Instant::now();
        opened.shop.start_workerd()?;
        page(cloudflare)?;
        took[2].push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(took)
}

/// Deletes every compiled artefact below a folder; it has to find one.
fn forget_artefacts(folder: &std::path::Path) -> Result<(), Fault> {
    let (mut folders, mut found) = (vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "artefact") {
                std::fs::remove_file(&path)?;
                found += 1;
            }
        }
    }
    if found == 0 { Err("no compiled artefact was kept".into()) } else { Ok(()) }
}
