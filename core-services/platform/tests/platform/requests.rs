//! Asking and being asked.

use std::time::Duration;

use bodega_domain::{
    Code, Failure,
    event::Event,
    id::{EventId, OrderId, SessionId},
    message::{
        Reply,
        identity::SessionRevoked,
        inventory::{HoldOf, HoldState},
        order::{Abandon, Get, Outcome},
        pricing,
    },
};
use bodega_platform::{CallError, StartError, Wiring, bus::SERVICE_HEADER, service};
use bodega_tests::{Servers, eventually};

use crate::toy::{OUTCOME_GATE, Toy, as_guest, as_nobody, as_service, config, new_order, now, order};

fn code(refused: Result<impl std::fmt::Debug, CallError>) -> Code {
    match refused {
        Err(CallError::Refused(failure)) => failure.code,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn a_request_is_answered_in_its_own_words_and_under_its_own_id() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let session = SessionId::from_u128(7);
    let context = as_guest(&toy.config, session);
    let refused = toy.asker.request(&Get { order: new_order() }, &context).await.unwrap_err();
    let CallError::Refused(failure) = refused else { panic!("{refused:?}") };
    assert_eq!(failure.code, Code::OrderNotFound);
    assert_eq!(failure.detail, context.request_id.to_string());
    assert_eq!(failure.about, Some(session.to_string()));
}

#[tokio::test]
async fn each_caller_gets_what_the_table_says() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let get = Get { order: new_order() };
    assert_eq!(code(toy.asker.request(&get, &as_nobody()).await), Code::Unauthenticated);
    let inside = Abandon { orders: vec![] };
    let guest = as_guest(&toy.config, SessionId::from_u128(7));
    assert_eq!(code(toy.asker.request(&inside, &guest).await), Code::Forbidden);
    assert_eq!(code(toy.asker.request(&inside, &as_nobody()).await), Code::Forbidden);
    assert!(toy.asker.request(&inside, &as_service()).await.is_ok());
    // Where an edge may publish, claiming to be a service is the same as saying nothing.
    assert_eq!(code(toy.asker.request(&get, &as_service()).await), Code::Unauthenticated);
}

#[tokio::test]
async fn a_revoked_session_is_refused_at_once() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let session = SessionId::from_u128(u128::from(std::process::id()) << 64 | 8);
    let guest = as_guest(&toy.config, session);
    let get = Get { order: new_order() };
    assert_eq!(code(toy.asker.request(&get, &guest).await), Code::OrderNotFound);
    let event = Event {
        id: EventId::from_u128(1),
        source: "identity".into(),
        r#type: "evt.identity.v1.session_revoked".into(),
        time: now(),
        subject: session.to_string(),
        data_version: 1,
        data: serde_json::to_value(SessionRevoked { session, until: now().plus_min(10) }).unwrap(),
    };
    let payload = serde_json::to_vec(&event).unwrap();
    toy.asker.client().publish("evt.identity.v1.session_revoked", payload.into()).await.unwrap();
    eventually("the session to be refused", || async {
        (code(toy.asker.request(&get, &guest).await) == Code::SessionExpired).then_some(())
    })
    .await;
}

#[tokio::test]
async fn hostile_bytes_are_answered_with_a_typed_failure() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let long = format!("{{\"orders\":[\"{}\"]}}", "x".repeat(100_000));
    for body in ["", "{", "null", "[]", "{\"orders\":7}", "\u{0}\u{1}", long.as_str()] {
        let reply =
            toy.asker.request_bytes("order.v1.abandon", body.as_bytes().to_vec().into(), &as_service()).await.unwrap();
        let reply: Reply<serde_json::Value> = serde_json::from_slice(&reply).unwrap();
        let Reply::Failure(failure) = reply else { panic!("{body:.40} was accepted") };
        assert_eq!(failure.code, Code::MalformedBody, "{body:.40}");
    }
    let too_large = vec![b' '; 1024 * 1024 + 1];
    let refused = toy.asker.request_bytes("order.v1.abandon", too_large.into(), &as_service()).await;
    assert_eq!(code(refused), Code::PayloadTooLarge);
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(SERVICE_HEADER, "order");
    headers.insert("Bodega-Deadline", "-9223372036854775808");
    headers.insert("Bodega-Request-Id", "req_nonsense");
    let reply =
        toy.asker.client().request_with_headers("order.v1.abandon", headers, "{\"orders\":[]}".into()).await.unwrap();
    assert!(serde_json::from_slice::<Reply<serde_json::Value>>(&reply.payload).is_ok());
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_next_request_is_served() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let guest = as_guest(&toy.config, SessionId::from_u128(9));
    let planted = Get { order: OrderId::from_u128(13) };
    assert_eq!(code(toy.asker.request(&planted, &guest).await), Code::Internal);
    assert_eq!(code(toy.asker.request(&Get { order: new_order() }, &guest).await), Code::OrderNotFound);
}

#[tokio::test]
async fn a_request_after_its_deadline_begins_nothing() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let before = toy.count("order", "select count(*) from orders").await;
    let late = as_service().with_deadline(now().plus_ms(-1));
    let ask = Abandon { orders: vec![new_order()] };
    assert_eq!(code(toy.asker.request(&ask, &late).await), Code::DeadlineExceeded);
    // Also when the asker's clock lets it through: the service looks for itself.
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(SERVICE_HEADER, "gateway");
    headers.insert("Bodega-Deadline", (now().unix_ms() - 1).to_string());
    let body = serde_json::to_vec(&ask).unwrap();
    let reply = toy.asker.client().request_with_headers("order.v1.abandon", headers, body.into()).await.unwrap();
    let reply: Reply<serde_json::Value> = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(Result::from(reply).map_err(|f: Failure| f.code), Err(Code::DeadlineExceeded));
    assert_eq!(toy.count("order", "select count(*) from orders").await, before);
}

#[tokio::test]
async fn nobody_listening_is_unavailable_and_no_reply_is_unknown() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let nobody = pricing::Promotions::default();
    let answer = toy.asker.request(&nobody, &as_service()).await;
    assert!(matches!(answer, Err(CallError::Unavailable(_))), "{answer:?}");
    let guest = as_guest(&toy.config, SessionId::from_u128(7)).with_deadline(now().plus_ms(300));
    let held = Outcome { key: "held".into(), deadline: None };
    assert_eq!(toy.asker.request(&held, &guest).await, Err(CallError::Unknown));
    // The asker is gone; the work goes on and a stop waits for it.
    assert_eq!(toy.count("order", "select count(*) from orders where note = 'held'").await, 0);
    let postgres = servers.postgres_url(toy.config.database.url.expose().rsplit('/').next().unwrap());
    let stopping = tokio::spawn(toy.running.stop(Duration::from_secs(20)));
    OUTCOME_GATE.add_permits(1);
    assert!(stopping.await.unwrap(), "the stop lost patience");
    let mut connection =
        <bodega_platform::sqlx::PgConnection as bodega_platform::sqlx::Connection>::connect(&postgres).await.unwrap();
    let written: i64 = bodega_platform::sqlx::query_scalar("select count(*) from \"order\".orders where note = 'held'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(written, 1);
}

#[tokio::test]
async fn services_find_each_other_and_are_listed_by_the_bus() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let state = toy.asker.request(&HoldOf { order: new_order() }, &as_service()).await.unwrap();
    assert_eq!(state, HoldState::None);
    let pong = toy.asker.client().request("$SRV.INFO.order", "".into()).await.unwrap();
    let info: serde_json::Value = serde_json::from_slice(&pong.payload).unwrap();
    let subjects: Vec<_> =
        info["endpoints"].as_array().unwrap().iter().map(|e| e["subject"].as_str().unwrap()).collect();
    assert!(subjects.contains(&"order.v1.get"), "{subjects:?}");
    assert!(info["endpoints"].as_array().unwrap().iter().all(|e| e["queue_group"] == "order"));
}

#[tokio::test]
async fn a_handler_for_a_foreign_subject_or_twice_is_refused_at_start() {
    let servers = Servers::start().await.unwrap();
    let config = std::sync::Arc::new(config(&servers).await);
    let foreign = service::Service::without_database("cart", |context| {
        Box::pin(
            async move { Ok(Wiring::new(&context).on((), |(), _, _: Abandon| async { Err(Failure::internal()) })) },
        )
    });
    let mut running = service::run(config.clone(), vec![foreign]).await.unwrap();
    let error = running.started().await.unwrap_err();
    assert!(matches!(error, StartError::Register(_)), "{error}");
    assert!(!running.health().await[0].ready);
    let unmigrated = service::run(config, vec![order()]).await.unwrap().started().await.unwrap_err();
    assert!(!matches!(unmigrated, StartError::Register(_)), "{unmigrated}");
}
