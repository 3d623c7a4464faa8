//! Starts hosts, builds the probe, waits for conditions.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bodega_stack::{Child, Launch, Signal, workspace_root};
use serde_json::Value;

/// Long enough for an unoptimised host to compile the probe on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Patience for everything else.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the host runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    /// `tests/probe`: a route per capability.
    Probe,
    /// The storefront.
    Shop,
}

impl Component {
    /// Its file, built once for all tests of this process.
    fn file(self) -> &'static Path {
        static PROBE: OnceLock<PathBuf> = OnceLock::new();
        static SHOP: OnceLock<PathBuf> = OnceLock::new();
        let (built, package) = match self {
            Self::Probe => (&PROBE, "bodega-edge-probe"),
            Self::Shop => (&SHOP, "bodega-edge-spin"),
        };
        built.get_or_init(|| build(package))
    }
}

fn build(package: &str) -> PathBuf {
    // …/target/debug/bodega-edge-host: the component goes to the same target folder.
    let target = Path::new(env!("CARGO_BIN_EXE_bodega-edge-host")).ancestors().nth(2).expect("a target folder");
    let built = std::process::Command::new(env!("CARGO"))
        .args(["build", "--profile", "edge", "--target", "wasm32-wasip2", "-p", package, "--target-dir"])
        .arg(target)
        .current_dir(workspace_root())
        .status()
        .expect("cargo runs");
    assert!(built.success(), "{package} does not build");
    target.join(format!("wasm32-wasip2/edge/{}.wasm", package.replace('-', "_")))
}

/// What a component imports, as the host prints it.
pub(crate) fn imports(component: Component) -> Vec<String> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_bodega-edge-host"))
        .arg("--component")
        .arg(component.file())
        .arg("--imports")
        .output()
        .expect("the host runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

/// A host in a folder of its own.
pub(crate) struct Edge {
    pub(crate) client: reqwest::Client,
    child: Child,
    component: Component,
    folder: tempfile::TempDir,
    starts: u32,
    args: Vec<String>,
    address: String,
    internal: String,
}

impl Edge {
    /// Starts a host with further arguments and waits until it serves.
    pub(crate) async fn start(args: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a scratch folder"), Component::Probe, args).await
    }

    async fn start_in(folder: tempfile::TempDir, component: Component, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let child = launch(folder.path(), component, &args, 0);
        let mut edge = Self {
            client: reqwest::Client::new(),
            child,
            component,
            folder,
            starts: 0,
            args,
            address: String::new(),
            internal: String::new(),
        };
        edge.ready().await;
        edge
    }

    /// Starts a host of the probe with a configuration file.
    pub(crate) async fn configured(toml: &str) -> Self {
        Self::with(Component::Probe, toml).await
    }

    /// Starts a host of a component with a configuration file.
    pub(crate) async fn with(component: Component, toml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = folder.path().join("edge.toml");
        std::fs::write(&file, toml).expect("writes");
        let file = file.to_str().expect("a plain name").to_owned();
        Self::start_in(folder, component, &["--config", &file]).await
    }

    /// Starts it again, on its data.
    pub(crate) async fn restart(&mut self) {
        self.starts += 1;
        self.child = launch(self.folder.path(), self.component, &self.args, self.starts);
        self.ready().await;
    }

    async fn ready(&mut self) {
        let log = self.log_path();
        let until = Instant::now() + READY_WITHIN;
        let serving = loop {
            if let Some(line) = records(&log).into_iter().find(|line| line["message"] == "serving") {
                break line;
            }
            let ended = self.child.ended();
            assert!(ended.is_none() && Instant::now() < until, "not serving: {}", read(&log));
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        self.address = format!("http://{}", serving["address"].as_str().expect("an address"));
        self.internal = format!("http://{}", serving["internal_address"].as_str().expect("an address"));
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join(format!("host-{}.log", self.starts))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// `host:port` for shoppers.
    pub(crate) fn authority(&self) -> &str {
        self.address.trim_start_matches("http://")
    }

    /// GET: status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(self.url(path)).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    /// POST: status and body.
    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let answer = self.client.post(self.url(path)).body(body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    /// PUT: the status.
    pub(crate) async fn put(&self, path: &str, body: &'static str) -> u16 {
        self.client.put(self.url(path)).body(body).send().await.expect("an answer").status().as_u16()
    }

    /// A counter of `/metrics`.
    pub(crate) async fn counter(&self, name: &str) -> u64 {
        let text = self.client.get(format!("{}/metrics", self.internal)).send().await.expect("an answer");
        let text = text.text().await.expect("a body");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
    }

    /// Waits for a value of `/metrics`.
    pub(crate) async fn until_counter(&self, name: &str, value: u64) {
        eventually(name, async || (self.counter(name).await == value).then_some(())).await;
    }

    /// What the host has logged since its last start.
    pub(crate) fn log(&self) -> Vec<Value> {
        records(&self.log_path())
    }

    /// The access log's line for a path, as soon as it is written.
    pub(crate) async fn access_line(&self, path: &str) -> Value {
        let file = self.folder.path().join("access.log");
        eventually(path, async || records(&file).into_iter().rfind(|line| line["path"] == path)).await
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn terminate(&mut self) {
        self.child.signal(Signal::Terminate);
    }
}

fn launch(folder: &Path, component: Component, args: &[String], start: u32) -> Child {
    let program = Path::new(env!("CARGO_BIN_EXE_bodega-edge-host"));
    Launch::new("edge", program, &folder.join(format!("host-{start}.log")))
        .arg("--component")
        .arg(component.file())
        .arg("--data")
        .arg(folder.join("data"))
        .args(["--bind", "127.0.0.1:0", "--internal-bind", "127.0.0.1:0", "--access-log"])
        .arg(folder.join("access.log"))
        .args(args)
        .start()
        .expect("the host starts")
}

/// A further host on the data of another: its exit and its log.
pub(crate) fn second_on(edge: &Edge) -> (bool, String) {
    let log = edge.folder.path().join("second.log");
    let mut child = Launch::new("second", Path::new(env!("CARGO_BIN_EXE_bodega-edge-host")), &log)
        .arg("--component")
        .arg(Component::Probe.file())
        .arg("--data")
        .arg(edge.data())
        .args(["--bind", "127.0.0.1:0"])
        .start()
        .expect("the host starts");
    let status = child.wait(READY_WITHIN).expect("it ends");
    (status.success(), read(&log))
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

fn records(file: &Path) -> Vec<Value> {
    read(file).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Looks until there is something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
