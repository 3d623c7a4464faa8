//! Every credential of the bus is tried on every subject: what `deploy/nats/permissions.toml` grants, and nothing else.

use async_nats::{Client, ConnectOptions, Event};
use bodega_platform::operation::OPERATIONS;
use bodega_stack::shop::bus::{Credential, Permissions, server_configuration};
use bodega_tests::{Servers, eventually_within, workspace_root};
use futures::StreamExt;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const EDGE: &str = "edge-1";
/// For the server to tell all that it refuses.
const PATIENCE: Duration = Duration::from_secs(10);

struct User {
    credential: Credential,
    client: Client,
    violations: Arc<Mutex<Vec<String>>>,
}

async fn connect(url: &str, credential: Credential) -> User {
    let violations = Arc::new(Mutex::new(Vec::new()));
    let seen = violations.clone();
    let client = ConnectOptions::with_user_and_password(credential.user.clone(), credential.password.clone())
        .custom_inbox_prefix(format!("_INBOX.{}", credential.user))
        .event_callback(move |event| {
            let seen = seen.clone();
            async move {
                if let Event::ServerError(error) = event {
                    seen.lock().expect("no other test panicked with it").push(error.to_string());
                }
            }
        })
        .connect(url)
        .await
        .unwrap_or_else(|error| panic!("{} connects: {error}", credential.user));
    User { credential, client, violations }
}

/// Whether a subject is within one of the granted patterns.
fn granted(patterns: &[String], subject: &str) -> bool {
    patterns.iter().any(|pattern| {
        let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
        loop {
            match (pattern.next(), subject.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(a), Some(b)) if a == b => {}
                _ => return false,
            }
        }
    })
}

fn subjects(permissions: &Permissions) -> BTreeSet<String> {
    let mut all: BTreeSet<String> =
        ["secret.internal", "evt.stranger.v1.x", "$SYS.REQ.SERVER.PING", "edgefeed.v1", "edgefeed.v1.product"]
            .into_iter()
            .map(str::to_owned)
            .collect();
    for owner in permissions.services() {
        for tail in ["v1.nothing_of_the_contract", "v1.outbox_page", "v1.outbox_republish"] {
            all.insert(format!("{owner}.{tail}"));
        }
        all.insert(format!("evt.{owner}.v1.something"));
        all.insert(format!("_INBOX.{owner}.abc.1"));
    }
    all.extend(
        ["$JS.API.STREAM.CREATE.x", "$JS.API.STREAM.DELETE.x", "$JS.API.STREAM.PURGE.x", "$JS.API.CONSUMER.LIST.x"]
            .map(str::to_owned),
    );
    all.extend(OPERATIONS.iter().map(|operation| operation.subject.to_owned()));
    all
}

fn credentials(permissions: &Permissions) -> Vec<Credential> {
    let services = permissions.services().map(|service| Credential {
        user: service.to_owned(),
        password: format!("password of {service}"),
        subjects: permissions.of_service(service).unwrap_or_else(|| panic!("{service} is listed")),
    });
    let edge = |name: &str| Credential {
        user: name.to_owned(),
        password: format!("password of {name}"),
        subjects: permissions.of_edge(name),
    };
    services.chain([edge(EDGE), edge("edge-2")]).collect()
}

/// What each service may ask others: all of a service, or one operation. Written down here once more, so that nobody
/// is given more by a single edit.
const ASKS: [(&str, &[&str]); 10] = [
    ("identity", &["catalog.v1.put_views", "cart", "order.v1.forget", "replicator"]),
    ("catalog", &["inventory", "pricing", "replicator"]),
    ("cart", &["catalog", "identity"]),
    ("pricing", &["cart", "catalog", "inventory"]),
    ("inventory", &["order.v1.abandon", "order.v1.unproven", "order.v1.let_go", "catalog"]),
    ("order", &["cart", "catalog", "identity", "inventory", "payment", "pricing"]),
    // Names and addresses for mails: nobody else may ask for them.
    ("notification", &["order.v1.mailing", "identity.v1.staff_of", "catalog.v1.price_lines"]),
    ("payment", &["order.v1.payment_changed"]),
    ("replicator", &["catalog", "identity", "pricing"]),
    // Asks for people with their own tokens, and for operators.
    ("gateway", &["*"]),
];
/// Operators: `bodega seed`, `bodega user`, `bodega doctor`.
const OPERATOR: &str = "admin";
/// Whoever verifies tokens asks for what was revoked.
const FOR_EVERY_SERVICE: &str = "identity.v1.revoked";

fn listed() -> Permissions {
    let list = std::fs::read_to_string(workspace_root().join("deploy/nats/permissions.toml")).expect("the list");
    Permissions::parse(&list).expect("the list is well formed")
}

#[test]
fn an_edge_may_publish_what_the_table_of_operations_opens_to_edges_and_nothing_else() {
    let granted: BTreeSet<String> = listed().of_edge(EDGE).publish.into_iter().collect();
    let open = OPERATIONS.iter().filter(|operation| operation.edge).map(|operation| operation.subject.to_owned());
    assert_eq!(granted, open.collect::<BTreeSet<_>>(), "left: deploy/nats/permissions.toml, right: operation.rs");
}

#[test]
fn a_service_may_ask_whom_it_needs_and_nobody_else() {
    let permissions = listed();
    let known: BTreeSet<&str> = ASKS.iter().map(|(service, _)| *service).chain([OPERATOR]).collect();
    assert_eq!(permissions.services().collect::<BTreeSet<_>>(), known);
    for (service, asks) in ASKS.into_iter().chain([(OPERATOR, &["*"][..])]) {
        let publish = permissions.of_service(service).expect("listed").publish;
        for subject in OPERATIONS.iter().map(|operation| operation.subject) {
            let owner = subject.split('.').next().unwrap_or_default();
            let wanted = subject == FOR_EVERY_SERVICE || asks.iter().any(|ask| ["*", owner, subject].contains(ask));
            assert_eq!(granted(&publish, subject), wanted, "{service} asks {subject}");
        }
    }
}

#[tokio::test]
async fn a_credential_may_what_is_listed_and_nothing_else() {
    let permissions = listed();
    let credentials = credentials(&permissions);
    let file = std::env::temp_dir().join(format!("bodega-nats-{}.conf", std::process::id()));
    std::fs::write(&file, server_configuration(&credentials)).expect("the configuration is written");
    let servers = Servers::start_with(Some(file.clone())).await.expect("servers");

    let strangers = ConnectOptions::new().connect(servers.nats_url()).await;
    assert!(strangers.is_err(), "nobody connects without a credential");

    let subjects = subjects(&permissions);
    for credential in credentials {
        let user = connect(&servers.nats_url(), credential).await;
        // A few at a time: the client forgets what it is told faster than it is listened to.
        for some in subjects.iter().collect::<Vec<_>>().chunks(20) {
            for subject in some {
                user.client.publish((*subject).clone(), "x".into()).await.expect("handed to the client");
                drop(user.client.subscribe((*subject).clone()).await.expect("handed to the client"));
            }
            check(&user, some).await;
        }
    }
    std::fs::remove_file(&file).expect("the configuration is removed");
}

async fn check(user: &User, subjects: &[&String]) {
    let Credential { user: name, subjects: granted_to, .. } = &user.credential;
    let forbidden = |verb: &str, patterns: &[String]| -> BTreeSet<String> {
        subjects
            .iter()
            .filter(|subject| !granted(patterns, subject))
            .map(|subject| format!("{verb} to \"{}\"", subject.to_lowercase()))
            .collect()
    };
    let mut expected = forbidden("publish", &granted_to.publish);
    expected.extend(forbidden("subscription", &granted_to.subscribe));
    let told = || -> BTreeSet<String> {
        let told = user.violations.lock().expect("no other test panicked with it");
        told.iter().filter_map(|error| violation(error)).collect()
    };
    let missing = || expected.difference(&told()).cloned().collect::<Vec<_>>();
    let is_told = || async { missing().is_empty().then_some(()) };
    let all = tokio::time::timeout(PATIENCE, eventually_within(PATIENCE * 2, "all violations", is_told)).await;
    assert!(all.is_ok(), "{name} is not refused: {:?}", missing());
    let may: BTreeSet<String> = subjects
        .iter()
        .flat_map(|subject| {
            let to = |verb: &str, patterns: &[String]| {
                granted(patterns, subject).then(|| format!("{verb} to \"{}\"", subject.to_lowercase()))
            };
            [to("publish", &granted_to.publish), to("subscription", &granted_to.subscribe)]
        })
        .flatten()
        .collect();
    let refused: Vec<_> = told().intersection(&may).cloned().collect();
    assert_eq!(refused, Vec::<String>::new(), "{name} is refused what is listed");
}

/// `publish to "subject"` out of the server's words.
fn violation(error: &str) -> Option<String> {
    let error = error.to_lowercase();
    let words = error.split("permissions violation for ").nth(1)?;
    let subject = words.split('"').nth(1)?;
    Some(format!("{} to \"{subject}\"", words.split(" to ").next()?))
}

#[tokio::test]
async fn whoever_is_asked_may_answer_once_and_no_stranger_hears_it() {
    let permissions = listed();
    let credentials = credentials(&permissions);
    let file = std::env::temp_dir().join(format!("bodega-nats-reply-{}.conf", std::process::id()));
    std::fs::write(&file, server_configuration(&credentials)).expect("the configuration is written");
    let servers = Servers::start_with(Some(file.clone())).await.expect("servers");
    let named = |name: &str| credentials.iter().find(|c| c.user == name).cloned().expect("listed");
    let order = connect(&servers.nats_url(), named("order")).await;
    let edge = connect(&servers.nats_url(), named(EDGE)).await;

    let mut asked = order.client.queue_subscribe("order.v1.get", "order".to_owned()).await.expect("may answer");
    let answerer = order.client.clone();
    let answering = tokio::spawn(async move {
        let request = asked.next().await.expect("a request arrives");
        let reply = request.reply.expect("it wants an answer");
        for word in ["here", "and once more"] {
            answerer.publish(reply.clone(), word.into()).await.expect("handed to the client");
        }
        reply
    });
    // The server may hear of the question before it hears who answers.
    let ask = || async { edge.client.request("order.v1.get", "?".into()).await.ok() };
    assert_eq!(eventually_within(PATIENCE, "an answer", ask).await.payload, "here");
    let reply = answering.await.expect("it has answered");
    let second = format!("publish to \"{}\"", reply.to_lowercase());
    let told = || async {
        let told = order.violations.lock().expect("no other test panicked with it").clone();
        told.iter().any(|error| violation(error).as_deref() == Some(second.as_str())).then_some(())
    };
    eventually_within(PATIENCE, "the second answer to be refused", told).await;
    std::fs::remove_file(&file).expect("the configuration is removed");
}
