//! Any bytes, cut anywhere: no panic, and both ways to cut them mean the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nats_wire::{Client, ClientEvent, Headers, Options};

fn converse(bytes: &[u8], cut: usize) -> Vec<ClientEvent> {
    let Ok(mut client) = Client::new(Options::default(), "fuzz") else { return Vec::new() };
    client.receive(b"INFO {\"headers\":true,\"max_payload\":1048576}\r\n");
    let request = client.begin_request("a.b", &Headers::new(), b"x");
    let mut events = Vec::new();
    for piece in bytes.chunks(cut) {
        events.extend(client.receive(piece));
        client.transmit();
    }
    events.extend(client.transport_ended());
    assert!(request.is_ok_and(|request| client.take_reply(request).is_some()));
    events
}

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    assert_eq!(converse(bytes, usize::from(cut) + 1), converse(bytes, bytes.len().max(1)));
    let _ = Headers::parse(bytes);
});
