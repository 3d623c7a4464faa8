//! Parts of holds on real servers: what leaves the house, comes back or is given back, each once, whoever asks at once.

use bodega_domain::{
    Code,
    catalog::SkuNo,
    id::{CancellationId, LocationId, MerchantId, OrderId, ShipmentId},
    message::inventory::{
        Adjust, Adjustment, Exceptions, Hold, HoldAsk, HoldLine, HoldOf, HoldState, HoldVerdict, Level, Levels,
        Location, Movements, PartVerdict, Post, PutLocations, Release, Ship, Shortage, Taken, Units, Unpost, Unship,
        Void,
    },
};
use bodega_platform::{
    Entropy,
    sqlx::{self, PgPool},
};
use bodega_test_core::{Core, code, fields};
use bodega_tests::eventually;

const BREAD: SkuNo = 1;
const WATER: SkuNo = 2;
/// The band of what nobody can buy, as a row keeps it.
const OUT: i16 = 0;

struct House {
    core: Core,
    pool: PgPool,
}

fn seller() -> MerchantId {
    MerchantId::from_u128(1)
}

fn shelf(n: u128) -> LocationId {
    LocationId::from_u128(n)
}

fn taken(taken: &[(SkuNo, u128, u32)]) -> PartVerdict {
    let one = |(sku_no, at, quantity): &(SkuNo, u128, u32)| Taken {
        sku_no: *sku_no,
        location: shelf(*at),
        quantity: *quantity,
    };
    PartVerdict::Moved(taken.iter().map(one).collect())
}

fn short(sku_no: SkuNo, wanted: u32, available: u32) -> PartVerdict {
    PartVerdict::Short(vec![Shortage { sku_no, wanted, available }])
}

fn units(units: &[(SkuNo, u32)]) -> Vec<Units> {
    units.iter().map(|(sku_no, quantity)| Units { sku_no: *sku_no, quantity: *quantity }).collect()
}

impl House {
    /// Two shelves with so many units of bread, and as many of water.
    async fn open(first: i64, second: i64) -> Self {
        let core = Core::open(&[bodega_inventory::service()], "").await;
        let pool = core.pool("inventory").await;
        let house = Self { core, pool };
        let location =
            |n: i32| Location { id: shelf(n.unsigned_abs().into()), name: format!("Shelf {n}"), priority: n };
        house.core.ask(PutLocations { locations: vec![location(1), location(2)] }).await.unwrap();
        for sku_no in [BREAD, WATER] {
            for (at, units) in [(1, first), (2, second)].into_iter().filter(|(_, units)| *units > 0) {
                house.count(sku_no, at, units, &format!("seed:{sku_no}:{at}")).await;
            }
        }
        house
    }

    fn adjustment(sku_no: SkuNo, at: u128, delta: i64, reference: &str) -> Adjustment {
        let (location, reason) = (shelf(at), "count".to_owned());
        Adjustment { sku_no, location, merchant: seller(), delta, reason, reference: reference.to_owned() }
    }

    async fn count(&self, sku_no: SkuNo, at: u128, delta: i64, reference: &str) {
        let adjustments = vec![Self::adjustment(sku_no, at, delta, reference)];
        self.core.ask(Adjust { adjustments }).await.unwrap();
    }

    async fn held(&self, lines: &[(SkuNo, u32)]) -> OrderId {
        let order = self.order();
        self.hold(order, lines).await;
        order
    }

    async fn hold(&self, order: OrderId, lines: &[(SkuNo, u32)]) {
        let line =
            |(sku_no, quantity): &(SkuNo, u32)| HoldLine { sku_no: *sku_no, quantity: *quantity, merchant: seller() };
        let ask =
            HoldAsk { order, lines: lines.iter().map(line).collect(), ask_at: self.core.clock.now().plus_min(10) };
        assert_eq!(self.core.ask(Hold { asks: vec![ask] }).await.unwrap(), [HoldVerdict::Held]);
    }

    async fn paid(&self, lines: &[(SkuNo, u32)]) -> OrderId {
        let order = self.held(lines).await;
        assert_eq!(self.core.ask(Post { orders: vec![order] }).await.unwrap(), [HoldState::Posted]);
        order
    }

    fn order(&self) -> OrderId {
        OrderId::new(self.core.clock.now().unix_ms(), Entropy.bytes())
    }

    fn ship_of(&self, order: OrderId, wanted: &[(SkuNo, u32)]) -> Ship {
        let shipment = ShipmentId::new(self.core.clock.now().unix_ms(), Entropy.bytes());
        Ship { shipment, order, merchant: seller(), units: units(wanted), location: None }
    }

    fn release_of(&self, order: OrderId, wanted: &[(SkuNo, u32)]) -> Release {
        let cancellation = CancellationId::new(self.core.clock.now().unix_ms(), Entropy.bytes());
        Release { cancellation, order, merchant: seller(), units: units(wanted) }
    }

    async fn ship(&self, ship: &Ship) -> PartVerdict {
        self.core.ask(ship.clone()).await.unwrap()
    }

    async fn unship(&self, ship: &Ship) {
        self.core.ask(Unship { shipment: ship.shipment, order: ship.order }).await.unwrap();
    }

    async fn release(&self, release: &Release) -> PartVerdict {
        self.core.ask(release.clone()).await.unwrap()
    }

    async fn unpost(&self, order: OrderId) {
        assert_eq!(self.core.ask(Unpost { orders: vec![order] }).await.unwrap(), [HoldState::Voided]);
    }

    async fn shelves(&self, sku_no: SkuNo) -> Vec<Level> {
        self.core.ask(Levels { sku_nos: vec![sku_no], ..Levels::default() }).await.unwrap().items
    }

    /// On hand and posted, both shelves together.
    async fn level(&self, sku_no: SkuNo) -> (i64, i64) {
        let shelves = self.shelves(sku_no).await;
        (shelves.iter().map(|level| level.on_hand).sum(), shelves.iter().map(|level| level.posted).sum())
    }

    /// What edges were told last.
    async fn band(&self, sku_no: SkuNo) -> i16 {
        let row = sqlx::query_scalar("select band from band where sku_no = $1").bind(i64::from(sku_no));
        row.fetch_one(&self.pool).await.unwrap()
    }

    async fn movements(&self) -> Vec<(i64, String, String, Option<String>)> {
        let newest_first = self.core.ask(Movements::default()).await.unwrap().items;
        let told = newest_first.into_iter().rev().filter(|movement| movement.reason != "count");
        told.map(|movement| (movement.delta, movement.reason, movement.reference, movement.who)).collect()
    }

    /// Each row is the sum of what is written about it.
    async fn assert_balanced(&self) {
        let misfits: Vec<String> = sqlx::query_scalar(
            "select s::text from stock s,
                 lateral (select coalesce(sum(delta), 0) as on_hand from movement m
                          where m.sku_no = s.sku_no and m.location = s.location) as m,
                 lateral (select coalesce(sum(quantity) filter (where state = 0), 0) as pending,
                                 coalesce(sum(quantity - shipped - released) filter (where state = 1), 0) as posted
                          from hold_line l join hold using (order_id)
                          where l.sku_no = s.sku_no and l.location = s.location) as h
             where (s.on_hand, s.pending, s.posted, s.short)
                   <> (m.on_hand, h.pending, h.posted, greatest(0, s.pending + s.posted - s.on_hand))
             union all
             select l::text from
                 (select order_id, sku_no, sum(shipped) as shipped, sum(released) as released
                  from hold_line group by 1, 2) as l,
                 lateral (select coalesce(sum((u ->> 'quantity')::bigint) filter (where kind = 0), 0) as shipped,
                                 coalesce(sum((u ->> 'quantity')::bigint) filter (where kind = 2), 0) as released
                          from hold_part p, jsonb_array_elements(units) as u
                          where p.order_id = l.order_id and (u ->> 'sku_no')::bigint = l.sku_no) as p
             where (l.shipped, l.released) <> (p.shipped, p.released)",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        assert!(misfits.is_empty(), "{misfits:?}");
    }

    async fn close(mut self) {
        self.assert_balanced().await;
        self.core.stop().await;
    }
}

#[tokio::test]
async fn what_is_shipped_leaves_on_hand_and_what_is_promised_once() {
    let house = House::open(3, 5).await;
    let order = house.paid(&[(BREAD, 6), (WATER, 2)]).await;
    let first = house.ship_of(order, &[(WATER, 1), (BREAD, 2)]);
    for _ in 0..2 {
        assert_eq!(house.ship(&first).await, taken(&[(BREAD, 1, 2), (WATER, 1, 1)]));
        assert_eq!((house.level(BREAD).await, house.level(WATER).await), ((6, 4), (7, 1)));
    }
    let from = |at| Ship { location: Some(shelf(at)), ..house.ship_of(order, &[(BREAD, 2)]) };
    assert_eq!(house.ship(&from(1)).await, short(BREAD, 2, 1), "one of three is left there");
    let second = from(2);
    assert_eq!(house.ship(&second).await, taken(&[(BREAD, 2, 2)]));
    let third = house.ship_of(order, &[(BREAD, 2)]);
    assert_eq!(house.ship(&third).await, taken(&[(BREAD, 1, 1), (BREAD, 2, 1)]));
    assert_eq!((house.level(BREAD).await, house.level(WATER).await), ((2, 0), (7, 1)));
    let of = |sku_no, wanted, available| Shortage { sku_no, wanted, available };
    let more = house.ship(&house.ship_of(order, &[(BREAD, 1), (WATER, 2)])).await;
    assert_eq!(more, PartVerdict::Short(vec![of(BREAD, 1, 0), of(WATER, 2, 1)]));
    let told = |delta, ship: &Ship, sku: SkuNo, at| {
        let reference = format!("shipment:{}:{sku}:{}", ship.shipment, shelf(at));
        (delta, "shipped".to_owned(), reference, Some("service".to_owned()))
    };
    let mut expected = vec![
        told(-2, &first, BREAD, 1),
        told(-1, &first, WATER, 1),
        told(-2, &second, BREAD, 2),
        told(-1, &third, BREAD, 1),
        told(-1, &third, BREAD, 2),
    ];
    let mut movements = house.movements().await;
    movements.sort();
    expected.sort();
    assert_eq!(movements, expected);
    house.close().await;
}

#[tokio::test]
async fn what_is_not_there_is_short_until_it_is_counted_again() {
    let house = House::open(5, 0).await;
    let order = house.paid(&[(BREAD, 4), (WATER, 4)]).await;
    house.count(BREAD, 1, -3, "shrunk").await;
    let ship = house.ship_of(order, &[(BREAD, 3), (WATER, 1)]);
    assert_eq!(house.ship(&ship).await, short(BREAD, 3, 2));
    assert_eq!((house.level(BREAD).await, house.level(WATER).await), ((2, 4), (5, 4)), "nothing went");
    assert_eq!(house.ship(&house.ship_of(order, &[(BREAD, 2)])).await, taken(&[(BREAD, 1, 2)]));
    assert_eq!(house.shelves(BREAD).await[0].short, 2, "as many are missing as before");
    house.count(BREAD, 1, 3, "found").await;
    assert_eq!(house.ship(&ship).await, short(BREAD, 3, 2), "two of four have left");
    let ship = Ship { units: units(&[(BREAD, 2), (WATER, 1)]), ..ship };
    assert_eq!(house.ship(&ship).await, taken(&[(BREAD, 1, 2), (WATER, 1, 1)]), "the same shipment, now that it can");
    assert_eq!((house.level(BREAD).await, house.level(WATER).await), ((1, 0), (4, 3)));
    house.close().await;
}

#[tokio::test]
async fn a_shipment_that_was_taken_back_never_leaves_again() {
    let house = House::open(3, 3).await;
    let order = house.paid(&[(BREAD, 5)]).await;
    let ship = house.ship_of(order, &[(BREAD, 4)]);
    assert_eq!(house.ship(&ship).await, taken(&[(BREAD, 1, 3), (BREAD, 2, 1)]));
    for _ in 0..2 {
        house.unship(&ship).await;
        assert_eq!(house.level(BREAD).await, (6, 5));
        assert_eq!(house.ship(&ship).await, PartVerdict::Undone);
    }
    let mut back: Vec<_> = house.movements().await.into_iter().filter(|(delta, ..)| *delta > 0).collect();
    let mut expected: Vec<_> = [(3, 1), (1, 2)]
        .map(|(delta, at)| {
            let reference = format!("shipment_undone:{}:{BREAD}:{}", ship.shipment, shelf(at));
            (delta, "shipment_undone".to_owned(), reference, Some("service".to_owned()))
        })
        .into();
    back.sort();
    expected.sort();
    assert_eq!(back, expected);
    // One that never was, of an order that holds something and of one that holds nothing.
    for order in [order, OrderId::from_u128(9)] {
        let late = house.ship_of(order, &[(BREAD, 1)]);
        house.unship(&late).await;
        house.unship(&late).await;
        assert_eq!(house.ship(&late).await, PartVerdict::Undone);
    }
    assert_eq!(house.level(BREAD).await, (6, 5));
    assert_eq!(house.ship(&house.ship_of(order, &[(BREAD, 5)])).await, taken(&[(BREAD, 1, 3), (BREAD, 2, 2)]));
    house.close().await;
}

#[tokio::test]
async fn an_order_that_is_given_back_gives_back_the_rest() {
    let house = House::open(6, 0).await;
    let order = house.paid(&[(BREAD, 5)]).await;
    let ship = house.ship_of(order, &[(BREAD, 2)]);
    assert_eq!(house.ship(&ship).await, taken(&[(BREAD, 1, 2)]));
    assert_eq!(house.release(&house.release_of(order, &[(BREAD, 1)])).await, taken(&[(BREAD, 1, 1)]));
    assert_eq!(house.level(BREAD).await, (4, 2));
    for _ in 0..2 {
        house.unpost(order).await;
        assert_eq!(house.level(BREAD).await, (4, 0));
    }
    assert_eq!(house.ship(&ship).await, taken(&[(BREAD, 1, 2)]), "it is told as it was");
    assert_eq!(house.ship(&house.ship_of(order, &[(BREAD, 1)])).await, short(BREAD, 1, 0));
    assert_eq!(house.release(&house.release_of(order, &[(BREAD, 1)])).await, short(BREAD, 1, 0));
    house.unship(&ship).await;
    assert_eq!(house.level(BREAD).await, (6, 0), "what comes back late is nobody's");
    house.close().await;
}

#[tokio::test]
async fn units_are_given_back_once_and_close_what_is_missing() {
    let house = House::open(2, 2).await;
    let order = house.paid(&[(BREAD, 4)]).await;
    house.count(BREAD, 2, -2, "gone").await;
    let missing = || async { house.core.ask(Exceptions::default()).await.unwrap().items.len() };
    assert_eq!((missing().await, house.level(BREAD).await), (1, (2, 4)));
    let release = house.release_of(order, &[(BREAD, 2)]);
    for _ in 0..2 {
        assert_eq!(house.release(&release).await, taken(&[(BREAD, 2, 2)]), "what is missing goes first");
        assert_eq!((missing().await, house.level(BREAD).await), (0, (2, 2)));
    }
    assert_eq!(house.release(&house.release_of(order, &[(BREAD, 3)])).await, short(BREAD, 3, 2));
    let ship = house.ship_of(order, &[(BREAD, 1)]);
    assert_eq!(house.ship(&ship).await, taken(&[(BREAD, 1, 1)]));
    assert_eq!(house.release(&house.release_of(order, &[(BREAD, 2)])).await, short(BREAD, 2, 1));
    assert_eq!(house.band(BREAD).await, OUT, "all is promised");
    assert_eq!(house.release(&house.release_of(order, &[(BREAD, 1)])).await, taken(&[(BREAD, 1, 1)]));
    assert_ne!(house.band(BREAD).await, OUT, "the one that was given back can be sold");
    assert_eq!(house.core.ask(HoldOf { order }).await.unwrap(), HoldState::Posted);
    house.close().await;
}

#[tokio::test]
async fn only_what_is_promised_to_a_paid_order_of_this_merchant_moves() {
    let house = House::open(5, 5).await;
    let (held, paid) = (house.held(&[(BREAD, 2)]).await, house.paid(&[(BREAD, 2)]).await);
    let ship = house.ship_of(held, &[(BREAD, 1)]);
    assert_eq!(house.ship(&ship).await, short(BREAD, 1, 0), "it is not paid yet");
    assert_eq!(house.release(&house.release_of(held, &[(BREAD, 1)])).await, short(BREAD, 1, 0));
    house.core.ask(Post { orders: vec![held] }).await.unwrap();
    assert_eq!(house.ship(&ship).await, taken(&[(BREAD, 1, 1)]), "a refusal is not remembered");
    let foreign = Ship { merchant: MerchantId::from_u128(2), ..house.ship_of(paid, &[(BREAD, 1)]) };
    assert_eq!(house.ship(&foreign).await, short(BREAD, 1, 0));

    let of_another_order = Ship { order: paid, ..ship.clone() };
    assert_eq!(code(&house.core.ask(of_another_order).await), Some(Code::IdempotencyKeyReused));
    let of_another_order = Unship { order: paid, shipment: ship.shipment };
    assert_eq!(code(&house.core.ask(of_another_order).await), Some(Code::IdempotencyKeyReused));
    let same_bits = CancellationId::from_u128(ship.shipment.as_u128());
    let no_cancellation = Release { cancellation: same_bits, ..house.release_of(held, &[(BREAD, 1)]) };
    assert_eq!(code(&house.core.ask(no_cancellation).await), Some(Code::IdempotencyKeyReused));
    for wrong in [&[][..], &[(BREAD, 0)]] {
        assert_eq!(code(&house.core.ask(house.ship_of(paid, wrong)).await), Some(Code::BadRequest));
    }
    for reference in [format!("shipment:{}:1:", ship.shipment), format!("shipment_undone:{}:1:", ship.shipment)] {
        let adjustments = vec![House::adjustment(BREAD, 1, 1, &reference)];
        let refused = house.core.ask(Adjust { adjustments }).await;
        assert_eq!(fields(&refused), [("/adjustments/0/reference".to_owned(), "reserved".to_owned())]);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_meet_never_move_more_than_was_held() {
    let house = House::open(40, 40).await;
    for round in 0..6 {
        let order = house.paid(&[(BREAD, 7), (WATER, 3)]).await;
        let (bread, water) = (house.level(BREAD).await, house.level(WATER).await);
        // Twelve shipments of two each, every one asked for twice, for seven.
        let ships: Vec<Ship> = (0..12)
            .map(|n| house.ship_of(order, if n % 4 == 0 { &[(WATER, 1), (BREAD, 2)] } else { &[(BREAD, 2)] }))
            .collect();
        let verdicts = futures::future::join_all(ships.iter().chain(&ships).map(|ship| house.ship(ship))).await;
        let (once, again) = verdicts.split_at(ships.len());
        let left = once.iter().filter(|verdict| matches!(verdict, PartVerdict::Moved(_))).count();
        assert_eq!(once, again, "round {round}: one shipment, one answer");
        assert_eq!(left, 3, "round {round}");
        assert_eq!(house.level(BREAD).await, (bread.0 - 6, bread.1 - 6));
        house.assert_balanced().await;

        // All of them are taken back, each while it is asked for once more, and the order is given back meanwhile.
        let back = futures::future::join_all(ships.iter().map(|ship| house.unship(ship)));
        let more = futures::future::join_all(ships.iter().map(|ship| house.ship(ship)));
        let released = house.release_of(order, &[(BREAD, 1)]);
        let parts = futures::future::join(house.release(&released), house.release(&released));
        let (_, more, (one, other), ()) = futures::join!(back, more, parts, house.unpost(order));
        for (before, after) in once.iter().zip(more) {
            // A shipment that was short may have found room, and was taken back afterwards.
            let short = matches!(before, PartVerdict::Short(_));
            assert!(short || after == *before || after == PartVerdict::Undone, "{before:?}, then {after:?}");
        }
        assert!(one == other || matches!((&one, &other), (PartVerdict::Short(_), _) | (_, PartVerdict::Short(_))));
        assert_eq!(house.level(BREAD).await, (bread.0, bread.1 - 7), "round {round}: all is back, and nobody's");
        assert_eq!(house.level(WATER).await, (water.0, water.1 - 3));
        for ship in &ships {
            assert_eq!(house.ship(ship).await, PartVerdict::Undone);
        }
        house.assert_balanced().await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipment_that_meets_its_undoing_or_its_hold_leaves_nothing_half_done() {
    let house = House::open(50, 50).await;
    for _ in 0..6 {
        let order = house.order();
        let (ship, other) = (house.ship_of(order, &[(BREAD, 1)]), house.ship_of(order, &[(WATER, 2)]));
        let hold_and_post = async {
            house.hold(order, &[(BREAD, 2), (WATER, 2)]).await;
            house.core.ask(Post { orders: vec![order] }).await.unwrap();
        };
        futures::join!(
            hold_and_post,
            futures::future::join_all((0..4).map(|_| house.unship(&ship))),
            futures::future::join_all((0..4).map(|_| house.ship(&ship))),
            futures::future::join_all((0..8).map(|_| house.ship(&other))),
        );
        assert_eq!(house.ship(&ship).await, PartVerdict::Undone);
        assert!(matches!(house.ship(&other).await, PartVerdict::Moved(_)), "it is paid now");
        house.assert_balanced().await;
    }
    assert_eq!((house.level(BREAD).await, house.level(WATER).await), ((100, 12), (88, 0)));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_comes_while_others_are_locked_is_given_back_with_all_that_follows() {
    let house = House::open(5, 5).await;
    let held = house.held(&[(BREAD, 1)]).await;
    let mut counting = house.pool.begin().await.unwrap();
    sqlx::query("select from stock where sku_no = $1 for update")
        .bind(i64::from(BREAD))
        .execute(&mut *counting)
        .await
        .unwrap();
    let late = house.order();
    let void = house.core.ask(Void { orders: vec![held, late] });
    let hold = async {
        eventually("the void to wait for the bread", || async {
            let waiting: bool = sqlx::query_scalar("select exists (select from pg_locks where not granted)")
                .fetch_one(&house.pool)
                .await
                .unwrap();
            waiting.then_some(())
        })
        .await;
        house.hold(late, &[(WATER, 10)]).await;
        assert_eq!(house.band(WATER).await, OUT);
        counting.rollback().await.unwrap();
    };
    let (states, ()) = futures::join!(void, hold);
    assert_eq!(states.unwrap(), [HoldState::Voided; 2]);
    assert_ne!(house.band(WATER).await, OUT, "whoever looks is told");
    house.close().await;
}
