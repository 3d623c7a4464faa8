//! The executable as an operator uses it, against real servers.

#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use bodega_domain::{
    catalog::Band,
    message::{catalog, identity, inventory},
    token::Role,
};
use bodega_platform::{Bus, Clock, Config, Entropy, RequestContext, config::Keys};
use bodega_tests::{Servers, eventually_within, free_port};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

struct Shop {
    servers: Servers,
    file: PathBuf,
    metrics: u16,
}

impl Shop {
    async fn prepare() -> Self {
        let servers = Servers::start().await.unwrap();
        let admin = servers.database("shop").await.unwrap();
        let url = admin.replace("postgres:postgres@", "bodega_{service}:secret@");
        let (gateway, metrics) = (free_port().unwrap(), free_port().unwrap());
        let folder = servers.folder().display().to_string();
        let toml = format!(
            "[database]\nurl = \"{url}\"\nadmin_url = \"{admin}\"\n[nats]\nurl = \"{}\"\n[redis]\nurl = \"{}\"\n\
             [http]\ngateway = \"127.0.0.1:{gateway}\"\nmetrics = \"127.0.0.1:{metrics}\"\n\
             [media]\ndirectory = \"{folder}/media\"\n[pricing]\nartefacts = \"{folder}/artefacts\"\n\
             [payment.providers.simulator]\nadapter = \"stripe\"\nbase_url = \"http://127.0.0.1:1\"\napi_key = \"k\"\n\
             webhook_secrets = [\"whsec_x\"]\ntimeout_ms = 1000\n{}",
            servers.nats_url(),
            servers.redis_url(),
            Keys::generate(&Entropy).to_toml(),
        );
        let file = servers.folder().join("shop.toml");
        std::fs::write(&file, toml).unwrap();
        Self { servers, file, metrics }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bodega"));
        command.args(arguments).arg("--config").arg(&self.file).env_remove("BODEGA_CONFIG").current_dir("/");
        command.env("BODEGA_DEMO_PASSWORD", "correct-horse-battery").env_remove("BODEGA_DEMO_PLUGINS");
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// The same with a line on standard input.
    async fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let (mut command, input) = (self.command(arguments), input.to_owned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = move || {
            let mut child = command.spawn().unwrap();
            // Who has found something wrong before reading has closed the pipe: what it says is looked at.
            match child.stdin.take().unwrap().write_all(input.as_bytes()) {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => panic!("{error}"),
                _ => {}
            }
            child.wait_with_output().unwrap()
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    async fn serve(&self) -> Serving {
        let log = std::fs::File::create(self.servers.folder().join("serve.log")).unwrap();
        let serving = Serving(self.command(&["serve"]).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let ready = format!("127.0.0.1:{}", self.metrics);
        eventually_within(PATIENCE, "the core to be ready", || async {
            http_ok(&ready, "/readyz").await.then_some(())
        })
        .await;
        serving
    }

    async fn bus(&self) -> Bus {
        let config = Config::load(Some(&self.file)).unwrap();
        let bus = Bus::connect(&config, "tests", Clock::system()).await.unwrap();
        eventually_within(PATIENCE, "a connection", || async { bus.is_connected().then_some(()) }).await;
        bus
    }
}

/// Ends with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn http_ok(address: &str, path: &str) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return false };
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_to_string(&mut answer).await.is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn as_service() -> RequestContext {
    RequestContext::service(&Clock::system(), &Entropy)
}

#[tokio::test]
async fn a_shop_is_migrated_served_seeded_and_stopped() {
    let shop = Shop::prepare().await;
    let doctor = shop.run(&["doctor"]).await;
    assert!(!doctor.status.success());
    assert!(text(&doctor).contains("run `bodega migrate`"), "{}", text(&doctor));

    for _ in 0..2 {
        let migrated = shop.run(&["migrate"]).await;
        assert!(migrated.status.success(), "{}", text(&migrated));
        assert!(text(&migrated).contains("order: up to date"), "{}", text(&migrated));
    }
    let doctor = shop.run(&["doctor"]).await;
    assert!(text(&doctor).contains("ok    database of order: up to date"), "{}", text(&doctor));
    assert!(text(&doctor).contains("ok    nats:"), "{}", text(&doctor));

    let mut serving = shop.serve().await;
    // Before the demo shop: in production there is none.
    let first = ["user", "--email", "first@example.org", "--name", "First", "--admin"];
    let told = shop.run_with(&first, "the first password\n").await;
    assert!(told.status.success(), "{}", text(&told));
    for _ in 0..2 {
        let seeded = shop.run(&["seed"]).await;
        assert!(seeded.status.success(), "{}", text(&seeded));
    }
    let bus = shop.bus().await;
    let categories = bus.request(&catalog::Categories {}, &as_service()).await.unwrap();
    assert!(categories.len() >= 10, "{}", categories.len());
    let product = catalog::List { limit: Some(1), ..Default::default() };
    let card = bus.request(&product, &as_service()).await.unwrap().items.remove(0);
    let picture = card.picture.expect("a picture");
    assert!(shop.servers.folder().join("media").join(format!("{}.{}", picture.hash, picture.ext)).is_file());
    let levels = bus.request(&inventory::Levels::default(), &as_service()).await.unwrap();
    assert!(levels.items.iter().all(|level| level.on_hand > 0 && level.available == level.on_hand - level.safety));
    eventually_within(PATIENCE, "stock to be seen in the shop", || async {
        let page = bus.request(&catalog::List::default(), &as_service()).await.ok()?;
        page.items.iter().any(|card| card.band == Band::InStock).then_some(())
    })
    .await;
    let sign_in = identity::SignIn { email: "admin@bodega.example".into(), password: "correct-horse-battery".into() };
    let context = RequestContext::bearer(as_service().request_id, None);
    let session = bus.request(&sign_in, &context).await;
    assert!(session.is_ok(), "{:?}", session.err());

    let roles = |email: &str, password: &str| {
        let sign_in = identity::SignIn { email: email.into(), password: password.into() };
        let (bus, context) = (&bus, &context);
        async move { bus.request(&sign_in, context).await.unwrap().account.roles }
    };
    assert_eq!(roles("first@example.org", "the first password").await, [Role::Admin]);
    let luna = ["user", "--email", "luna@example.org", "--name", "Luna", "--merchant", "luna-bakery-flowers"];
    let told = shop.run_with(&luna, "moon and flowers\n").await;
    assert!(told.status.success(), "{}", text(&told));
    let of_luna = roles("luna@example.org", "moon and flowers").await;
    let [Role::Merchant(id)] = of_luna[..] else { panic!("{of_luna:?}") };
    for (merchant, password, why) in
        [(id.to_string().as_str(), "short", "/password"), ("nobody", "long enough", "no merchant")]
    {
        let refused = ["user", "--email", "b@example.org", "--name", "B", "--merchant", merchant];
        let told = shop.run_with(&refused, password).await;
        assert!(!told.status.success() && text(&told).contains(why), "{}", text(&told));
    }

    let doctor = text(&shop.run(&["doctor"]).await);
    for line in ["ok    gateway address: ", "WRONG payment provider simulator: ", "ok    edges: none"] {
        assert!(doctor.contains(line), "{doctor}");
    }

    let pid = serving.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || serving.0.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn what_is_wrong_is_said_in_one_line() {
    let shop = Shop::prepare().await;
    let nobody = shop.run_with(&["user", "--email", "a@example.org", "--name", "A"], "long enough").await;
    assert!(text(&nobody).contains("--admin"), "{}", text(&nobody));
    let silent = shop.run_with(&["user", "--email", "a@example.org", "--name", "A", "--admin"], "\n").await;
    assert!(text(&silent).contains("no password"), "{}", text(&silent));
    let unmigrated = shop.run(&["serve"]).await;
    assert!(!unmigrated.status.success());
    assert!(text(&unmigrated).contains("run `bodega migrate`"), "{}", text(&unmigrated));
    let unknown = shop.run(&["serve", "--only", "catalogue"]).await;
    assert!(text(&unknown).contains("there is no service `catalogue`"), "{}", text(&unknown));
    let mut wrong = shop.command(&["migrate"]);
    wrong.env("BODEGA__HTTP__GATWAY", "127.0.0.1:1");
    let wrong = tokio::task::spawn_blocking(move || wrong.output().unwrap()).await.unwrap();
    assert!(text(&wrong).contains("gatway"), "{}", text(&wrong));
    let taken = std::net::TcpListener::bind(("127.0.0.1", shop.metrics)).unwrap();
    let refused = shop.run(&["serve", "--only", "gateway"]).await;
    assert!(text(&refused).contains("http.metrics"), "{}", text(&refused));
    drop(taken);
}
