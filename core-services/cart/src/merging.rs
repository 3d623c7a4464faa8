//! A batch of merges in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{Code, Failure, Timestamp, cart::Cart};
use bodega_platform::{Context, TransactionError, Tx, halving};
use uuid::Uuid;

use crate::{
    cache,
    store::{self, Row},
};

/// A merge whose parts have been read.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) cart: String,
    pub(crate) state: Cart,
    /// The account that asks; a guest has none.
    pub(crate) account: Option<Uuid>,
    pub(crate) adopt: Option<(String, Cart)>,
}

/// The encoded result of each.
type Answers = Vec<Result<Vec<u8>, Failure>>;

/// Writes a batch and answers each command. A command that breaks the transaction is found by halving.
pub(crate) async fn write(context: &Context, commands: &[Command]) -> Answers {
    let isolate = |failure: &Failure| failure.code == Code::Internal;
    let answers = halving(commands, isolate, |part| write_part(context, part)).await;
    answers.into_iter().map(|answer| answer.and_then(|inner| inner)).collect()
}

async fn write_part(context: &Context, commands: &[Command]) -> Result<Answers, Failure> {
    let now = context.clock().now();
    let [random] = context.entropy().bytes::<1>();
    let written = context.postgres().transaction(|tx| {
        Box::pin(async move { transact(tx, commands, now, random).await.map_err(TransactionError::<Failure>::from) })
    });
    let (answers, changed) = written.await?;
    for (cart, row) in &changed {
        cache::set(context.redis(), cart, row).await;
    }
    Ok(answers)
}

async fn transact(
    mut tx: Tx<'_, '_>,
    commands: &[Command],
    now: Timestamp,
    random: u8,
) -> Result<(Answers, BTreeMap<String, Row>), bodega_platform::sqlx::Error> {
    let guests: BTreeSet<&str> =
        commands.iter().filter_map(|c| c.adopt.as_ref()).map(|(guest, _)| guest.as_str()).collect();
    let mut names: BTreeSet<&str> = commands.iter().map(|c| c.cart.as_str()).collect();
    names.extend(&guests);
    let before = store::lock(&mut tx, &names.into_iter().collect::<Vec<_>>(), now).await?;
    let mut rows = before.clone();
    // Only the guests' carts of commands that are allowed are noted: a refusal writes nothing.
    let allowed: Vec<bool> = commands.iter().map(|c| may(&rows, c)).collect();
    let adopting: BTreeSet<&str> = commands
        .iter()
        .zip(&allowed)
        .filter(|(_, allowed)| **allowed)
        .filter_map(|(c, _)| c.adopt.as_ref().map(|(guest, _)| guest.as_str()))
        .collect();
    let mut fresh: BTreeSet<String> = BTreeSet::new();
    if !adopting.is_empty() {
        fresh.extend(store::note_adopted(&mut tx, &adopting.into_iter().collect::<Vec<_>>(), now).await?);
    }
    let answers = commands
        .iter()
        .map(|command| {
            if !may(&rows, command) {
                return Err(Code::Forbidden.into());
            }
            apply(&mut rows, &mut fresh, command, now, random)
        })
        .collect();
    rows.retain(|cart, row| before.get(cart) != Some(row));
    rows.values_mut().for_each(|row| row.version += 1);
    let changed: Vec<(&str, &Row)> = rows.iter().map(|(cart, row)| (cart.as_str(), row)).collect();
    if !changed.is_empty() {
        store::write(&mut tx, &changed, now).await?;
    }
    Ok((answers, rows))
}

/// A cart that an account adopted into is nobody else's, and neither can it be adopted as a guest's.
fn may(rows: &BTreeMap<String, Row>, command: &Command) -> bool {
    let owner = |cart: &str| rows.get(cart).and_then(|row| row.account);
    let own = owner(&command.cart).is_none_or(|account| command.account == Some(account));
    own && command.adopt.as_ref().is_none_or(|(guest, _)| owner(guest).is_none())
}

/// Merges in memory what is locked in the database.
fn apply(
    rows: &mut BTreeMap<String, Row>,
    fresh: &mut BTreeSet<String>,
    command: &Command,
    now: Timestamp,
    random: u8,
) -> Result<Vec<u8>, Failure> {
    let mut cart = kept(rows, &command.cart);
    cart.merge(&command.state);
    let (mut account, version) = rows.get(&command.cart).map_or((None, 0), |row| (row.account, row.version));
    if let Some((guest, state)) = &command.adopt {
        account = command.account;
        if fresh.remove(guest) {
            let mut guest = kept(rows, guest);
            guest.merge(state);
            let tick = cart.next_tick(now, random);
            cart.adopt(&guest, tick);
        }
    }
    cart.prune(now);
    let state = cart.encode();
    // A merge of two replicas with many unfolded adds may exceed what a decoder accepts: what is kept stays readable.
    if Cart::decode(&state).is_err() {
        return Err(Code::CartFull.into());
    }
    rows.insert(command.cart.clone(), Row { state: state.clone(), account, version });
    Ok(state)
}

fn kept(rows: &BTreeMap<String, Row>, cart: &str) -> Cart {
    rows.get(cart).map_or_else(Cart::new, |row| decode(cart, &row.state))
}

/// A kept state. One that cannot be read would block its cart for ever, so it counts as empty, and the log says so.
pub(crate) fn decode(cart: &str, state: &[u8]) -> Cart {
    if state.is_empty() {
        return Cart::new();
    }
    Cart::decode(state).unwrap_or_else(|error| {
        tracing::error!(%error, cart, "a kept cart cannot be read");
        Cart::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cart(sku: u32, quantity: u32, tick: u64) -> Cart {
        let mut cart = Cart::new();
        cart.set(sku, quantity, tick).unwrap();
        cart
    }

    fn command(name: &str, state: Cart) -> Command {
        Command { cart: name.into(), state, account: None, adopt: None }
    }

    #[test]
    fn a_guests_cart_is_adopted_with_what_the_core_kept_of_it() {
        let account = Some(Uuid::from_u128(1));
        let mut rows = BTreeMap::from([("guest".to_owned(), Row { state: cart(1, 5, 10).encode(), ..Row::default() })]);
        let mut fresh = BTreeSet::from(["guest".to_owned()]);
        let adopt = Some(("guest".to_owned(), cart(2, 3, 11)));
        let command = Command { account, adopt, ..command("own", cart(1, 2, 12)) };
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        for _ in 0..2 {
            let state = apply(&mut rows, &mut fresh, &command, now, 0).unwrap();
            let merged = Cart::decode(&state).unwrap();
            assert_eq!(merged.lines().collect::<Vec<_>>(), [(1, 5), (2, 3)]);
            assert_eq!(rows["own"].account, account);
        }
    }

    #[test]
    fn a_cart_of_an_account_is_nobody_elses() {
        let owner = Uuid::from_u128(1);
        let rows = BTreeMap::from([("own".to_owned(), Row { account: Some(owner), ..Row::default() })]);
        let ask = |account| may(&rows, &Command { account, ..command("own", Cart::new()) });
        assert_eq!([ask(Some(owner)), ask(Some(Uuid::from_u128(2))), ask(None)], [true, false, false]);
        let adopt = Some(("own".to_owned(), Cart::new()));
        let thief = Command { account: Some(Uuid::from_u128(2)), adopt, ..command("other", Cart::new()) };
        assert!(!may(&rows, &thief), "nor can it be adopted as if it were a guest's");
    }

    #[test]
    fn what_is_kept_stays_readable() {
        let adds = |from: u32| {
            let mut cart = Cart::new();
            for id in from..from + 8 {
                cart.add(1, 1, id, u64::from(id)).unwrap();
            }
            cart
        };
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        let (mut rows, mut fresh) = (BTreeMap::new(), BTreeSet::new());
        let mut refused = 0;
        for part in 1..20 {
            let answer = apply(&mut rows, &mut fresh, &command("own", adds(part * 8)), now, 0);
            refused += usize::from(answer.is_err_and(|failure| failure.code == Code::CartFull));
            assert!(Cart::decode(&rows["own"].state).is_ok());
        }
        assert!(refused > 0);
    }
}
