//! Processes come and go; the answers do not change.

use crate::support::{batch, call, cart, effects, kill, options, plugin, pool, program, until};
use bodega_plugin_host::{
    client::{Error, Options, Pool},
    limits::{CALLS_MAX, STRIKES_MAX},
    protocol::{Batch, Call, Hash, Outcome},
};
use std::{fs, process::Command, time::Duration};

fn good() -> Call {
    call(plugin("buy-x-get-y").hash(), r#"{"buy": 1, "get": 1}"#)
}

/// A call that runs until the clock ends it.
fn slow() -> Call {
    Call { fuel: Some(u64::MAX), ..call(plugin("endless-loop").hash(), r#""copy""#) }
}

#[tokio::test]
async fn a_host_killed_in_the_middle_is_a_typed_outcome_and_the_next_call_works() {
    let (pool, _folder) = pool(1, &["buy-x-get-y", "endless-loop"]);
    let (asked, asks) = (pool.clone(), batch(cart(1), vec![slow()]));
    let asking = tokio::spawn(async move { asked.run(&asks).await });
    until("a host is at work", || !pool.process_ids().is_empty()).await;
    kill(pool.process_ids()[0]);
    let verdicts = asking.await.expect("no panic").expect("verdicts");
    assert!(matches!(verdicts[0].outcome, Outcome::HostLost { .. }), "{verdicts:?}");

    let verdicts = pool.run(&batch(cart(2), vec![good()])).await.expect("verdicts");
    assert_eq!(effects(&verdicts[0]).len(), 1);
    assert_eq!(pool.started(), 2);
}

#[tokio::test]
async fn a_host_killed_in_the_middle_of_a_batch_costs_no_call_of_the_batch() {
    let (pool, _folder) = pool(1, &["buy-x-get-y", "endless-loop"]);
    let (asked, asks) = (pool.clone(), batch(cart(2), vec![good(), slow(), good()]));
    let asking = tokio::spawn(async move { asked.run(&asks).await });
    until("a host is at work", || !pool.process_ids().is_empty()).await;
    kill(pool.process_ids()[0]);
    let verdicts = asking.await.expect("no panic").expect("verdicts");
    assert_eq!(effects(&verdicts[0]).len(), 1);
    assert_eq!(verdicts[1].outcome, Outcome::TimedOut);
    assert_eq!(verdicts[0], verdicts[2]);
}

#[tokio::test]
async fn a_host_killed_while_idle_is_replaced_unnoticed() {
    let (pool, _folder) = pool(1, &["buy-x-get-y"]);
    let asks = batch(cart(2), vec![good()]);
    let before = pool.run(&asks).await.expect("verdicts");
    kill(pool.process_ids()[0]);
    assert_eq!(pool.run(&asks).await.expect("verdicts"), before);
    assert_eq!(pool.started(), 2);
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_no_stale_answer_behind() {
    let (pool, _folder) = pool(1, &["buy-x-get-y", "endless-loop"]);
    let first = pool.run(&batch(cart(2), vec![good()])).await.expect("verdicts");
    let id = pool.process_ids()[0];
    {
        let asks = batch(cart(1), vec![slow()]);
        let mut asking = std::pin::pin!(pool.run(&asks));
        let gave_up = tokio::time::timeout(Duration::from_millis(50), &mut asking).await;
        assert!(gave_up.is_err(), "{gave_up:?}");
    }
    assert!(!pool.process_ids().contains(&id), "the busy process is not kept");
    assert_eq!(pool.run(&batch(cart(2), vec![good()])).await.expect("verdicts"), first);
}

#[tokio::test]
async fn when_every_host_is_busy_the_caller_is_told() {
    let (pool, _folder) = pool(1, &["endless-loop"]);
    let hasty = Pool::new(Options { processes: 1, wait_max: Duration::from_millis(1), ..options() });
    drop(pool);
    hasty.register(plugin("endless-loop"));
    let (asked, asks) = (hasty.clone(), batch(cart(1), vec![slow()]));
    let asking = tokio::spawn(async move { asked.run(&asks).await });
    until("the only host is at work", || !hasty.process_ids().is_empty()).await;
    let answer = hasty.run(&batch(cart(1), vec![slow()])).await;
    assert!(matches!(answer, Err(Error::Busy)), "{answer:?}");
    assert_eq!(asking.await.expect("no panic").expect("verdicts")[0].outcome, Outcome::TimedOut);
}

#[tokio::test]
async fn a_plugin_that_wastes_time_again_and_again_is_left_out_and_the_others_are_not() {
    let (pool, _folder) = pool(1, &["buy-x-get-y", "endless-loop"]);
    let asks = batch(cart(2), vec![good(), slow(), good()]);
    for _ in 0..STRIKES_MAX {
        let verdicts = pool.run(&asks).await.expect("verdicts");
        assert_eq!(verdicts[1].outcome, Outcome::TimedOut);
    }
    let verdicts = pool.run(&asks).await.expect("verdicts");
    assert_eq!(verdicts[1].outcome, Outcome::Suspended);
    assert_eq!(effects(&verdicts[0]).len(), 1);
    assert_eq!(verdicts[0], verdicts[2]);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let pool = Pool::new(Options::new("/nonexistent/bodega-plugin-host"));
    let answer = pool.run(&batch(cart(1), vec![call(Hash::of(b""), "{}")])).await;
    assert!(
        matches!(&answer, Err(Error::Spawn { program, .. }) if program.ends_with("bodega-plugin-host")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_batch_that_makes_no_sense_is_the_askers_fault() {
    let (pool, _folder) = pool(1, &["buy-x-get-y"]);
    let beyond = Call { cart: 1, ..good() };
    for wrong in [vec![beyond], vec![good(); CALLS_MAX + 1]] {
        let answer = pool.run(&batch(cart(1), wrong)).await;
        assert!(matches!(answer, Err(Error::Misunderstood { .. })), "{answer:?}");
    }
    assert_eq!(pool.run(&Batch::default()).await.expect("nothing asked").len(), 0);
    assert_eq!(pool.ping().await.expect("still there"), "wasmtime 48.0.8");
    assert_eq!(pool.started(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_at_once_share_few_processes_and_get_their_own_answers() {
    let (pool, _folder) = pool(2, &["buy-x-get-y", "tiered-discount"]);
    let tasks: Vec<_> = (1..=60_u32)
        .map(|lines| {
            let pool = pool.clone();
            let tiered = call(plugin("tiered-discount").hash(), r#"{"tiers": [{"pieces": 2, "percentage_bp": 500}]}"#);
            let asks = batch(cart(lines), vec![good(), tiered]);
            tokio::spawn(async move { (lines, pool.run(&asks).await.expect("verdicts")) })
        })
        .collect();
    for task in tasks {
        let (lines, verdicts) = task.await.expect("no panic");
        let named = match &effects(&verdicts[1])[0].target {
            bodega_plugin_host::protocol::Target::Lines(named) => named.len(),
            other => panic!("no lines but {other:?}"),
        };
        assert_eq!(named, usize::try_from(lines).expect("a small number"), "the answer of another caller");
    }
    assert_eq!(pool.started(), 2);
}

#[tokio::test]
async fn thousands_of_calls_leave_nothing_behind_in_the_process() {
    let (pool, _folder) = pool(1, &["buy-x-get-y", "memory-bomb"]);
    let hoard = call(plugin("memory-bomb").hash(), r#""hoard""#);
    let mut calls = vec![good(); CALLS_MAX - 1];
    calls.push(hoard);
    let asks = batch(cart(5), calls);
    let first = pool.run(&asks).await.expect("verdicts");
    for _ in 0..100 {
        assert_eq!(pool.run(&asks).await.expect("verdicts"), first);
    }
    assert_eq!(pool.started(), 1);
    let status = fs::read_to_string(format!("/proc/{}/status", pool.process_ids()[0])).expect("Linux");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kib < 256 * 1024, "{kib} KiB after 3,200 calls");
}

#[tokio::test]
async fn the_process_has_its_pipe_and_nothing_else() {
    let (pool, folder) = pool(1, &["buy-x-get-y"]);
    pool.run(&batch(cart(1), vec![good()])).await.expect("verdicts");
    let process = format!("/proc/{}", pool.process_ids()[0]);
    assert_eq!(fs::read(format!("{process}/environ")).expect("Linux"), b"", "no variables");
    assert_eq!(fs::read_link(format!("{process}/cwd")).expect("Linux").to_str(), Some("/"));
    for handle in fs::read_dir(format!("{process}/fd")).expect("Linux") {
        let handle = handle.expect("an entry");
        let target = fs::read_link(handle.path()).expect("a link").to_string_lossy().into_owned();
        if handle.file_name() != "2" {
            // The engine's images of initial memory have no name in any file system. What the shell handed to this
            // test and everything that it starts is not the pool's doing: Rust opens nothing that a child inherits.
            let handed_down = fs::read_link(format!("/proc/self/fd/{}", handle.file_name().display()));
            let fine = target.starts_with("pipe:")
                || target.starts_with("/memfd:wasm-memory-image")
                || handed_down.is_ok_and(|own| own.to_string_lossy() == target);
            assert!(fine, "{:?} is {target}", handle.file_name());
        }
    }
    let limits = fs::read_to_string(format!("{process}/limits")).expect("Linux");
    let limit = |name: &str| limits.lines().find(|line| line.starts_with(name)).expect("a limit").to_owned();
    assert!(limit("Max data size").contains("1073741824"), "{limits}");
    assert!(limit("Max open files").contains(" 256 "), "{limits}");
    assert!(limit("Max core file size").contains(" 0 "), "{limits}");
    let status = fs::read_to_string(format!("{process}/status")).expect("Linux");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    drop(folder);
}

#[test]
fn a_process_that_was_taken_over_reaches_no_file_no_network_and_no_program() {
    let output = Command::new(program()).arg("walls").output().expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let stopped = text.matches("Permission denied").count();
    assert_eq!(output.status.success(), stopped == 6, "{text}");
    // A kernel with less of Landlock holds it by resource limits alone, and the program says so.
    assert!(stopped == 6 || !text.contains("landlock: all"), "{text}");
}
