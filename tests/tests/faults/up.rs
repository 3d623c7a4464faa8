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
        let process = xtask(&["up", "--prebuilt", "--free-ports"], folder)
            .args(more)
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

    /// Sends a signal to it alone, and waits for its end.
    fn end(&mut self, signal: &str) -> Option<i32> {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        self.process.wait().expect("up has ended").code()
    }
}

/// `cargo xtask` as it was built, for the shop in this folder.
fn xtask(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(target_folder().join("debug/xtask"));
    command.args(arguments).arg("--state").arg(folder).current_dir(workspace_root());
    command
}

fn succeed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    told
}

/// A shop that nobody waits for is closed, whatever becomes of its test.
struct Detached<'a>(&'a Path);

impl Drop for Detached<'_> {
    fn drop(&mut self) {
        let _ = xtask(&["down"], self.0).stderr(Stdio::null()).status();
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
    let urls = ["gateway", "metrics", "simulator", "mail_catcher"].iter().filter_map(|name| of_url(&card[*name]));
    let edges = card["edges"].as_array().into_iter().flatten().filter_map(of_url);
    let servers = ["postgres", "nats", "redis", "smtp"].iter().filter_map(|name| card["ports"][*name].as_u64());
    urls.chain(edges).chain(servers.filter_map(|port| u16::try_from(port).ok())).collect()
}

fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Nobody listens, and no process has the shop's folder on its command line or works in it.
async fn all_gone(ports: &[u16], folder: &Path) {
    let gone = || async { (!ports.iter().any(|port| is_open(*port)) && processes_of(folder).is_empty()).then_some(()) };
    let waited = tokio::time::timeout(GONE_WITHIN, eventually_within(GONE_WITHIN * 2, "the end of all", gone)).await;
    assert!(waited.is_ok(), "still there: {:?}", processes_of(folder));
}

/// Processes that have to do with a folder. Those of other users are only known by their command lines; that is all
/// there is to know of servers whose user is not ours.
fn processes_of(folder: &Path) -> Vec<String> {
    let name = folder.to_string_lossy();
    let numbers = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let found = numbers.filter_map(|process| {
        process.file_name()?.to_str()?.parse::<u32>().ok()?;
        let line = std::fs::read(process.join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let works_there = std::fs::read_link(process.join("cwd")).is_ok_and(|there| there.starts_with(folder));
        (works_there || line.contains(&*name)).then(|| format!("{} {line}", process.display()))
    });
    found.collect()
}

#[tokio::test]
async fn killed_it_leaves_no_orphan_and_started_again_it_finds_its_data() {
    let _alone = alone().await;
    // Others on the ports that everybody knows. If they are taken already, all the better.
    let _others = [5432, 4222, 6379].map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    let folder = scratch("up");

    let mut first = Up::start(&folder, &[]);
    let card = first.open().await;
    let ports = listening(&card);
    assert!(ports.len() >= 9 && ports.iter().all(|port| is_open(*port)), "{card:#}");
    let account = serde_json::json!({"email": "kept@example.org", "password": "correct horse battery", "name": "Kept"});
    let registered = at_edge(&card, 0).post("/api/v1/register", &account).await;
    assert!(matches!(registered.status, 200 | 201), "{}", registered.text);
    assert!(
        cfg!(not(target_os = "linux")) || processes_of(&folder).len() > ports.len(),
        "they are found while they run"
    );
    first.kill();
    all_gone(&ports, &folder).await;

    let mut second = Up::start(&folder, &[]);
    let again = second.open().await;
    assert_eq!(again["logins"], card["logins"], "passwords stay what they were");
    let sign_in = serde_json::json!({"email": "kept@example.org", "password": "correct horse battery"});
    let signed_in = at_edge(&again, 0).post("/api/v1/session", &sign_in).await;
    assert!(matches!(signed_in.status, 200 | 201), "{}", signed_in.text);

    let ports = listening(&again);
    succeed(&mut xtask(&["down"], &folder));
    assert!(!ports.iter().any(|port| is_open(*port)), "down returns when everything has ended");
    assert_eq!(second.process.wait().expect("up has ended").code(), Some(0));
    drop(second);

    detached_and_fresh(&folder, &sign_in).await;
    std::fs::remove_dir_all(&folder).expect("the scratch folder is deleted");
}

const OF_THE_DEMO_SHOP: &str = "/api/v1/products/country-sourdough";

/// The third opening of the same folder: nothing of the first two is there.
async fn detached_and_fresh(folder: &Path, known_before: &Value) {
    let arguments = ["up", "--prebuilt", "--free-ports", "--detach", "--edges", "2", "--fresh", "--no-seed"];
    let detached = Detached(folder);
    let told = succeed(&mut xtask(&arguments, folder));
    assert!(told.contains("cargo xtask down"), "{told}");
    let card = std::fs::read_to_string(folder.join("up.json")).expect("a card");
    let card: Value = serde_json::from_str(&card).expect("a card");
    let ports = listening(&card);
    assert!(ports.iter().all(|port| is_open(*port)), "it stays open: {card:#}");
    at_edge(&card, 1).post("/api/v1/session", known_before).await.expect(401);
    at_edge(&card, 1).get(OF_THE_DEMO_SHOP).await.expect_problem(404, "product_not_found");

    let told = succeed(&mut xtask(&["seed"], folder));
    let admin = &card["logins"].as_array().expect("logins")[3];
    assert!(told.contains(admin["password"].as_str().expect("a password")), "{told}");
    let sign_in = serde_json::json!({"email": admin["email"], "password": admin["password"]});
    let gateway = Shopper::at(card["gateway"].as_str().expect("a gateway"));
    let session = gateway.post("/api/v1/session", &sign_in).await.expect(200);
    let bearer = format!("Bearer {}", session["token"].as_str().expect("a token"));
    let headers = [("authorization", bearer.as_str())];
    let promotions = gateway.send(reqwest::Method::GET, "/api/v1/promotions", &headers, None).await.expect(200);
    let plugins = promotions["items"].as_array().into_iter().flatten().filter(|it| it["kind"] == "plugin");
    assert_eq!(plugins.count(), 2, "the example plugins are in use: {promotions:#}");

    let there = at_edge(&card, 1);
    let seen = || async { (there.get(OF_THE_DEMO_SHOP).await.status == 200).then_some(()) };
    eventually_within(GONE_WITHIN, "the demo shop at both edges", seen).await;

    succeed(&mut xtask(&["down"], folder));
    all_gone(&ports, folder).await;
    drop(detached);
}

fn at_edge(card: &Value, number: usize) -> Shopper {
    Shopper::at(card["edges"][number].as_str().expect("an edge"))
}

#[tokio::test]
async fn killed_while_it_opens_it_opens_the_next_time() {
    let _alone = alone().await;
    let folder = scratch("up-early");
    let mut first = Up::start(&folder, &["--edges", "0"]);
    let log = folder.join("postgres/postgres.log");
    eventually_within(OPEN_WITHIN, "Postgres to be started", || async { log.exists().then_some(()) }).await;
    first.kill();

    let mut second = Up::start(&folder, &["--edges", "0"]);
    let ports = listening(&second.open().await);
    assert_eq!(second.end("-INT"), Some(0), "Ctrl-C is how a shop is closed");
    all_gone(&ports, &folder).await;
    std::fs::remove_dir_all(&folder).expect("the scratch folder is deleted");
}

#[tokio::test]
async fn interrupted_while_a_detached_shop_opens_it_closes_that() {
    let _alone = alone().await;
    let folder = scratch("up-unwanted");
    let _detached = Detached(&folder);
    let mut up = Up::start(&folder, &["--detach", "--edges", "0"]);
    let log = folder.join("postgres/postgres.log");
    eventually_within(OPEN_WITHIN, "Postgres to be started", || async { log.exists().then_some(()) }).await;
    assert_eq!(up.end("-INT"), Some(130));
    all_gone(&[], &folder).await;
    assert!(!folder.join("up.json").exists());
    std::fs::remove_dir_all(&folder).expect("the scratch folder is deleted");
}

#[tokio::test]
async fn a_second_up_and_a_taken_port_are_told_in_one_line() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let folder = scratch("up-taken");
    let arguments = ["up", "--prebuilt", "--free-ports", "--gateway-port", &port];
    let output = xtask(&arguments, &folder).output().expect("up runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(told.contains(&port) && told.contains("--gateway-port"), "{told}");
    assert_eq!(told.trim().lines().count(), 1, "{told}");
    std::fs::remove_dir_all(&folder).expect("the scratch folder is deleted");
}
