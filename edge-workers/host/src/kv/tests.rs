use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::*;

fn scratch() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("kv.redb");
    (folder, path)
}

fn open(path: &Path) -> Result<Stores, Error> {
    Stores::open(path, 1 << 20, Vec::new(), || 0)
}

fn store(name: &str) -> Arc<str> {
    Arc::from(name)
}

#[tokio::test]
async fn a_value_is_there_after_it_was_set_and_gone_after_it_was_deleted() {
    let (_folder, path) = scratch();
    let stores = open(&path).expect("opens");
    assert_eq!(stores.get("default", "p/1").expect("reads"), None);
    stores.set(&store("default"), "p/1".into(), b"soap".to_vec()).await.expect("sets");
    assert_eq!(stores.get("default", "p/1").expect("reads"), Some(b"soap".to_vec()));
    assert_eq!(stores.get("cells", "p/1").expect("reads"), None, "stores are apart");
    stores.delete(&store("default"), "p/1".into()).await.expect("deletes");
    assert_eq!(stores.get("default", "p/1").expect("reads"), None);
}

#[tokio::test]
async fn a_swap_against_a_stale_value_writes_nothing_and_tells_what_is_there() {
    let (_folder, path) = scratch();
    let stores = open(&path).expect("opens");
    let cells = store("cells");
    assert_eq!(stores.swap(&cells, "c".into(), None, b"1".to_vec()).await.expect("swaps"), Swap::Swapped);
    assert_eq!(
        stores.swap(&cells, "c".into(), None, b"2".to_vec()).await.expect("answers"),
        Swap::Lost(Some(b"1".to_vec()))
    );
    assert_eq!(stores.get("cells", "c").expect("reads"), Some(b"1".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_swaps_lose_no_increment() {
    let (_folder, path) = scratch();
    let stores = open(&path).expect("opens");
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let stores = stores.clone();
            tokio::spawn(async move {
                let cells = store("cells");
                for _ in 0..50 {
                    let mut seen = stores.get("cells", "n").expect("reads");
                    loop {
                        let count: u32 =
                            seen.as_deref().map_or(0, |bytes| std::str::from_utf8(bytes).unwrap().parse().unwrap());
                        let next = (count + 1).to_string().into_bytes();
                        match stores.swap(&cells, "n".into(), seen, next).await.expect("answers") {
                            Swap::Swapped => break,
                            Swap::Lost(current) => seen = current,
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    assert_eq!(stores.get("cells", "n").expect("reads"), Some(b"400".to_vec()));
}

#[tokio::test]
async fn a_swap_makes_earlier_plain_writes_durable_and_all_survive_reopening() {
    let (_folder, path) = scratch();
    {
        let stores = open(&path).expect("opens");
        stores.set(&store("default"), "p/1".into(), b"soap".to_vec()).await.expect("sets");
        stores.swap(&store("cells"), "position".into(), None, b"1".to_vec()).await.expect("swaps");
        stores.increment(&store("cells"), "counter".into(), 5).await.expect("adds");
    }
    let stores = reopen(&path).await;
    assert_eq!(stores.get("default", "p/1").expect("reads"), Some(b"soap".to_vec()));
    assert_eq!(stores.get("cells", "position").expect("reads"), Some(b"1".to_vec()));
    assert_eq!(stores.increment(&store("cells"), "counter".into(), -2).await.expect("adds"), 3);
    assert!(matches!(stores.increment(&store("cells"), "position".into(), 1).await, Err(Error::NotACounter)));
}

#[tokio::test]
async fn keys_and_values_over_the_limit_are_refused_before_they_are_written() {
    let (_folder, path) = scratch();
    let stores = open(&path).expect("opens");
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    assert!(matches!(stores.get("default", &long), Err(Error::KeyTooLong(_))));
    assert!(matches!(stores.set(&store("default"), long, Vec::new()).await, Err(Error::KeyTooLong(_))));
    let large = vec![0; VALUE_BYTES_MAX + 1];
    assert!(matches!(stores.set(&store("default"), "k".into(), large).await, Err(Error::ValueTooLarge(_))));
}

static DAY: AtomicU32 = AtomicU32::new(100);

#[tokio::test]
async fn a_key_that_nobody_wrote_for_its_days_is_removed_and_others_stay() {
    let (_folder, path) = scratch();
    let rules = vec![Rule { store: "cells".into(), prefix: "cart/".into(), days: 60 }];
    let stores = Stores::open(&path, 1 << 20, rules, || DAY.load(Relaxed)).expect("opens");
    let cells = store("cells");
    for key in ["cart/left", "cart/used", "ingest/position"] {
        stores.swap(&cells, key.into(), None, b"1".to_vec()).await.expect("swaps");
    }
    DAY.store(159, Relaxed);
    assert_eq!(stores.sweep().await.expect("sweeps"), 0);
    stores.swap(&cells, "cart/used".into(), Some(b"1".to_vec()), b"2".to_vec()).await.expect("swaps");
    stores.swap(&cells, "cart/left".into(), None, b"3".to_vec()).await.expect("loses");
    DAY.store(160, Relaxed);
    assert_eq!(stores.sweep().await.expect("sweeps"), 1);
    assert_eq!(stores.get("cells", "cart/left").expect("reads"), None);
    assert_eq!(stores.get("cells", "cart/used").expect("reads"), Some(b"2".to_vec()));
    DAY.store(100_000, Relaxed);
    assert_eq!(stores.sweep().await.expect("sweeps"), 1);
    assert_eq!(stores.get("cells", "ingest/position").expect("reads"), Some(b"1".to_vec()));
}

/// The writer thread lets go of the file a moment after the last handle is dropped.
async fn reopen(path: &Path) -> Stores {
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    loop {
        match open(path) {
            Ok(stores) => return stores,
            Err(error) if std::time::Instant::now() > deadline => panic!("still locked: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
