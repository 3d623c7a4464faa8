//! `cargo xtask up` itself: killed in the middle, beside others, again.

use crate::alone;
use bodega_tests::black_box::{Shopper, target_folder};
use bodega_tests::{eventually_within, local_folder, workspace_root};
use serde_json::Value;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Nothing is built: what the suite built is started.
const OPEN_WITHIN: Duration = Duration::from_secs(180);
const GONE_WITHIN: Duration = Duration::from_secs(30);

struct Up {
    process: Child,
    folder: PathBuf,
}

impl Up {
    fn start(folder: &Path, more: &[&str]) -> Self {
        // A killed one leaves its card behind.
        let _ = std::fs::remove_file(folder.join("up.json"));
        let process = Command::new(target_folder().join("debug/xtask"))
            .args(["up", "--prebuilt", "--state"])
            .arg(folder)
            .args(more)
            .current_dir(workspace_root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("up.err")).expect("a file for its words"))
            .spawn()
            .expect("xtask is built before the tests that need it");
        Self { process, folder: folder.to_path_buf() }
    }

    /// What `up.json` says once the shop is open.
    async fn open(&mut self) -> Value {
        let (file, words) = (self.folder.join("up.json"), self.folder.join("up.err"));
        let process = &mut self.process;
        let text = eventually_within(OPEN_WITHIN, "the shop to be open", || {
            let ended = process.try_wait().ok().flatten();
            let said = || std::fs::read_to_string(&words).unwrap_or_default();
            assert!(ended.is_none(), "up ended: {ended:?}\n{}", said());
            let text = std::fs::read_to_string(&file).ok();
            async move { text }
        })
        .await;
        serde_json::from_str(&text).expect("a card")
    }

    fn kill(&mut self) {
        self.process.kill().expect("up is killed");
        self.process.wait().expect("up is gone");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn scratch(name: &str) -> PathBuf {
    let folder = local_folder().join("test").join(format!("run-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a scratch folder");
    folder
}

fn listening(card: &Value) -> Vec<u16> {
    let of_url = |url: &Value| url.as_str()?.rsplit(':').next()?.parse::<u16>().ok();
    let urls = ["gateway", "metrics", "simulator"].iter().filter_map(|name| of_url(&card[*name]));
    let edges = card["edges"].as_array().into_iter().flatten().filter_map(of_url);
    let servers = ["postgres", "nats", "redis"].iter().filter_map(|name| card["ports"][*name].as_u64());
    urls.chain(edges).chain(servers.filter_map(|port| u16::try_from(port).ok())).collect()
}

fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

async fn all_gone(ports: &[u16]) {
    eventually_within(GONE_WITHIN, "every process of the shop to be gone", || async {
        (!ports.iter().any(|port| is_open(*port))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn killed_it_leaves_no_orphan_and_started_again_it_finds_its_data() {
    let _alone = alone().await;
    // Others on the ports that everybody knows. If they are taken already, all the better.
    let _others = [5432, 4222, 6379].map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    let folder = scratch("up");

    let mut first = Up::start(&folder, &["--free-ports"]);
    let card = first.open().await;
    let ports = listening(&card);
    assert!(ports.len() >= 7 && ports.iter().all(|port| is_open(*port)), "{card:#}");
    let shopper = Shopper::at(card["edges"][0].as_str().expect("an edge"));
    let account = serde_json::json!({"email": "kept@example.org", "password": "correct horse battery", "name": "Kept"});
    let registered = shopper.post("/api/v1/register", &account).await;
    assert!(matches!(registered.status, 200 | 201), "{}", registered.text);
    first.kill();
    all_gone(&ports).await;

    let mut second = Up::start(&folder, &["--free-ports"]);
    let again = second.open().await;
    assert_eq!(again["logins"], card["logins"], "passwords stay what they were");
    let shopper = Shopper::at(again["edges"][0].as_str().expect("an edge"));
    let sign_in = serde_json::json!({"email": "kept@example.org", "password": "correct horse battery"});
    let signed_in = shopper.post("/api/v1/session", &sign_in).await;
    assert!(matches!(signed_in.status, 200 | 201), "{}", signed_in.text);

    let ports = listening(&again);
    let down = Command::new(target_folder().join("debug/xtask")).args(["down", "--state"]).arg(&folder).output();
    let down = down.expect("down runs");
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert!(!ports.iter().any(|port| is_open(*port)), "down returns when everything has ended");
    assert_eq!(second.process.wait().expect("up has ended").code(), Some(0));
    std::fs::remove_dir_all(&folder).expect("the scratch folder is deleted");
}

#[tokio::test]
async fn killed_while_it_opens_it_opens_the_next_time() {
    let _alone = alone().await;
    let folder = scratch("up-early");
    let mut first = Up::start(&folder, &["--free-ports", "--edges", "0"]);
    let log = folder.join("postgres/postgres.log");
    eventually_within(OPEN_WITHIN, "Postgres to be started", || async { log.exists().then_some(()) }).await;
    first.kill();

    let mut second = Up::start(&folder, &["--free-ports", "--edges", "0"]);
    let ports = listening(&second.open().await);
    second.kill();
    all_gone(&ports).await;
    std::fs::remove_dir_all(&folder).expect("the scratch folder is deleted");
}

#[tokio::test]
async fn a_second_up_and_a_taken_port_are_told_in_one_line() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let folder = scratch("up-taken");
    let output = Command::new(target_folder().join("debug/xtask"))
        .args(["up", "--prebuilt", "--free-ports", "--gateway-port", &port, "--state"])
        .arg(&folder)
        .output()
        .expect("up runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(told.contains(&port) && told.contains("--gateway-port"), "{told}");
    assert_eq!(told.trim().lines().count(), 1, "{told}");
    std::fs::remove_dir_all(&folder).expect("the scratch folder is deleted");
}
