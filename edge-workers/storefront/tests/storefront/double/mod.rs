//! A runtime for tests: the storefront's `Platform` in memory, beside a core that answers by the same domain rules.
//!
//! It is a double of the *runtime*, which exists in three real forms elsewhere; the shop under test is the real one.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    missing_docs
)]

pub mod client;
pub mod core;
pub mod goods;
mod life;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
};

use bodega_domain::{
    Timestamp,
    replication::{BatchHeader, BatchKind, EdgePosition, seal},
    token::{KeyRing, MacKey, SecretKey, base64url},
};
use bodega_storefront::platform::{
    CellError, CellKind, CoreRequest, KvError, LinkError, MediaError, Platform, setting,
};

use self::core::Core;

/// 2026-11-23T12:00:00Z.
pub const NOON_MS: i64 = 1_795_435_200_000;

pub fn guest_ring() -> KeyRing {
    KeyRing(vec![MacKey { kid: "g".into(), secret: vec![9; 32] }])
}

pub fn identity_key() -> SecretKey {
    SecretKey { kid: "i1".into(), seed: vec![7; 32] }
}

pub fn replicator_key() -> SecretKey {
    SecretKey { kid: "r1".into(), seed: vec![5; 32] }
}

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// What the core's link does with the next requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    #[default]
    Up,
    /// No connection: surely nothing is done.
    Away,
    /// The core does it, and its answer is lost.
    ReplyLost,
}

#[derive(Default)]
struct State {
    kv: RefCell<BTreeMap<String, Vec<u8>>>,
    cells: RefCell<BTreeMap<(CellKind_, String), Vec<u8>>>,
    cells_down: Cell<bool>,
    link: Cell<Link>,
    lose: Cell<u32>,
    request_ids: RefCell<Vec<String>>,
    deferred: RefCell<Vec<Work>>,
    log: RefCell<Vec<String>>,
    asked: RefCell<Vec<String>>,
    media: RefCell<BTreeMap<String, Vec<u8>>>,
}

type CellKind_ = &'static str;

/// An edge: its stores, its clock, and its link to the core that all edges of a test share.
#[derive(Clone)]
pub struct Edge {
    pub name: &'static str,
    state: Rc<State>,
    pub core: Rc<Core>,
    now_ms: Rc<Cell<i64>>,
    seed: Rc<Cell<u64>>,
}

impl Edge {
    pub fn new(name: &'static str, core: &Rc<Core>, clock: &Rc<Cell<i64>>) -> Self {
        let seed = Rc::new(Cell::new(name.bytes().fold(0x9e37_79b9, |seed, b| seed * 31 + u64::from(b))));
        Self { name, state: Rc::default(), core: core.clone(), now_ms: clock.clone(), seed }
    }

    /// An edge with the goods of the tests, after a complete snapshot.
    pub fn stocked() -> Self {
        let edge = Self::new("e1", &Rc::new(Core::new()), &Rc::new(Cell::new(NOON_MS)));
        edge.take_snapshot();
        edge
    }

    /// Two edges of one core, and their clock.
    pub fn pair() -> (Self, Self) {
        let (core, clock) = (Rc::new(Core::new()), Rc::new(Cell::new(NOON_MS)));
        let pair = (Self::new("e1", &core, &clock), Self::new("e2", &core, &clock));
        pair.0.take_snapshot();
        pair.1.take_snapshot();
        pair
    }

    pub fn pass_ms(&self, ms: i64) {
        self.now_ms.set(self.now_ms.get() + ms);
    }

    pub fn set_link(&self, link: Link) {
        self.state.link.set(link);
    }

    /// The next so many requests do not reach the core, whatever the link.
    pub fn lose_next(&self, requests: u32) {
        self.state.lose.set(requests);
    }

    /// The ids under which the core was asked, in order.
    pub fn request_ids(&self) -> Vec<String> {
        self.state.request_ids.borrow().clone()
    }

    pub fn set_cells_down(&self, down: bool) {
        self.state.cells_down.set(down);
    }

    /// Runs what was put off behind answers.
    pub fn run_deferred(&self) {
        loop {
            let work = std::mem::take(&mut *self.state.deferred.borrow_mut());
            if work.is_empty() {
                return;
            }
            for one in work {
                futures::executor::block_on(one);
            }
        }
    }

    pub fn put(&self, key: &str, value: &serde_json::Value) {
        self.state.kv.borrow_mut().insert(key.to_owned(), serde_json::to_vec(value).unwrap());
    }

    pub fn put_raw(&self, key: &str, value: &[u8]) {
        self.state.kv.borrow_mut().insert(key.to_owned(), value.to_vec());
    }

    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.state.kv.borrow().get(key).cloned()
    }

    pub fn keys(&self) -> Vec<String> {
        self.state.kv.borrow().keys().cloned().collect()
    }

    pub fn put_media(&self, name: &str, bytes: &[u8]) {
        self.state.media.borrow_mut().insert(name.to_owned(), bytes.to_vec());
    }

    /// Subjects that the core was asked on, in order.
    pub fn asked(&self) -> Vec<String> {
        self.state.asked.borrow().clone()
    }

    pub fn forget_asked(&self) {
        self.state.asked.borrow_mut().clear();
    }

    pub fn log_lines(&self) -> Vec<String> {
        self.state.log.borrow().clone()
    }

    /// Seals a batch for this edge as the replicator does.
    pub fn batch(&self, kind: BatchKind, from: i64, to: i64, previous: &str, entries: &[goods::Entry]) -> Vec<u8> {
        self.part(kind, (from, to), previous, entries, kind == BatchKind::Snapshot)
    }

    /// The same, where a snapshot comes in parts.
    pub fn part(
        &self,
        kind: BatchKind,
        (from, to): (i64, i64),
        previous: &str,
        entries: &[goods::Entry],
        complete: bool,
    ) -> Vec<u8> {
        let header = BatchHeader {
            edge: self.name.into(),
            epoch: "one".into(),
            kind,
            from,
            to,
            previous: previous.into(),
            complete,
            expires: Timestamp::from_unix_ms(self.now_ms.get()).plus_min(1),
            body_hash: String::new(),
        };
        seal(header, entries, &replicator_key()).unwrap()
    }

    /// Takes the goods in through the real door: `POST /_edge/v1/ingest`.
    pub fn take_snapshot(&self) {
        let batch = self.batch(BatchKind::Snapshot, 0, 10, "", &goods::entries());
        let answer = client::Client::new(self).post_bytes("/_edge/v1/ingest", &batch);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let position: EdgePosition = serde_json::from_slice(&answer.body).unwrap();
        assert!(position.ready);
    }
}

impl Platform for Edge {
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.state.kv.borrow().get(key).cloned())
    }

    async fn kv_put(&self, key: &str, value: Vec<u8>) -> Result<(), KvError> {
        self.state.kv.borrow_mut().insert(key.to_owned(), value);
        Ok(())
    }

    async fn kv_delete(&self, key: &str) -> Result<(), KvError> {
        self.state.kv.borrow_mut().remove(key);
        Ok(())
    }

    async fn cell_read(&self, cell: CellKind, key: &str) -> Result<Option<Vec<u8>>, CellError> {
        if self.state.cells_down.get() && cell == CellKind::Cart {
            return Err(CellError::Unavailable("down".into()));
        }
        Ok(self.state.cells.borrow().get(&(cell.name(), key.to_owned())).cloned())
    }

    async fn cell_merge(&self, cell: CellKind, key: &str, delta: Vec<u8>) -> Result<Vec<u8>, CellError> {
        if self.state.cells_down.get() && cell == CellKind::Cart {
            return Err(CellError::Unavailable("down".into()));
        }
        let mut cells = self.state.cells.borrow_mut();
        let slot = (cell.name(), key.to_owned());
        let current = cells.get(&slot).cloned();
        match bodega_storefront::cell::merge(cell, current.as_deref(), &delta)? {
            Some(new) => {
                cells.insert(slot, new.clone());
                Ok(new)
            }
            None => Ok(current.unwrap_or_default()),
        }
    }

    async fn request(&self, request: CoreRequest<'_>) -> Result<Vec<u8>, LinkError> {
        self.state.asked.borrow_mut().push(request.subject.to_owned());
        let id = request.headers.iter().find(|(name, _)| *name == "Bodega-Request-Id").unwrap().1;
        self.state.request_ids.borrow_mut().push(id.to_owned());
        let lost = self.state.lose.get();
        self.state.lose.set(lost.saturating_sub(1));
        match if lost > 0 { Link::Away } else { self.state.link.get() } {
            Link::Away => Err(LinkError::Unavailable("connection refused".into())),
            link => {
                let answer = self.core.answer(&request, self.now_ms.get());
                if link == Link::ReplyLost {
                    return Err(LinkError::Unknown("deadline passed".into()));
                }
                Ok(answer)
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.now_ms.get()
    }

    fn random(&self, bytes: &mut [u8]) {
        // SplitMix64: the same numbers in every run.
        for chunk in bytes.chunks_mut(8) {
            let next = self.seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            self.seed.set(next);
            let mut z = next;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }

    fn config(&self, name: &str) -> Option<String> {
        match name {
            setting::EDGE_ID => Some(self.name.to_owned()),
            setting::GUEST_KEYS => Some(format!("g:{}", base64url(&[9; 32]))),
            setting::ACCOUNT_KEYS => Some(format!("i1:{}", base64url(&identity_key().public().unwrap().key))),
            setting::REPLICATION_KEYS => Some(format!("r1:{}", base64url(&replicator_key().public().unwrap().key))),
            _ => None,
        }
    }

    fn log(&self, line: &str) {
        self.state.log.borrow_mut().push(line.to_owned());
    }

    async fn fetch_media(&self, name: &str) -> Result<Option<Vec<u8>>, MediaError> {
        Ok(self.state.media.borrow().get(name).cloned())
    }

    fn defer(&self, work: impl Future<Output = ()> + 'static) {
        self.state.deferred.borrow_mut().push(Box::pin(work));
    }
}
