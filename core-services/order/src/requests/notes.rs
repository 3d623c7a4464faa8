//! `order.v1.{add_note,notes}`: what staff writes to each other about an order. A merchant's staff reads the own notes, the
//! marketplace's all of them; the buyer none.

use bodega_domain::{
    Code, Failure,
    failure::Validation,
    id::{MerchantId, NoteId},
    limits::{NOTE_BYTES_MAX, NOTES_MAX},
    message::note::{AddNote, Note, Notes},
    principal::Principal,
};
use bodega_platform::{Call, DatabaseError, TransactionError};

use super::{check_key, command::fingerprint, load, ship::staff_of};
use crate::{
    Orders,
    runs::{self, Asked},
    store::{self, Entry, read::StoredOrder},
};

/// Whose notes the asker reads: nobody's name for everybody's.
fn read_by(principal: &Principal, stored: &StoredOrder) -> Result<Option<Vec<MerchantId>>, Failure> {
    let own = staff_of(principal, stored)?;
    Ok((!principal.acts_for_all()).then(|| own.into_iter().collect()))
}

fn check(text: &str) -> Result<(), Failure> {
    let mut v = Validation::new();
    v.check(!text.trim().is_empty(), "/text", "required", "A note says something.");
    v.check(text.len() <= NOTE_BYTES_MAX, "/text", "too_long", "At most 2,000 bytes.");
    let printable = text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    v.check(printable, "/text", "control_character", "Lines of text, without control characters.");
    v.finish()
}

pub(crate) async fn add(orders: Orders, call: Call, request: AddNote) -> Result<Vec<Note>, Failure> {
    check_key(&request.key)?;
    check(&request.text)?;
    let stored = load(&orders, request.order).await?;
    let reads = read_by(&call.principal, &stored)?;
    let (context, who) = (&orders.context, call.principal.who());
    let now = context.clock().now();
    let print = fingerprint("note", &(request.order, &request.text));
    let asked = Asked { who: &who, key: &request.key, fingerprint: &print };
    let note = Note {
        id: NoteId::new(now.unix_ms(), context.entropy().bytes()),
        at: now,
        who: who.clone(),
        merchant: reads.as_ref().and_then(|own| own.first().copied()),
        text: Some(request.text.trim().to_owned()),
    };
    let (order, asked, note) = (stored.id, &asked, &note);
    context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                if !runs::fresh(&mut tx, order, asked).await? {
                    return Ok(());
                }
                // Under the order's lock: two notes at once are counted one after the other.
                store::saga::lock(&mut tx, &[order]).await?;
                if !store::notes::insert(&mut tx, order, note, now, NOTES_MAX).await? {
                    let failure = Failure::new(Code::Conflict, "This order has a hundred notes already.");
                    return Err(TransactionError::Refused(failure));
                }
                let data = serde_json::json!({ "note": note.id });
                let entry = Entry { order, what: "noted", who: note.who.clone(), data };
                store::append_history(&mut tx, &[entry], now).await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await?;
    list_for(&orders, order, reads.as_deref()).await
}

pub(crate) async fn list(orders: Orders, call: Call, request: Notes) -> Result<Vec<Note>, Failure> {
    let stored = load(&orders, request.order).await?;
    let reads = read_by(&call.principal, &stored)?;
    list_for(&orders, stored.id, reads.as_deref()).await
}

async fn list_for(
    orders: &Orders,
    order: bodega_domain::id::OrderId,
    merchants: Option<&[MerchantId]>,
) -> Result<Vec<Note>, Failure> {
    let pool = orders.context.postgres().pool();
    Ok(store::notes::of(pool, order, merchants).await.map_err(DatabaseError::from)?)
}
