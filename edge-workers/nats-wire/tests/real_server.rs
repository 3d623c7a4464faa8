//! Against a real `nats-server`: what this crate believes about the protocol is what the server believes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nats_wire::limits::CONTROL_LINE_MAX;
use nats_wire::{
    Client, ClientEvent, ConnectionErrorKind, Credentials, Event, Headers, Operation, Options, Reply, RequestError,
    RequestErrorKind, RequestToken, ServerError, UserKey,
};

const DEADLINE: Duration = Duration::from_secs(20);
const TOKEN: &str = "a-token-of-the-test";
const INBOX: &str = "k3v9q2xw7p";

/// `NATS_SERVER`, else the search path, else what the project keeps under `.local/tools`.
fn server_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "NATS_SERVER names no file: {}", path.display());
        return path;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local/tools");
    std::env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .find(|file| file.is_file())
        .or_else(|| find(&tools, 6))
        .unwrap_or_else(|| {
            panic!("no nats-server: set NATS_SERVER to its path, put it on the PATH, or run `cargo xtask test`, which fetches it")
        })
}

fn find(folder: &Path, depth: u8) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    entries
        .iter()
        .find(|path| path.is_file() && path.file_name().is_some_and(|name| name == "nats-server"))
        .cloned()
        .or_else(|| entries.iter().filter(|path| depth > 0 && path.is_dir()).find_map(|path| find(path, depth - 1)))
}

/// A server with its own port and configuration, ended with the test.
struct Server {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Server {
    fn start(name: &str, configuration: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("nats-wire-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("server.conf");
        std::fs::write(&file, configuration).unwrap();
        // -1: the server takes any free port and writes down which.
        let process = Command::new(server_binary())
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(&folder)
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ports = folder.join(format!("nats-server_{}.ports", process.id()));
        let mut server = Self { process, address: ([127, 0, 0, 1], 0).into(), folder };
        let deadline = Instant::now() + DEADLINE;
        loop {
            let text = std::fs::read_to_string(&ports).unwrap_or_default();
            if let Some((_, rest)) = text.split_once("nats://")
                && let Some((address, _)) = rest.split_once('"')
            {
                server.address = address.parse().unwrap();
                return server;
            }
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none(), "nats-server does not start with this configuration:\n{configuration}");
            assert!(Instant::now() < deadline, "nats-server does not say where it listens");
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The few lines that a caller writes around a [`Client`].
struct Wire {
    client: Client,
    stream: TcpStream,
    events: Vec<ClientEvent>,
}

impl Wire {
    /// Connects and waits for the server's first word.
    fn open(server: &Server, options: Options, inbox: &str) -> Self {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut wire = Self { client: Client::new(options, inbox).unwrap(), stream, events: Vec::new() };
        wire.until("the greeting", |wire| wire.saw(&Event::Greeted) || wire.closed().is_some());
        wire
    }

    fn ready(server: &Server, credentials: Credentials, inbox: &str) -> Self {
        let mut wire = Self::open(server, Options { credentials, ..Options::default() }, inbox);
        wire.until("readiness", |wire| wire.saw(&Event::Ready));
        wire
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !done(self) {
            assert!(Instant::now() < deadline, "no {what} in {DEADLINE:?}; seen: {:?}", self.events);
            self.step();
        }
    }

    /// Writes what waits and reads what is there.
    fn step(&mut self) {
        let bytes = self.client.transmit();
        let mut buffer = [0; 16 * 1024];
        let read = self.stream.write_all(&bytes).and_then(|()| self.stream.read(&mut buffer));
        let events = match read {
            Ok(0) => self.client.transport_ended(),
            Ok(length) => self.client.receive(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Vec::new(),
            Err(_) => self.client.transport_ended(),
        };
        self.events.extend(events);
    }

    fn saw(&self, event: &Event) -> bool {
        self.events.contains(&ClientEvent::Connection(event.clone()))
    }

    fn closed(&self) -> Option<ConnectionErrorKind> {
        self.client.connection().error().map(|error| error.kind().clone())
    }

    fn request(&mut self, subject: &str, headers: &Headers, payload: &[u8]) -> RequestToken {
        self.client.begin_request(subject, headers, payload).unwrap()
    }

    fn reply(&mut self, token: RequestToken) -> Result<Reply, RequestError> {
        let mut outcome = None;
        self.until("reply", |wire| {
            outcome = wire.client.take_reply(token);
            outcome.is_some()
        });
        outcome.unwrap()
    }

    /// Answers `count` requests on its subscriptions with their payload reversed and their headers.
    fn answer(&mut self, count: usize) {
        let mut answered = 0;
        self.until("requests", |wire| {
            for event in std::mem::take(&mut wire.events) {
                let ClientEvent::Connection(Event::Message(message)) = event else { continue };
                let headers = message.headers().unwrap();
                let payload: Vec<u8> = message.payload.into_iter().rev().collect();
                wire.client.connection_mut().publish(&message.reply_to.unwrap(), None, &headers, &payload).unwrap();
                answered += 1;
            }
            answered >= count && !wire.client.connection().has_pending()
        });
    }

    /// Returns when the server has handled all that was sent before.
    fn flush(&mut self) {
        self.events.clear();
        self.client.ping().unwrap();
        self.until("pong", |wire| wire.saw(&Event::Pong));
    }
}

fn open_server(name: &str) -> Server {
    Server::start(name, "")
}

#[test]
fn a_request_with_headers_gets_its_reply() {
    let server = open_server("request");
    let mut responder = Wire::ready(&server, Credentials::None, "responder");
    responder.client.connection_mut().subscribe("echo.v1.*", Some("workers")).unwrap();
    responder.flush();
    let answering = std::thread::spawn(move || responder.answer(101));

    let mut wire = Wire::open(&server, Options::default(), INBOX);
    let mut headers = Headers::new();
    headers.append("Bodega-Request-Id", "größe 価格").unwrap();
    let first = wire.request("echo.v1.reverse", &headers, b"abc");
    let reply = wire.reply(first).unwrap();
    assert_eq!(reply.payload, b"cba");
    assert_eq!(reply.headers.get("Bodega-Request-Id"), Some("größe 価格"));

    // A hundred at once, of up to 60 KB, over one inbox.
    let tokens: Vec<(RequestToken, Vec<u8>)> = (0_u8..100)
        .map(|number| {
            let payload = [vec![number; usize::from(number) * 600], vec![0]].concat();
            (wire.request("echo.v1.reverse", &Headers::new(), &payload), payload)
        })
        .collect();
    for (token, mut payload) in tokens.into_iter().rev() {
        payload.reverse();
        assert_eq!(wire.reply(token).unwrap().payload, payload);
    }
    answering.join().unwrap();
}

#[test]
fn a_subject_without_listener_is_told_at_once() {
    let server = open_server("nobody");
    let mut wire = Wire::ready(&server, Credentials::None, INBOX);
    let request = wire.request("nobody.home", &Headers::new(), b"");
    assert_eq!(wire.reply(request).unwrap_err().kind(), &RequestErrorKind::NoResponders);
}

#[test]
fn a_subscription_ends_at_the_server_after_its_messages() {
    let server = open_server("auto-unsubscribe");
    let mut wire = Wire::ready(&server, Credentials::None, INBOX);
    let connection = wire.client.connection_mut();
    let limited = connection.subscribe("news", None).unwrap();
    connection.unsubscribe(limited, Some(2)).unwrap();
    let open = connection.subscribe("news", None).unwrap();
    for _ in 0..3 {
        connection.publish("news", None, &Headers::new(), b"x").unwrap();
    }
    let count = |wire: &Wire, wanted: u64| {
        wire.events
            .iter()
            .filter(|event| matches!(event, ClientEvent::Connection(Event::Message(message)) if message.sid == wanted))
            .count()
    };
    wire.until("three messages", |wire| count(wire, open) == 3);
    assert_eq!(count(&wire, limited), 2);
    // With the other gone too, the server itself has nobody left.
    wire.client.connection_mut().unsubscribe(open, None).unwrap();
    let request = wire.request("news", &Headers::new(), b"");
    assert_eq!(wire.reply(request).unwrap_err().kind(), &RequestErrorKind::NoResponders);
}

#[test]
fn each_kind_of_credentials_is_accepted_and_a_wrong_one_refused() {
    let key = UserKey::from_random(&[42; 32]);
    let stranger = UserKey::from_random(&[43; 32]);
    let user = |password: &str| Credentials::User { user: "edge".into(), password: password.into() };
    let cases = [
        (
            format!("authorization {{ token: \"{TOKEN}\" }}"),
            Credentials::Token(TOKEN.into()),
            Credentials::Token("wrong".into()),
        ),
        (
            "authorization { users: [{ user: edge, password: \"pass word\" }] }".into(),
            user("pass word"),
            user("password"),
        ),
        (
            format!("authorization {{ users: [{{ nkey: {} }}] }}", key.public()),
            Credentials::Nkey(UserKey::from_seed(&key.seed()).unwrap()),
            Credentials::Nkey(stranger),
        ),
    ];
    for (index, (configuration, right, wrong)) in cases.into_iter().enumerate() {
        let server = Server::start(&format!("credentials-{index}"), &configuration);
        Wire::ready(&server, right, INBOX).flush();
        for refused in [wrong, Credentials::None] {
            let mut wire = Wire::open(&server, Options { credentials: refused, ..Options::default() }, INBOX);
            // Begun together with the handshake, the request ends with it.
            let request = wire.request("a", &Headers::new(), b"");
            assert_eq!(wire.reply(request).unwrap_err().kind(), &RequestErrorKind::ConnectionRefused);
            let kind = wire.closed();
            assert!(matches!(kind, Some(ConnectionErrorKind::Server(ServerError::Authorization(_)))), "{kind:?}");
        }
    }
}

#[test]
fn a_forbidden_subject_fails_its_request_and_nothing_else() {
    let configuration = format!(
        "authorization {{ users: [
            {{ user: edge, password: x, permissions: {{ publish: [\"order.v1.place\"], subscribe: [\"_INBOX.{INBOX}.>\"] }} }}
            {{ user: core, password: x }} ] }}"
    );
    let server = Server::start("permissions", &configuration);
    let user = |name: &str| Credentials::User { user: name.into(), password: "x".into() };
    let mut core = Wire::ready(&server, user("core"), "core");
    core.client.connection_mut().subscribe("order.v1.place", None).unwrap();
    core.flush();
    let answering = std::thread::spawn(move || core.answer(1));

    let mut edge = Wire::ready(&server, user("edge"), &format!("{INBOX}.random"));
    let denied = edge.request("$JS.API.INFO", &Headers::new(), b"");
    let allowed = edge.request("order.v1.place", &Headers::new(), b"ab");
    assert_eq!(edge.reply(denied).unwrap_err().kind(), &RequestErrorKind::Permissions);
    assert_eq!(edge.reply(allowed).unwrap().payload, b"ba");
    answering.join().unwrap();

    // Somebody else's inbox: the subscription is refused, and so are requests over it.
    let mut spy = Wire::ready(&server, user("edge"), "another");
    let request = spy.request("order.v1.place", &Headers::new(), b"");
    assert_eq!(spy.reply(request).unwrap_err().kind(), &RequestErrorKind::InboxPermissions);
    let subscription = ServerError::Permissions { operation: Operation::Subscribe, subject: "_INBOX.another.*".into() };
    assert!(spy.saw(&Event::Refused(subscription)));
}

#[test]
fn the_limits_of_the_server_are_those_of_this_crate() {
    let server = open_server("limits");
    let mut wire = Wire::ready(&server, Credentials::None, INBOX);
    assert_eq!(wire.client.connection().info().max_payload, 1024 * 1024);
    // The longest control line this crate writes is one the server takes.
    let overhead = "PUB   0\r\n".len();
    let part = "x".repeat((CONTROL_LINE_MAX - overhead) / 2);
    wire.client.connection_mut().publish(&part, Some(&part), &Headers::new(), b"").unwrap();
    // The largest payload passes too, and comes back.
    wire.client.connection_mut().subscribe("big", None).unwrap();
    let big = vec![7; 1024 * 1024];
    wire.client.connection_mut().publish("big", None, &Headers::new(), &big).unwrap();
    wire.until("the big message", |wire| {
        wire.events.iter().any(|event| {
            matches!(event, ClientEvent::Connection(Event::Message(message)) if message.payload.len() == big.len())
        })
    });
    wire.flush();
    assert_eq!(wire.closed(), None);
}

#[test]
fn a_server_that_dies_leaves_no_request_open() {
    let mut server = open_server("killed");
    let mut responder = Wire::ready(&server, Credentials::None, "responder");
    responder.client.connection_mut().subscribe("slow", None).unwrap();
    responder.flush();
    let mut wire = Wire::ready(&server, Credentials::None, INBOX);
    let sent = wire.request("slow", &Headers::new(), b"");
    wire.flush();
    server.process.kill().unwrap();
    assert_eq!(wire.reply(sent).unwrap_err().kind(), &RequestErrorKind::ReplyLost);
}
