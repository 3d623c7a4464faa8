//! Whole conversations, byte for byte.

use nats_wire::limits::{PENDING_MAX, REQUESTS_IN_FLIGHT_MAX};
use nats_wire::{
    Client, ClientEvent, CommandErrorKind, Connection, ConnectionErrorKind, Credentials, Event, Headers, Operation,
    Options, ParseErrorKind, RequestErrorKind, ServerError, State, UseErrorKind, UserKey,
};

const INFO: &[u8] = b"INFO {\"headers\":true,\"max_payload\":1024,\"nonce\":\"abc\"}\r\n";

fn greeted() -> Client {
    let mut client = Client::new(Options::default(), "inbox").unwrap();
    assert_eq!(client.receive(INFO), [ClientEvent::Connection(Event::Greeted)]);
    client
}

fn ready() -> Client {
    let mut client = greeted();
    assert_eq!(client.receive(b"PONG\r\n"), [ClientEvent::Connection(Event::Ready)]);
    client.transmit();
    client
}

fn sent(client: &mut Client) -> String {
    String::from_utf8(client.transmit()).unwrap()
}

fn ends_with(options: Options, bytes: &[u8]) -> Option<ConnectionErrorKind> {
    let mut connection = Connection::new(options);
    let events = connection.receive(bytes);
    assert_eq!(connection.error().is_some(), connection.state() == State::Closed);
    match events.last() {
        Some(Event::Closed(error)) => Some(error.kind().clone()),
        _ => None,
    }
}

#[test]
fn the_handshake_asks_for_a_pong_and_is_ready_when_it_comes() {
    let mut client = greeted();
    assert_eq!(client.connection().state(), State::AwaitingPong);
    let bytes = sent(&mut client);
    assert!(bytes.starts_with("CONNECT {\"verbose\":false,"), "{bytes}");
    assert!(bytes.ends_with("}\r\nPING\r\n"), "{bytes}");
    client.receive(b"PONG\r\n");
    assert_eq!(client.connection().state(), State::Ready);
    assert!(!client.connection().has_pending());
}

#[test]
fn nothing_is_sent_before_the_server_spoke() {
    let mut client = Client::new(Options::default(), "inbox").unwrap();
    let refused = client.begin_request("a", &Headers::new(), b"").unwrap_err();
    assert_eq!(refused.kind(), &RequestErrorKind::Refused(UseErrorKind::NotConnected));
    assert!(refused.kind().surely_not_received());
    assert!(!client.connection().has_pending());
}

#[test]
fn credentials_stay_here_when_the_server_wants_tls_and_there_is_none() {
    let info = b"INFO {\"headers\":true,\"tls_required\":true}\r\n";
    let secret = || Options { credentials: Credentials::Token("hunter2".into()), ..Options::default() };
    assert_eq!(ends_with(secret(), info), Some(ConnectionErrorKind::TlsRequired));
    let mut refused = Connection::new(secret());
    refused.receive(info);
    assert!(refused.transmit().is_empty());

    let mut over_tls = Connection::new(Options { transport_is_tls: true, ..secret() });
    assert_eq!(over_tls.receive(info), [Event::Greeted]);
    let bytes = String::from_utf8(over_tls.transmit()).unwrap();
    assert!(bytes.contains("\"tls_required\":true") && bytes.contains("hunter2"), "{bytes}");
}

#[test]
fn a_connection_that_cannot_work_ends_with_a_reason() {
    let nkey = || Options { credentials: Credentials::Nkey(UserKey::from_random(&[1; 32])), ..Options::default() };
    for (options, bytes, kind) in [
        (Options::default(), &b"INFO {\"headers\":false}\r\n"[..], ConnectionErrorKind::HeadersUnsupported),
        (Options::default(), b"PING\r\n", ConnectionErrorKind::InfoMissing),
        (Options::default(), b"HTTP/1.1 200 OK\r\n", ConnectionErrorKind::Parse(ParseErrorKind::UnknownOperation)),
        (nkey(), b"INFO {\"headers\":true}\r\n", ConnectionErrorKind::Connect(CommandErrorKind::NonceMissing)),
        (
            Options::default(),
            b"INFO {\"headers\":true}\r\n-ERR 'Authorization Violation'\r\n",
            ConnectionErrorKind::Server(ServerError::Authorization("Authorization Violation".into())),
        ),
        (
            Options::default(),
            b"-ERR 'maximum connections exceeded'\r\n",
            ConnectionErrorKind::Server(ServerError::MaximumConnections("maximum connections exceeded".into())),
        ),
    ] {
        assert_eq!(ends_with(options, bytes), Some(kind));
    }
}

#[test]
fn pings_are_answered_and_a_server_that_does_not_read_is_left() {
    let mut client = ready();
    client.receive(b"PING\r\nPING\r\n");
    assert_eq!(sent(&mut client), "PONG\r\nPONG\r\n");

    let mut client = Client::new(Options { pending_max: 1000, ..Options::default() }, "inbox").unwrap();
    client.receive(INFO);
    let closed = client.receive(&b"PING\r\n".repeat(2000));
    assert!(
        matches!(closed.as_slice(), [ClientEvent::Connection(Event::Closed(error))] if error.kind() == &ConnectionErrorKind::Overrun),
        "{closed:?}"
    );
}

#[test]
fn the_third_own_ping_without_an_answer_is_one_too_many() {
    let mut client = ready();
    let request = client.begin_request("a", &Headers::new(), b"").unwrap();
    client.transmit();
    assert_eq!((client.ping(), client.ping()), (Ok(()), Ok(())));
    assert_eq!(client.receive(b"PONG\r\n"), [ClientEvent::Connection(Event::Pong)]);
    assert_eq!(client.ping(), Ok(()));
    assert_eq!(client.ping().map_err(|error| error.kind().clone()), Err(ConnectionErrorKind::Stale));
    let outcome = client.take_reply(request).unwrap().unwrap_err();
    assert_eq!(outcome.kind(), &RequestErrorKind::ReplyLost);
}

#[test]
fn a_request_shares_the_handshake_and_finds_its_reply() {
    let mut client = greeted();
    let mut headers = Headers::new();
    headers.append("Bodega-Request-Id", "r1").unwrap();
    let first = client.begin_request("order.v1.place", &headers, b"{}").unwrap();
    let second = client.begin_request("order.v1.get", &Headers::new(), b"").unwrap();
    let bytes = sent(&mut client);
    let expected = "PING\r\nSUB _INBOX.inbox.* 1\r\nHPUB order.v1.place _INBOX.inbox.1 33 35\r\nNATS/1.0\r\n\
                    Bodega-Request-Id: r1\r\n\r\n{}\r\nPUB order.v1.get _INBOX.inbox.2 0\r\n\r\n";
    let expected = expected.replace("33 35", &format!("{} {}", headers.encode().len(), headers.encode().len() + 2));
    assert!(bytes.ends_with(&expected), "{bytes}");

    // Replies in the other order, one of them twice.
    let events = client.receive(
        b"PONG\r\nMSG _INBOX.inbox.2 1 1\r\n2\r\nHMSG _INBOX.inbox.1 1 17 18\r\nNATS/1.0\r\nA:1\r\n\r\n1\r\n\
          MSG _INBOX.inbox.2 1 1\r\n3\r\n",
    );
    assert_eq!(
        events,
        [ClientEvent::Connection(Event::Ready), ClientEvent::Settled(second), ClientEvent::Settled(first)]
    );
    assert_eq!(client.take_reply(second).unwrap().unwrap().payload, b"2");
    let again = client.take_reply(second).unwrap().unwrap_err();
    assert_eq!(again.kind(), &RequestErrorKind::Unknown);
    let reply = client.take_reply(first).unwrap().unwrap();
    assert_eq!((reply.headers.get("A"), reply.payload.as_slice()), (Some("1"), &b"1"[..]));
    assert_eq!(client.in_flight(), 0);
}

#[test]
fn a_request_knows_whether_it_may_have_been_received() {
    let outcome = |act: &dyn Fn(&mut Client)| {
        let mut client = ready();
        let request = client.begin_request("a.b", &Headers::new(), b"").unwrap();
        act(&mut client);
        client.take_reply(request).map(|outcome| {
            let error = outcome.unwrap_err();
            (error.kind().clone(), error.kind().surely_not_received())
        })
    };
    assert_eq!(outcome(&|_| ()), None);
    assert_eq!(
        outcome(&|client| {
            client.receive(b"HMSG _INBOX.inbox.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
        }),
        Some((RequestErrorKind::NoResponders, true))
    );
    assert_eq!(
        outcome(&|client| {
            client.receive(b"-ERR 'Permissions Violation for Publish to \"a.b\"'\r\n");
        }),
        Some((RequestErrorKind::Permissions, true))
    );
    assert_eq!(
        outcome(&|client| {
            client.receive(b"-ERR 'Permissions Violation for Subscription to \"_INBOX.inbox.*\"'\r\n");
        }),
        Some((RequestErrorKind::InboxPermissions, false))
    );
    assert_eq!(
        outcome(&|client| {
            client.transport_ended();
        }),
        Some((RequestErrorKind::NotSent, true))
    );
    assert_eq!(
        outcome(&|client| {
            client.transmit();
            client.transport_ended();
        }),
        Some((RequestErrorKind::ReplyLost, false))
    );
}

#[test]
fn what_travelled_with_refused_credentials_was_not_received() {
    let outcome = |before: &[u8], words: &str| {
        let mut client = greeted();
        let request = client.begin_request("a.b", &Headers::new(), b"").unwrap();
        client.transmit();
        client.receive(before);
        client.receive(format!("-ERR '{words}'\r\n").as_bytes());
        client.take_reply(request).unwrap().unwrap_err().kind().clone()
    };
    assert_eq!(outcome(b"", "Authorization Violation"), RequestErrorKind::ConnectionRefused);
    assert_eq!(outcome(b"", "maximum connections exceeded"), RequestErrorKind::ConnectionRefused);
    assert!(RequestErrorKind::ConnectionRefused.surely_not_received());
    assert_eq!(outcome(b"", "User Authentication Expired"), RequestErrorKind::ReplyLost);
    assert_eq!(outcome(b"", "Stale Connection"), RequestErrorKind::ReplyLost);
    assert_eq!(outcome(b"PONG\r\n", "Authorization Violation"), RequestErrorKind::ReplyLost);
}

#[test]
fn a_refusal_of_one_subject_leaves_the_others_alone() {
    let mut client = ready();
    let allowed = client.begin_request("a.allowed", &Headers::new(), b"").unwrap();
    let denied = client.begin_request("a.denied", &Headers::new(), b"").unwrap();
    let events = client.receive(b"-ERR 'Permissions Violation for Publish to \"a.denied\"'\r\n");
    assert_eq!(
        events,
        [
            ClientEvent::Settled(denied),
            ClientEvent::Connection(Event::Refused(ServerError::Permissions {
                operation: Operation::Publish,
                subject: "a.denied".into()
            }))
        ]
    );
    client.receive(b"MSG _INBOX.inbox.1 1 2\r\nok\r\n");
    assert_eq!(client.take_reply(allowed).unwrap().unwrap().payload, b"ok");
    assert_eq!(client.connection().state(), State::Ready);
}

#[test]
fn a_cancelled_request_gets_no_late_reply() {
    let mut client = ready();
    let request = client.begin_request("a", &Headers::new(), b"").unwrap();
    assert!(client.cancel(request));
    assert!(!client.cancel(request));
    assert_eq!(client.receive(b"MSG _INBOX.inbox.1 1 2\r\nok\r\n"), []);
    assert_eq!(client.in_flight(), 0);
}

#[test]
fn what_exceeds_a_limit_is_refused_and_nothing_is_written() {
    let mut client = ready();
    let error = client.begin_request("a", &Headers::new(), &[0; 1025]).unwrap_err();
    assert_eq!(error.kind(), &RequestErrorKind::Refused(UseErrorKind::PayloadTooLarge { max: 1024 }));
    let mut headers = Headers::new();
    headers.append("A", "b").unwrap();
    assert!(client.begin_request("a", &headers, &[0; 1024]).is_err(), "headers count too");
    assert_eq!(sent(&mut client), "SUB _INBOX.inbox.* 1\r\n");

    for _ in 0..REQUESTS_IN_FLIGHT_MAX {
        client.begin_request("a", &Headers::new(), b"").unwrap();
    }
    let error = client.begin_request("a", &Headers::new(), b"").unwrap_err();
    assert_eq!(error.kind(), &RequestErrorKind::TooManyInFlight);

    let mut connection = Connection::new(Options::default());
    connection.receive(b"INFO {\"headers\":true}\r\n");
    let error = connection.publish("a", None, &Headers::new(), &vec![0; PENDING_MAX]).unwrap_err();
    assert_eq!(error.kind(), &UseErrorKind::PendingFull);
    assert!(connection.transmit().ends_with(b"PING\r\n"));
}

#[test]
fn a_subscription_ends_by_itself_after_its_messages() {
    let mut connection = Connection::new(Options::default());
    connection.receive(b"INFO {\"headers\":true}\r\nPONG\r\n");
    connection.transmit();
    let sid = connection.subscribe("news.>", Some("readers")).unwrap();
    connection.unsubscribe(sid, Some(2)).unwrap();
    assert_eq!(connection.transmit(), b"SUB news.> readers 1\r\nUNSUB 1 2\r\n");
    let three = b"MSG news.a 1 1\r\na\r\n".repeat(3);
    assert_eq!(connection.receive(&three).len(), 2);
    let gone = connection.unsubscribe(sid, None).unwrap_err();
    assert_eq!(gone.kind(), &UseErrorKind::UnknownSubscription);
}

#[test]
fn a_server_that_is_about_to_go_says_so_once() {
    let mut client = ready();
    let leaving = b"INFO {\"headers\":true,\"ldm\":true}\r\n";
    assert_eq!(client.receive(leaving), [ClientEvent::Connection(Event::LameDuck)]);
    assert_eq!(client.receive(leaving), [ClientEvent::Connection(Event::InfoChanged)]);
}

#[test]
fn after_the_end_nothing_happens_any_more() {
    let mut client = ready();
    assert_eq!(client.receive(b"nonsense\r\nPING\r\n").len(), 1);
    assert_eq!(client.receive(b"PING\r\n"), []);
    assert_eq!(client.transport_ended(), []);
    assert!(client.transmit().is_empty());
    let error = client.begin_request("a", &Headers::new(), b"").unwrap_err();
    assert_eq!(error.kind(), &RequestErrorKind::Refused(UseErrorKind::Closed));
}
