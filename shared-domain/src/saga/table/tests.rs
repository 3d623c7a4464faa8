//! The three generic tests of sagas run over every table: each step twice; failure at each step unwinds to a clean slate;
//! the unwinding twice. Beside them: whatever is heard in whatever order, a run ends in one piece.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_unix_ms(0).plus_min(minutes)
}

/// Those who are asked: each action sets or clears what it is about, whichever number of times; what was taken back can
/// never be done any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct World {
    done: BTreeSet<&'static str>,
    buried: BTreeSet<&'static str>,
}

impl World {
    fn ask(&mut self, action: Action) -> Word {
        let (what, undo) = match action {
            Action::TakeStock => ("stock", false),
            Action::PutStockBack => ("stock", true),
            Action::ReleaseUnits => ("promise", false),
            Action::Refund => ("money", false),
            Action::Capture => ("taken", false),
            Action::BookIn => ("shelf", false),
        };
        if undo {
            self.done.remove(what);
            self.buried.insert(what);
        } else if self.buried.contains(what) {
            return Word::Refused;
        } else {
            self.done.insert(what);
        }
        Word::Done
    }
}

/// Runs a saga to its end or until it is parked. Each action is asked `times` times; the forward action of step `fails`
/// (if any) is refused.
fn go(kind: Kind, times: usize, fails: Option<usize>) -> (Run, World) {
    let (mut run, mut world) = (Run::begin(kind, at(0)), World::default());
    for _ in 0..100 {
        let Some(action) = run.action() else { break };
        let refused = run.way == Way::Forward && fails == Some(usize::from(run.at));
        let mut word = Word::Refused;
        for _ in 0..if refused { 0 } else { times } {
            word = world.ask(action);
        }
        run = run.hear(word, at(1)).unwrap().run;
    }
    assert!(run.is_over() || run.is_parked(), "{kind:?} came to no end: {run:?}");
    (run, world)
}

#[test]
fn each_step_twice_is_each_step_once() {
    for kind in Kind::ALL {
        let (once, twice) = (go(kind, 1, None), go(kind, 2, None));
        assert_eq!(once, twice, "{kind:?}");
        assert_eq!(once.0.way, Way::Done);
        assert_eq!(once.1.done.len(), kind.steps().len(), "every step of {kind:?} has an effect of its own");
    }
}

/// A step that is refused behind a point of no return parks: nothing is lost, and with its cause gone it is done.
#[test]
fn failure_at_each_step_unwinds_to_a_clean_slate_or_waits_for_a_person() {
    for kind in Kind::ALL {
        for (step, _) in kind.steps().iter().enumerate() {
            let (run, world) = go(kind, 1, Some(step));
            if kind.steps()[..step].iter().all(|row| row.undo.is_some()) {
                assert_eq!(run.way, Way::Undone, "{kind:?} at {step}");
                assert!(world.done.is_empty(), "{kind:?} at {step} left {world:?}");
                continue;
            }
            assert_eq!((run.way, usize::from(run.at)), (Way::Parked, step));
            assert_eq!(world.done.len(), step, "what was done before stays");
            assert_eq!(run.hear(Word::Compensate, at(2)), Err(Refused), "it cannot be taken back");
            let mut run = run.hear(Word::Retry, at(2)).unwrap();
            let mut world = world;
            while let Some(action) = run.action {
                run = run.run.hear(world.ask(action), at(3)).unwrap();
            }
            assert_eq!((run.run.way, world), (Way::Done, go(kind, 1, None).1));
        }
    }
}

#[test]
fn the_unwinding_twice_is_the_unwinding_once() {
    for kind in Kind::ALL {
        for (step, _) in kind.steps().iter().enumerate() {
            assert_eq!(go(kind, 1, Some(step)), go(kind, 2, Some(step)), "{kind:?} at {step}");
        }
    }
}

/// Nobody knows whether a silent step was done: taking it back is right either way, and it can never come later.
#[test]
fn a_silent_step_is_taken_back_whether_it_was_done_or_not() {
    for (kind, row) in Kind::ALL.into_iter().filter_map(|kind| Some((kind, kind.steps().first()?))) {
        let Some(undo) = row.undo else { continue };
        for was_done in [false, true] {
            let (mut world, run) = (World::default(), Run::begin(kind, at(0)));
            if was_done {
                world.ask(row.forward);
            }
            assert_eq!(run.hear(Word::Silence, at(14)).unwrap().action, Some(row.forward));
            let back = run.hear(Word::Silence, at(15)).unwrap();
            assert_eq!(back.action, Some(undo));
            let over = back.run.hear(world.ask(undo), at(16)).unwrap().run;
            assert_eq!((over.way, world.done.len()), (Way::Undone, 0));
            assert_eq!(world.ask(row.forward), Word::Refused, "a late one");
        }
    }
}

#[test]
fn a_step_of_no_return_is_asked_for_for_ever_and_a_person_is_told_once() {
    let run = Run::begin(Kind::CancelLines, at(0));
    let hour = run.hear(Word::Silence, at(60)).unwrap();
    assert_eq!((hour.action, hour.exception), (Some(Action::Refund), None));
    let told = hour.run.hear(Word::Silence, at(360)).unwrap();
    assert_eq!((told.action, told.exception), (Some(Action::Refund), Some("stuck")));
    let after = told.run.hear(Word::Silence, at(720)).unwrap();
    assert_eq!((after.action, after.exception), (Some(Action::Refund), None));
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        3 => Just(Word::Done),
        1 => Just(Word::Refused),
        2 => Just(Word::Silence),
        1 => Just(Word::Retry),
        1 => Just(Word::Compensate),
    ]
}

proptest! {
    /// Ends are final, a parked run stands still until a person speaks, and no step is skipped.
    #[test]
    fn a_run_never_skips_a_step_and_never_leaves_its_end(
        which in 0..Kind::ALL.len(), words in proptest::collection::vec((word(), 0_i64..400), 0..40),
    ) {
        let (mut run, mut minutes) = (Run::begin(Kind::ALL[which], at(0)), 0);
        for (word, later) in words {
            minutes += later;
            let before = run;
            let Ok(next) = run.hear(word, at(minutes)) else { continue };
            run = next.run;
            if before.is_over() {
                prop_assert_eq!(run, before);
            }
            if before.is_parked() && !matches!(word, Word::Retry | Word::Compensate) {
                prop_assert_eq!(run, before);
            }
            prop_assert!(run.at.abs_diff(before.at) <= 1);
            prop_assert_eq!(next.action.is_some(), !run.is_over() && !run.is_parked());
        }
    }
}
