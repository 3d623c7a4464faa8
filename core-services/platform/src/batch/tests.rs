use std::{
    collections::BTreeSet,
    sync::{
        Mutex as StdMutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use proptest::prelude::*;
use tokio::sync::Semaphore;

use super::*;

fn limits(queue_max: usize, batch_max: usize, writers: usize) -> BatchLimits {
    BatchLimits { queue_max, batch_max, writers }
}

/// Waits until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "the condition did not come true in 10 s");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_waits_while_the_writer_is_busy_becomes_one_batch() {
    let sizes = Arc::new(StdMutex::new(Vec::new()));
    let gate = Arc::new(Semaphore::new(0));
    let batcher = Batcher::start("test", limits(100, 16, 1), &Tasks::new(), {
        let (sizes, gate) = (sizes.clone(), gate.clone());
        move |batch: Vec<u32>| {
            let (sizes, gate) = (sizes.clone(), gate.clone());
            async move {
                sizes.lock().unwrap().push(batch.len());
                gate.acquire().await.unwrap().forget();
                batch.into_iter().map(|n| n * 2).collect()
            }
        }
    });
    let first = tokio::spawn({
        let batcher = batcher.clone();
        async move { batcher.submit(1).await }
    });
    until(|| sizes.lock().unwrap().len() == 1).await;
    let rest: Vec<_> = (2..22)
        .map(|n| {
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.submit(n).await })
        })
        .collect();
    until(|| batcher.queue.capacity() == 80).await;
    gate.add_permits(10);
    assert_eq!(first.await.unwrap(), Ok(2));
    for (n, task) in (2..22).zip(rest) {
        assert_eq!(task.await.unwrap(), Ok(n * 2));
    }
    assert_eq!(*sizes.lock().unwrap(), [1, 16, 4]);
}

#[tokio::test]
async fn a_full_queue_refuses_and_loses_nothing_that_it_took() {
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let batcher = Batcher::start("test", limits(4, 2, 1), &Tasks::new(), {
        let (gate, begun) = (gate.clone(), begun.clone());
        move |batch: Vec<u32>| {
            let (gate, begun) = (gate.clone(), begun.clone());
            async move {
                begun.fetch_add(1, SeqCst);
                gate.acquire().await.unwrap().forget();
                batch
            }
        }
    });
    let busy = tokio::spawn({
        let batcher = batcher.clone();
        async move { batcher.submit(0).await }
    });
    until(|| begun.load(SeqCst) == 1).await;
    // The writer is busy with the first one, so that four more find room and no other.
    let taken = Arc::new(AtomicUsize::new(0));
    let mut waiting = Vec::new();
    for n in 1..10 {
        let mut submit = Box::pin({
            let batcher = batcher.clone();
            async move { batcher.submit(n).await }
        });
        match futures::poll!(submit.as_mut()) {
            std::task::Poll::Ready(refused) => assert_eq!(refused, Err(BatchError::Overloaded)),
            std::task::Poll::Pending => {
                taken.fetch_add(1, SeqCst);
                waiting.push((n, submit));
            }
        }
    }
    assert_eq!(taken.load(SeqCst), 4);
    gate.add_permits(10);
    assert_eq!(busy.await.unwrap(), Ok(0));
    for (n, submit) in waiting {
        assert_eq!(submit.await, Ok(n));
    }
}

#[tokio::test]
async fn a_panic_breaks_its_own_batch_only() {
    let batcher = Batcher::start("test", limits(10, 1, 1), &Tasks::new(), |batch: Vec<u32>| async move {
        assert_ne!(batch, [13], "planted");
        batch
    });
    assert_eq!(batcher.submit(13).await, Err(BatchError::Broken));
    assert_eq!(batcher.submit(14).await, Ok(14));
}

#[tokio::test]
async fn a_writer_that_answers_too_few_breaks_its_batch() {
    let batcher = Batcher::start("test", limits(10, 4, 1), &Tasks::new(), |_: Vec<u32>| async { Vec::<u32>::new() });
    assert_eq!(batcher.submit(1).await, Err(BatchError::Broken));
}

#[tokio::test]
async fn writers_end_after_the_requests_that_wait_for_them() {
    let tasks = Tasks::new();
    let batcher = Batcher::start("test", limits(10, 4, 2), &tasks, |batch: Vec<u32>| async { batch });
    let asked = tasks.request({
        let batcher = batcher.clone();
        async move { batcher.submit(5).await }
    });
    assert!(tasks.stop(Duration::from_secs(10)).await);
    assert_eq!(asked.await.unwrap(), Ok(5));
    assert_eq!(batcher.submit(6).await, Err(BatchError::Overloaded), "nobody would answer any more");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_request_gets_its_own_answer(count in 0_u32..300, batch_max in 1_usize..40, writers in 1_usize..5) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let batcher = Batcher::start("test", limits(1_000, batch_max, writers), &Tasks::new(), move |batch: Vec<u32>| async move {
                assert!(batch.len() <= batch_max);
                tokio::task::yield_now().await;
                batch.into_iter().map(|n| n + 1_000).collect()
            });
            let asked = (0..count).map(|n| {
                let batcher = batcher.clone();
                tokio::spawn(async move { (n, batcher.submit(n).await) })
            });
            for answer in futures::future::join_all(asked).await {
                let (n, response) = answer.unwrap();
                assert_eq!(response, Ok(n + 1_000));
            }
        });
    }

    #[test]
    fn halving_finds_exactly_the_culprits(count in 0_usize..70, culprits: BTreeSet<usize>) {
        let batch: Vec<usize> = (0..count).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let results = runtime.block_on(halving(&batch, |_| true, |part: &[usize]| {
            let bad = part.iter().any(|n| culprits.contains(n));
            let answers = part.to_vec();
            async move { if bad { Err("culprit inside") } else { Ok(answers) } }
        }));
        prop_assert_eq!(results.len(), count);
        for (n, result) in results.into_iter().enumerate() {
            prop_assert_eq!(result, if culprits.contains(&n) { Err("culprit inside") } else { Ok(n) });
        }
    }
}

#[tokio::test]
async fn an_error_of_the_whole_is_not_halved() {
    let calls = AtomicUsize::new(0);
    let results: Vec<Result<u32, &str>> = halving(
        &[1, 2, 3, 4],
        |e| *e != "database away",
        |_: &[u32]| {
            calls.fetch_add(1, SeqCst);
            async { Err("database away") }
        },
    )
    .await;
    assert_eq!(results, vec![Err("database away"); 4]);
    assert_eq!(calls.load(SeqCst), 1);
}
