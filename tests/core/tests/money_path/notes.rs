//! What staff writes to each other about an order.

use bodega_domain::{
    Code, Failure,
    id::OrderId,
    message::{
        note::{AddNote, Note, Notes},
        order::{Deliver, ForgetContact},
    },
    order::OrderStatus,
    token::Role,
};
use bodega_test_core::{code, fields};

use crate::{
    fulfilment::{parcel, staff},
    saga::account,
    shop::{BREAD, LAMP, Shop, history},
};

impl Shop {
    async fn note(&self, token: &str, order: OrderId, key: &str, text: &str) -> Result<Vec<Note>, Failure> {
        self.core.ask_as(Some(token), AddNote { order, key: key.into(), text: text.into() }).await
    }
}

fn texts(notes: &[Note]) -> Vec<Option<&str>> {
    notes.iter().map(|note| note.text.as_deref()).collect()
}

#[tokio::test]
async fn staff_writes_to_its_own_and_the_marketplace_reads_all_until_the_buyer_is_forgotten() {
    let shop = Shop::open().await;
    let (guest, bread, lamps) = (shop.guest(), staff(&shop, 1), staff(&shop, 2));
    let admin = account(&shop, vec![Role::Admin], 9);
    let order = shop.paid(&guest, &[(BREAD, 1), (LAMP, 1)], "k").await.id;

    shop.note(&bread, order, "n1", "Gift: no price.\nRing twice. לאה 🦀").await.unwrap();
    let again = shop.note(&bread, order, "n1", "Gift: no price.\nRing twice. לאה 🦀").await.unwrap();
    assert_eq!(texts(&again), [Some("Gift: no price.\nRing twice. לאה 🦀")], "the same key is the same note");
    assert_eq!(code(&shop.note(&bread, order, "n1", "Other").await), Some(Code::IdempotencyKeyReused));
    shop.note(&admin, order, "n1", "Called the carrier.").await.unwrap();
    assert!(texts(&shop.core.ask_as(Some(&lamps), Notes { order }).await.unwrap()).is_empty(), "another merchant's");
    let all = shop.core.ask_as(Some(&admin), Notes { order }).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].merchant.is_some(), all[1].merchant), (true, None));

    for (text, what) in [(" \n", "required"), ("a\u{7}b", "control_character"), (&*"x".repeat(2_001), "too_long")] {
        let refused = shop.note(&bread, order, "n2", text).await;
        assert_eq!(fields(&refused), [("/text".to_owned(), what.to_owned())]);
    }
    assert_eq!(code(&shop.note(&guest.token, order, "n3", "Mine?").await), Some(Code::Unauthenticated));
    assert_eq!(code(&shop.core.ask_as(Some(&guest.token), Notes { order }).await), Some(Code::Unauthenticated));
    let stranger = staff(&shop, 3);
    assert_eq!(code(&shop.core.ask_as(Some(&stranger), Notes { order }).await), Some(Code::OrderNotFound));
    let words = history(&shop, &guest, order).await;
    assert_eq!(words.iter().filter(|word| *word == "noted").count(), 2, "that there is a note, not what it says");

    let cancel =
        bodega_domain::message::order::Cancel { order, key: "c".into(), lines: vec![], refund: None, reason: None };
    shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
    shop.until_status(&guest, order, OrderStatus::Cancelled).await;
    assert!(shop.core.ask_as(Some(&admin), ForgetContact { order }).await.unwrap().emptied);
    assert_eq!(texts(&shop.core.ask_as(Some(&admin), Notes { order }).await.unwrap()), [None, None]);
    shop.close().await;
}

#[tokio::test]
async fn an_order_has_a_hundred_notes_at_most() {
    let shop = Shop::open().await;
    let (guest, bread) = (shop.guest(), staff(&shop, 1));
    let order = shop.paid(&guest, &[(BREAD, 1)], "k").await.id;
    for n in 0..100 {
        shop.note(&bread, order, &format!("n{n}"), "Once more.").await.unwrap();
    }
    assert_eq!(code(&shop.note(&bread, order, "one more", "Once more.").await), Some(Code::Conflict));
    assert_eq!(shop.core.ask_as(Some(&bread), Notes { order }).await.unwrap().len(), 100);
    shop.close().await;
}

#[tokio::test]
async fn what_staff_wrote_on_a_parcel_goes_with_the_buyer() {
    let shop = Shop::open().await;
    let (guest, bread) = (shop.guest(), staff(&shop, 1));
    let admin = account(&shop, vec![Role::Admin], 9);
    let order = shop.paid(&guest, &[(BREAD, 1)], "k").await.id;
    let sent = shop.core.ask_as(Some(&bread), parcel(order, "p", &[])).await.unwrap();
    assert!(sent.shipments[0].carrier.is_some() && sent.shipments[0].tracking.is_some());
    assert!(!shop.core.ask_as(Some(&admin), ForgetContact { order }).await.unwrap().emptied, "it is on its way");
    let kept = shop.get(&guest, order).await;
    assert!(kept.shipments[0].tracking.is_some(), "the buyer follows it by its number");
    shop.core.ask_as(Some(&bread), Deliver { order, shipment: sent.shipments[0].id }).await.unwrap();
    assert!(shop.core.ask_as(Some(&admin), ForgetContact { order }).await.unwrap().emptied);
    let parcel = &shop.get(&guest, order).await.shipments[0];
    assert_eq!((&parcel.carrier, &parcel.tracking), (&None, &None));
    shop.close().await;
}
