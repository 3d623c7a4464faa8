//! Who sends what nobody else would send spoils its own checkout and no other.

use bodega_domain::{
    Code,
    message::order::{Cancel, Outcome},
    order::OrderStatus,
    principal::Owner,
    quote,
};
use bodega_platform::sqlx;
use bodega_test_core::code;

use crate::{
    place::futures_join,
    shop::{BREAD, Shop, WATER},
};

/// Places one hostile checkout among eight honest ones, at once, and answers the hostile one's code.
async fn among_honest_ones(
    shop: &Shop,
    spoil: impl Fn(&mut bodega_domain::message::order::Place, &crate::shop::Guest),
) -> Option<Code> {
    let guests: Vec<_> = (0..9).map(|_| shop.guest()).collect();
    let mut places = Vec::new();
    for guest in &guests {
        let quote = shop.quote(guest, &[(WATER, 1)]).await;
        let mut place = shop.order(&quote, "k", "card_silent");
        place.wait_ms = 0;
        places.push(place);
    }
    spoil(&mut places[4], &guests[4]);
    let mut n = 0;
    let answers = futures_join(9, || {
        n += 1;
        shop.place(&guests[n - 1], places[n - 1].clone())
    })
    .await;
    for (n, answer) in answers.iter().enumerate() {
        assert!(n == 4 || answer.is_ok(), "an honest checkout failed: {answer:?}");
    }
    code(&answers[4])
}

#[tokio::test]
async fn a_text_that_cannot_be_stored_fails_alone() {
    let shop = Shop::open().await;
    let bad_key = among_honest_ones(&shop, |place, _| place.key = "k\u{1}".into()).await;
    assert_eq!(bad_key, Some(Code::IdempotencyKeyMissing));
    let bad_url = among_honest_ones(&shop, |place, _| place.return_url = Some("http://\0".into())).await;
    assert_eq!(bad_url, Some(Code::ValidationFailed));
    // Signed by us, and still nothing that the database can keep: found by halving the batch.
    let ring = &shop.core.config.keys.quote;
    let bad_content = among_honest_ones(&shop, |place, guest| {
        let owner = Owner::Guest(guest.session);
        let mut content = quote::verify(ring, &place.quote, owner).unwrap().into_content();
        content.lines[0].title = "\0".into();
        place.quote = quote::mint(ring, &content).unwrap();
    })
    .await;
    assert_eq!(bad_content, Some(Code::Internal));
    shop.close().await;
}

#[tokio::test]
async fn keys_of_every_command_are_texts_that_can_be_kept() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 1)], "k", "card_refused").await;
    for key in [String::new(), "\u{1}".into(), "a\nb".into(), "x".repeat(129)] {
        let cancel = Cancel { order: order.id, key: key.clone(), lines: Vec::new(), refund: None, reason: None };
        let refused = shop.core.ask_as(Some(&guest.token), cancel).await;
        assert_eq!(code(&refused), Some(Code::IdempotencyKeyMissing), "{key:?}");
        let refused = shop.core.ask_as(Some(&guest.token), Outcome { key: key.clone(), deadline: None }).await;
        assert_eq!(code(&refused), Some(Code::IdempotencyKeyMissing), "{key:?}");
    }
    assert_eq!(shop.get(&guest, order.id).await.status, OrderStatus::AwaitingPayment);
    shop.close().await;
}

#[tokio::test]
async fn an_edge_that_is_too_patient_keeps_no_stock() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let quote = shop.quote(&guest, &[(BREAD, 1)]).await;
    let mut place = shop.order(&quote, "k", "card_silent");
    place.deadline = shop.core.clock.now().plus_days(3_650);
    place.wait_ms = 0;
    shop.place(&guest, place).await.unwrap();
    let pool = shop.core.pool("inventory").await;
    let soon: bool =
        sqlx::query_scalar("select ask_at < now() + interval '2 minutes' from hold where ask_at is not null")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert!(soon, "inventory asks about the hold soon, whatever an edge says");
    shop.close().await;
}

#[tokio::test]
async fn the_same_quote_twice_in_one_batch_is_told_the_same_as_one_after_the_other() {
    let shop = Shop::open().await;
    // The batches form by themselves, so it is tried until the requests have surely shared one.
    for round in 0..6 {
        let guest = shop.guest();
        let (first, second) = (shop.quote(&guest, &[(WATER, 1)]).await, shop.quote(&guest, &[(WATER, 2)]).await);
        let mut places = vec![shop.order(&first, "a", "card_silent")];
        places.push(shop.order(&first, "a", "card_silent"));
        places.push(shop.order(&first, "b", "card_silent"));
        places.push(shop.order(&second, "a", "card_silent"));
        for place in &mut places {
            place.wait_ms = 0;
        }
        let mut n = 0;
        let answers = futures_join(4, || {
            n += 1;
            shop.place(&guest, places[n - 1].clone())
        })
        .await;
        let placed: std::collections::BTreeSet<_> = answers.iter().flatten().map(|order| order.id).collect();
        for answer in &answers {
            let told = code(answer);
            let fine = [None, Some(Code::QuoteUsed), Some(Code::IdempotencyKeyReused), Some(Code::Overloaded)];
            assert!(fine.contains(&told), "round {round}: {answer:?}");
            if let Some(about) = answer.as_ref().err().filter(|f| f.code == Code::QuoteUsed).map(|f| f.about.clone()) {
                let about = about.expect("the order that used it");
                assert!(placed.iter().any(|id| id.to_string() == about), "round {round}: {about} of {placed:?}");
            }
        }
        let list = bodega_domain::message::order::List::default();
        let orders = shop.core.ask_as(Some(&guest.token), list).await.unwrap().items;
        assert_eq!(orders.iter().map(|order| order.id).collect::<std::collections::BTreeSet<_>>(), placed);
    }
    shop.close().await;
}
