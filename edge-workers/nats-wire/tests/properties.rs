//! What holds for every stream, however it is cut.

use nats_wire::{Client, ClientEvent, Event, Headers, Message, Options, Parser, ServerInfo, ServerOp, UserKey};
use proptest::collection::vec;
use proptest::prelude::*;

const MESSAGE_MAX: usize = 4096;

/// A server's side of the wire, written independently of the parser.
fn wire(op: &ServerOp) -> Vec<u8> {
    match op {
        ServerOp::Info(info) => format!(
            "INFO {{\"server_name\":{:?},\"headers\":{},\"max_payload\":{},\"unknown\":[1]}}\r\n",
            info.server_name, info.headers, info.max_payload
        )
        .into_bytes(),
        ServerOp::Message(message) => {
            let reply = message.reply_to.as_ref().map(|reply| format!("{reply} ")).unwrap_or_default();
            let (head, all) = (message.header_block.len(), message.header_block.len() + message.payload.len());
            let line = if head == 0 {
                format!("MSG {} {} {reply}{all}\r\n", message.subject, message.sid)
            } else {
                format!("HMSG {} {} {reply}{head} {all}\r\n", message.subject, message.sid)
            };
            [line.as_bytes(), &message.header_block, &message.payload, b"\r\n"].concat()
        }
        ServerOp::Ping => b"PING\r\n".to_vec(),
        ServerOp::Pong => b"PONG\r\n".to_vec(),
        ServerOp::Ok => b"+OK\r\n".to_vec(),
        ServerOp::Err(error) => format!("-ERR '{error:?}'\r\n").into_bytes(),
    }
}

fn subject() -> impl Strategy<Value = String> {
    vec("[a-zA-Z0-9_äß価-]{1,8}", 1..4).prop_map(|tokens| tokens.join("."))
}

fn headers() -> impl Strategy<Value = Headers> {
    vec(("[!-9;-~]{1,12}", "[ -~äß価😀]{0,20}"), 0..6).prop_map(|fields| {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(&name, &value).unwrap();
        }
        headers
    })
}

fn message() -> impl Strategy<Value = ServerOp> {
    let block = headers().prop_map(|headers| if headers.is_empty() { Vec::new() } else { headers.encode() });
    (subject(), 0_u64..4, proptest::option::of(subject()), block, vec(any::<u8>(), 0..64)).prop_map(
        |(subject, sid, reply_to, header_block, payload)| {
            ServerOp::Message(Message { subject, sid, reply_to, header_block, payload })
        },
    )
}

fn op() -> impl Strategy<Value = ServerOp> {
    let info = ("[a-z]{0,8}", any::<bool>(), 0_usize..1 << 20).prop_map(|(server_name, headers, max_payload)| {
        ServerOp::Info(Box::new(ServerInfo { server_name, headers, max_payload, ..ServerInfo::default() }))
    });
    prop_oneof![4 => message(), 1 => info, 1 => Just(ServerOp::Ping), 1 => Just(ServerOp::Pong), 1 => Just(ServerOp::Ok)]
}

/// Cuts `bytes` at the given places (taken modulo its length).
fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn parse(pieces: &[&[u8]]) -> (Vec<ServerOp>, Option<String>) {
    let mut parser = Parser::new(MESSAGE_MAX);
    let mut ops = Vec::new();
    for piece in pieces {
        parser.push(piece);
        loop {
            match parser.next_op() {
                Ok(Some(op)) => ops.push(op),
                Ok(None) => break,
                Err(error) => return (ops, Some(error.to_string())),
            }
        }
    }
    (ops, None)
}

/// Runs a client over the pieces; its greeting and two open requests give the stream something to meet.
fn converse(pieces: &[&[u8]]) -> (Vec<ClientEvent>, Vec<u8>) {
    let mut client = Client::new(Options { received_message_max: MESSAGE_MAX, ..Options::default() }, "p").unwrap();
    client.receive(b"INFO {\"headers\":true,\"max_payload\":4096}\r\n");
    for _ in 0..2 {
        client.begin_request("a.b", &Headers::new(), b"x").unwrap();
    }
    let mut events = Vec::new();
    let mut written = client.transmit();
    for piece in pieces {
        events.extend(client.receive(piece));
        written.extend(client.transmit());
    }
    (events, written)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn what_a_server_writes_is_read_back(ops in vec(op(), 0..12), cuts in vec(any::<usize>(), 0..12)) {
        let bytes: Vec<u8> = ops.iter().flat_map(wire).collect();
        let (parsed, error) = parse(&pieces(&bytes, &cuts));
        prop_assert_eq!(error, None);
        prop_assert_eq!(parsed, ops);
    }

    #[test]
    fn the_cut_of_the_stream_changes_nothing(
        ops in vec(op(), 0..12),
        noise in vec((any::<usize>(), any::<u8>()), 0..4),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let mut bytes: Vec<u8> = ops.iter().flat_map(wire).collect();
        for (at, byte) in noise {
            let at = at % (bytes.len() + 1);
            bytes.insert(at, byte);
        }
        prop_assert_eq!(parse(&pieces(&bytes, &cuts)), parse(&[&bytes]));
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(parse(&single), parse(&[&bytes]));
    }

    #[test]
    fn the_cut_of_the_stream_does_not_change_a_conversation(
        tokens in vec((1_u64..4, vec(any::<u8>(), 0..8)), 0..6),
        others in vec(op(), 0..4),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let mut bytes = b"PONG\r\n".to_vec();
        for (token, payload) in tokens {
            bytes.extend(format!("MSG _INBOX.p.{token} 1 {}\r\n", payload.len()).into_bytes());
            bytes.extend(payload);
            bytes.extend(b"\r\nPING\r\n");
        }
        bytes.extend(others.iter().flat_map(wire));
        let (events, written) = converse(&pieces(&bytes, &cuts));
        let (events_at_once, written_at_once) = converse(&[&bytes]);
        prop_assert_eq!(&events, &events_at_once);
        // Closing drops what was not yet handed out, so the pieces may have written more by then.
        let closed = matches!(events.last(), Some(ClientEvent::Connection(Event::Closed(_))));
        prop_assert!(written.starts_with(&written_at_once));
        prop_assert!(closed || written == written_at_once);
    }

    #[test]
    fn headers_survive_the_wire(headers in headers()) {
        prop_assert_eq!(Headers::parse(&headers.encode()), Ok(headers));
    }

    #[test]
    fn any_bytes_are_an_answer_and_not_a_panic(bytes in vec(any::<u8>(), 0..512), text in ".{0,80}") {
        let _ = parse(&[&bytes]);
        let _ = Headers::parse(&bytes);
        let _ = UserKey::from_seed(&text);
        let _ = nats_wire::check_literal(&text);
        let _ = nats_wire::check_pattern(&text);
        let _ = nats_wire::ServerError::parse(&text);
    }

    #[test]
    fn a_seed_survives_its_text(seed in any::<[u8; 32]>()) {
        let key = UserKey::from_random(&seed);
        let read = UserKey::from_seed(&key.seed()).map(|key| key.public());
        prop_assert_eq!(read, Ok(key.public()));
    }
}
