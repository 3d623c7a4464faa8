//! The core is killed while parcels leave, pieces are called off and goods come back: each happens once, and stock, books and
//! counts agree afterwards.

use std::{collections::BTreeMap, time::Duration};

use bodega_domain::{
    Code, Failure,
    id::MerchantId,
    message::{
        Request,
        order::{Cancel, DecideReturn, ReceiveReturn, Return, ReturnVerdict, Sagas},
        payment::{CaptureAt, SetPolicy},
    },
    order::{Fulfilment, OrderStatus, OrderView, ReturnState, ReturnView},
};
use bodega_platform::{RequestContext, sqlx};
use bodega_tests::eventually_within;

use crate::{
    crash::{Process, STALL_MS, open_apart, until_answering},
    fulfilment::{lines, parcel, staff},
    shop::{BREAD, Guest, ON_HAND, Shop},
};

/// Pieces of each order.
const PIECES: u32 = 3;
/// After a kill a run may be somebody else's for a while, and pauses grow.
const PATIENCE: Duration = Duration::from_secs(180);

/// What happens to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// Two pieces leave.
    Ship,
    /// Two pieces leave, and their money is taken with them.
    ShipAndCapture,
    /// One piece is called off.
    CancelLines,
    /// One of the pieces that left comes back.
    ReceiveReturn,
}

/// Every point between what is asked for and its end.
const POINTS: &[(&str, Move)] = &[
    ("order.before_ship_take_stock", Move::Ship),
    ("inventory.before_ship", Move::Ship),
    ("inventory.after_ship", Move::Ship),
    ("order.after_ship_take_stock", Move::Ship),
    ("order.before_ship_and_capture_take_stock", Move::ShipAndCapture),
    ("order.after_ship_and_capture_take_stock", Move::ShipAndCapture),
    ("order.before_ship_and_capture_capture", Move::ShipAndCapture),
    ("payment.after_claim", Move::ShipAndCapture),
    ("payment.after_capture", Move::ShipAndCapture),
    ("order.after_ship_and_capture_capture", Move::ShipAndCapture),
    ("order.before_cancel_lines_refund", Move::CancelLines),
    ("payment.after_refund", Move::CancelLines),
    ("order.after_cancel_lines_refund", Move::CancelLines),
    ("order.before_cancel_lines_release", Move::CancelLines),
    ("order.after_cancel_lines_release", Move::CancelLines),
    ("order.before_receive_return_refund", Move::ReceiveReturn),
    ("order.after_receive_return_refund", Move::ReceiveReturn),
    ("order.before_receive_return_book_in", Move::ReceiveReturn),
    ("order.after_receive_return_book_in", Move::ReceiveReturn),
];

struct Round {
    point: &'static str,
    what: Move,
    guest: Guest,
    order: OrderView,
    back: Option<ReturnView>,
}

impl Shop {
    async fn ask_shortly<R: Request + Sync>(&self, token: &str, request: R) -> Result<R::Answer, Failure> {
        let id = RequestContext::service(&self.core.clock, &bodega_platform::Entropy).request_id;
        let context = RequestContext::bearer(id, Some(token.to_owned()));
        let within = context.within(&self.core.clock, Duration::from_secs(3));
        self.core.bus.request(&request, &within).await.map_err(Failure::from)
    }

    /// Asks for what the round is about, always under the same key.
    async fn move_on(&self, round: &Round, bread: &str) -> Result<OrderView, Failure> {
        // Keys are the asker's, and one asker sends them all.
        let (order, key) = (round.order.id, format!("move {}", round.order.id));
        match round.what {
            Move::Ship | Move::ShipAndCapture => self.ask_shortly(bread, parcel(order, &key, &[(BREAD, 2)])).await,
            Move::CancelLines => {
                let cancel = Cancel { order, key, lines: lines(&[(BREAD, 1)]), refund: None, reason: None };
                self.ask_shortly(&round.guest.token, cancel).await
            }
            Move::ReceiveReturn => {
                let back = round.back.as_ref().expect("a return that was approved");
                let receive =
                    ReceiveReturn { order, r#return: back.id, key, lines: Vec::new(), location: None, refund: None };
                self.ask_shortly(bread, receive).await
            }
        }
    }

    /// An order whose goods have left and one piece of which may come back.
    async fn approved(&self, guest: &Guest, order: &OrderView, bread: &str) -> ReturnView {
        self.core.ask_as(Some(bread), parcel(order.id, &format!("out {}", order.id), &[])).await.unwrap();
        let asked = Return { order: order.id, key: "r".into(), lines: lines(&[(BREAD, 1)]), reason: None };
        let back = self.core.ask_as(Some(&guest.token), asked).await.unwrap().order.return_requests.remove(0);
        let decide = DecideReturn { order: order.id, r#return: back.id, verdict: ReturnVerdict::Approve };
        self.core.ask_as(Some(bread), decide).await.unwrap();
        back
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_moves_an_order_moves_once() {
    let (shop, configuration) = open_apart().await;
    let process = Process::start(&configuration, "");
    until_answering(&shop).await;
    let bread = staff(&shop, 1);
    let mut rounds = Vec::new();
    for (point, what) in POINTS {
        let guest = shop.guest();
        let capture = if *what == Move::ShipAndCapture { CaptureAt::Shipment } else { CaptureAt::Posting };
        let policy = SetPolicy { merchant: MerchantId::from_u128(1), late_money: None, capture: Some(capture) };
        shop.core.ask(policy).await.unwrap();
        let order = shop.paid(&guest, &[(BREAD, PIECES)], "k").await;
        let back = match what {
            Move::ReceiveReturn => Some(shop.approved(&guest, &order, &bread).await),
            Move::Ship | Move::ShipAndCapture | Move::CancelLines => None,
        };
        rounds.push(Round { point, what: *what, guest, order, back });
    }
    process.kill();

    let mut killed: BTreeMap<&str, u32> = BTreeMap::new();
    for round in &rounds {
        let process = Process::start(&configuration, &format!("{}=delay:{STALL_MS}", round.point));
        begin(&shop, round, &bread, &process).await;
        process.kill();
        *killed.entry(round.point).or_default() += 1;
    }
    assert_eq!(killed.len(), POINTS.len());

    let process = Process::start(&configuration, "");
    until_answering(&shop).await;
    let pool = shop.core.pool("order").await;
    sqlx::query("update run set due = now() where due is not null").execute(&pool).await.unwrap();
    for round in &rounds {
        check(&shop, round, &bread).await;
    }
    let count = |what: Move| i64::try_from(rounds.iter().filter(|round| round.what == what).count()).unwrap();
    let sent = count(Move::Ship) + count(Move::ShipAndCapture);
    let (off, back) = (count(Move::CancelLines), count(Move::ReceiveReturn));
    let pieces = i64::from(PIECES);
    let level = shop.level(BREAD).await;
    assert_eq!(
        level.on_hand,
        2 * ON_HAND - 2 * sent - (pieces - 1) * back,
        "what left has left once, what came back is there once"
    );
    assert_eq!((level.pending, level.posted), (0, (pieces - 2) * sent + (pieces - 1) * off));
    assert!(shop.core.ask(Sagas::default()).await.unwrap().items.is_empty(), "nothing is under way, nothing parked");
    shop.assert_balanced().await;
    process.kill();
    shop.close().await;
}

/// Asks again and again until the process stalls.
async fn begin(shop: &Shop, round: &Round, bread: &str, process: &Process) {
    eventually_within(PATIENCE, &format!("the core to stall at {}", round.point), || async {
        let mut told = process.stalled.clone();
        let stalled = async { told.wait_for(|stalled| *stalled).await.is_ok() };
        if process.is_stalled() {
            return Some(());
        }
        let answer = tokio::select! {
            answer = shop.move_on(round, bread) => answer,
            true = stalled => return Some(()),
        };
        if let Err(failure) = answer {
            let fine = [Code::CoreUnavailable, Code::OutcomeUnknown, Code::DeadlineExceeded, Code::Overloaded];
            assert!(fine.contains(&failure.code), "a crash is never told like this: {failure}");
        }
        None
    })
    .await;
}

async fn check(shop: &Shop, round: &Round, bread: &str) {
    let what = format!("{:?} killed at {}", round.what, round.point);
    let total = round.order.lines[0].total.amount();
    eventually_within(PATIENCE, &what, || async {
        // The same key: where the kill came before the commit nothing was done yet.
        shop.move_on(round, bread).await.ok()?;
        let order = shop.get(&round.guest, round.order.id).await;
        let (units, refunded) = (order.lines[0].units, order.payment.amounts.refunded.amount());
        let done = match round.what {
            Move::Ship => (units.shipped, units.preparing, order.fulfilment) == (2, 0, Fulfilment::Partial),
            Move::ShipAndCapture => {
                let taken = order.totals.total.amount() - (total - total * 2 / i64::from(PIECES));
                let captured = order.payment.amounts.captured.amount();
                let sent = (units.shipped, units.preparing, order.fulfilment) == (2, 0, Fulfilment::Partial);
                assert!(captured == 0 || captured == taken, "taken once: {captured}");
                sent && captured == taken
            }
            Move::CancelLines => {
                let released: i64 = shop.released(round).await;
                units.cancelled == 1 && refunded == total / i64::from(PIECES) && released == 1
            }
            Move::ReceiveReturn => {
                let state = order.return_requests[0].state;
                (state, units.returned, refunded) == (ReturnState::Received, 1, total / i64::from(PIECES))
            }
        };
        assert!(order.shipments.len() <= 1, "one parcel: {:?}", order.shipments);
        assert_ne!(order.status, OrderStatus::Cancelled);
        done.then_some(())
    })
    .await;
}

impl Shop {
    /// Pieces of an order that its hold has given back.
    async fn released(&self, round: &Round) -> i64 {
        sqlx::query_scalar("select coalesce(sum(released), 0)::bigint from hold_line where order_id = $1")
            .bind(sqlx::types::Uuid::from_u128(round.order.id.as_u128()))
            .fetch_one(&self.core.pool("inventory").await)
            .await
            .unwrap()
    }
}
