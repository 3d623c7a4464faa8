//! 10⁶ seeded mutations of real conversations: no panic, bounded output, and the cut of the stream changes nothing.
//!
//! `NATS_WIRE_MUTATIONS` sets the number and `NATS_WIRE_SEED` the seed, so that a failure can be run again.

use nats_wire::{Client, ClientEvent, ConnectionErrorKind, Event, Headers, Options};

/// One conversation for each part of the protocol.
const CORPUS: &[&[u8]] = &[
    b"INFO {\"server_id\":\"N\",\"version\":\"2.12.1\",\"headers\":true,\"max_payload\":1048576,\"nonce\":\"abc\"}\r\nPONG\r\nPING\r\n",
    b"INFO {\"headers\":true}\r\nPONG\r\nMSG _INBOX.m.1 1 5\r\nhello\r\nMSG _INBOX.m.2 1 reply 0\r\n\r\n",
    b"INFO {\"headers\":true}\r\nHMSG _INBOX.m.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\nHMSG _INBOX.m.2 1 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n",
    b"INFO {\"headers\":true}\r\n-ERR 'Permissions Violation for Publish to \"a.b\"'\r\n+OK\r\nPONG\r\nPONG\r\n",
    b"INFO {\"headers\":true}\r\nPONG\r\nINFO {\"headers\":true,\"ldm\":true,\"connect_urls\":[\"a:4222\"]}\r\n-ERR 'Stale Connection'\r\n",
    b"INFO {\"headers\":true,\"tls_required\":false}\r\nPONG\r\nMSG a.b 2 3\r\nabc\r\nMSG a.b 2 3\r\nabc\r\nMSG a.b 2 3\r\nabc\r\n",
];

/// Fragments that matter to the grammar, to be spliced in.
const FRAGMENTS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"MSG ",
    b"HMSG ",
    b"INFO ",
    b"-ERR ",
    b"PING\r\n",
    b"PONG\r\n",
    b"0",
    b"-1",
    b"18446744073709551615",
    b"99999999999999999999",
    b"1048577",
    b"NATS/1.0",
    b"NATS/1.0 503\r\n\r\n",
    b"{",
    b"}",
    b"\"",
    b"\xff",
    b"\0",
    b":",
    b"_INBOX.m.1",
];

/// xorshift64*: good enough to choose places, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % bound.max(1)
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(6) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            let end = (at + 1 + random.below(8)).min(bytes.len());
            bytes.drain(at.min(end)..end);
        }
        2 => {
            let fragment = FRAGMENTS[random.below(FRAGMENTS.len())];
            bytes.splice(at..at, fragment.iter().copied());
        }
        3 => {
            let end = (at + random.below(16)).min(bytes.len());
            let copy = bytes[at.min(end)..end].to_vec();
            bytes.splice(at..at, copy);
        }
        4 => bytes.truncate(at),
        _ => {
            let other = CORPUS[random.below(CORPUS.len())];
            bytes.splice(at..at, other[random.below(other.len())..].iter().take(64).copied());
        }
    }
}

/// What a conversation comes to: its events, what was written, the outcome of each request.
type Outcome = (Vec<ClientEvent>, Vec<u8>, Vec<Option<Result<Vec<u8>, String>>>);

fn converse(bytes: &[u8], cut: usize) -> Outcome {
    let mut client = Client::new(Options { received_message_max: 1 << 20, ..Options::default() }, "m").unwrap();
    let mut requests = Vec::new();
    let mut events = Vec::new();
    let mut written = Vec::new();
    for piece in bytes.chunks(cut.max(1)) {
        events.extend(client.receive(piece));
        written.extend(client.transmit());
    }
    // The outcome of requests begun after the greeting must not depend on the cut either, so they are begun at the end.
    for _ in 0..2 {
        requests.extend(client.begin_request("a.b", &Headers::new(), b"x"));
    }
    written.extend(client.transmit());
    events.extend(client.receive(b"MSG _INBOX.m.1 1 5\r\nhello\r\n"));
    events.extend(client.transport_ended());
    let outcomes = requests
        .into_iter()
        .map(|request| {
            client.take_reply(request).map(|reply| reply.map(|reply| reply.payload).map_err(|error| error.to_string()))
        })
        .collect();
    (events, written, outcomes)
}

/// The same with the requests in flight from the greeting on, as far as the first piece brings it.
fn converse_in_flight(bytes: &[u8]) -> usize {
    let mut client = Client::new(Options::default(), "m").unwrap();
    let (first, rest) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => bytes.split_at(end + 1),
        None => (bytes, &[][..]),
    };
    client.receive(first);
    let requests: Vec<_> = (0..2).filter_map(|_| client.begin_request("a.b", &Headers::new(), b"x").ok()).collect();
    let _ = client.connection_mut().subscribe("a.*", None).map(|sid| client.connection_mut().unsubscribe(sid, Some(2)));
    client.receive(rest);
    client.transport_ended();
    assert!(requests.iter().all(|request| client.take_reply(*request).is_some()), "a request without an outcome");
    assert_eq!(client.in_flight(), 0);
    requests.len()
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

#[test]
fn a_million_mutations_are_answers_and_not_panics() {
    let mutations = from_environment("NATS_WIRE_MUTATIONS", 1_000_000);
    let seed = from_environment("NATS_WIRE_SEED", 0x00B0_DE6A).max(1);
    let mut random = Random(seed);
    let mut reached = 0_usize;
    let mut bytes = Vec::new();
    for round in 0..mutations {
        // A few mutations on top of each other, then from a fresh conversation again.
        if round % 4 == 0 || bytes.len() > 4096 {
            bytes = CORPUS[random.below(CORPUS.len())].to_vec();
        }
        mutate(&mut bytes, &mut random);
        reached += converse_in_flight(&bytes);
        if round % 8 == 0 {
            let cut = 1 + random.below(16);
            let (in_pieces, written_in_pieces, outcomes) = converse(&bytes, cut);
            let (at_once, written_at_once, outcomes_at_once) = converse(&bytes, usize::MAX);
            let case = || format!("seed {seed}, round {round}, cut {cut}: {:?}", String::from_utf8_lossy(&bytes));
            assert_eq!(in_pieces, at_once, "{}", case());
            assert_eq!(outcomes, outcomes_at_once, "{}", case());
            // Closing drops what was not yet handed out, so the pieces may have written more by then.
            let closed = matches!(at_once.last(), Some(ClientEvent::Connection(Event::Closed(error)))
                if error.kind() != &ConnectionErrorKind::TransportEnded);
            assert!(written_in_pieces.starts_with(&written_at_once), "{}", case());
            assert!(closed || written_in_pieces == written_at_once, "{}", case());
        }
    }
    // Most mutations leave the greeting alone, so that what follows it is reached at all.
    assert!(reached as u64 > mutations / 2, "only {reached} requests were begun in {mutations} rounds");
}
