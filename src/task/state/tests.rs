//! Every transition tried from every state that the table allows.

use super::*;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// Every combination of flags that the table allows, with one and with two references.
fn states() -> Vec<Snapshot> {
    let valid = |s: &usize| {
        (s & QUEUE_OWNS_REF == 0 || s & (DONE | QUEUED) == DONE | QUEUED)
            && s & (WOKEN | QUEUED) != WOKEN
    };
    let one = (0..REF).filter(valid).map(|flags| Snapshot(flags + REF));
    one.clone().chain(one.map(|s| Snapshot(s.0 + REF))).collect()
}

#[test]
fn each_flag_has_bits_of_its_own_below_the_count() {
    let mut taken = 0;
    for flag in [QUEUED, CANCEL, ABORT, DONE, JOIN, WAKER, QUEUE_OWNS_REF, WOKEN, PROTECTION] {
        assert!(flag != 0 && taken & flag == 0, "{flag:#b} in {taken:#b}");
        taken |= flag;
    }
    assert_eq!(taken, REF - 1);
    let protections: BTreeSet<usize> = [0, GUARDED, DECIDED, PINNED].into();
    assert!(protections.len() == 4 && protections.iter().all(|p| p & !PROTECTION == 0));
}

#[test]
fn each_question_is_answered_by_its_own_flag() {
    type Question = fn(Snapshot) -> bool;
    let questions: [(Question, usize); 7] = [
        (Snapshot::is_done, DONE),
        (Snapshot::is_queued, QUEUED),
        (Snapshot::is_woken, WOKEN),
        (Snapshot::queue_owns_ref, QUEUE_OWNS_REF),
        (Snapshot::is_asked, CANCEL),
        (Snapshot::has_waker, WAKER),
        (Snapshot::is_requested, CANCEL | ABORT),
    ];
    for s in states() {
        for (question, flags) in questions {
            assert_eq!(question(s), s.0 & flags != 0, "{flags:#b} in {s:?}");
        }
        assert_eq!(s.is_pinned(), s.0 & PROTECTION == PINNED, "{s:?}");
    }
}

#[test]
fn what_is_told_of_a_request_is_the_stronger_one_and_whether_a_guard_has_a_say() {
    for s in states() {
        let requested = match (s.0 & CANCEL != 0, s.0 & ABORT != 0) {
            (_, true) => Some(Request::Abort),
            (true, false) => Some(Request::Cancel),
            (false, false) => None,
        };
        assert_eq!(s.requested(), requested, "{s:?}");
        let guards = [GUARDED, DECIDED].contains(&(s.0 & PROTECTION));
        assert_eq!(s.is_heeded(), guards && s.0 & CANCEL != 0, "{s:?}");
    }
}

#[test]
fn a_new_task_has_the_references_and_flags_of_its_kind() {
    let of = |state: State| (state.load().references(), state.load().0 % REF);
    assert_eq!(of(State::new(false)), (2, JOIN), "the loop's and the handle's");
    assert_eq!(of(State::new(true)), (2, JOIN | QUEUED | WOKEN), "about to be pushed");
    assert_eq!(of(State::unobserved()), (1, QUEUED | WOKEN), "it has no handle");
}

#[test]
fn a_wake_queues_once_and_only_what_is_not_done() {
    for s in states() {
        match s.wake() {
            None => assert!(s.is_done(), "{s:?}"),
            Some((next, then)) => {
                assert!(!s.is_done() && next.is_queued(), "{s:?}");
                assert_eq!(then == ScheduleAction::Push, !s.is_queued(), "{s:?}");
                assert_eq!(next.0 & !(QUEUED | WOKEN), s.0 & !(QUEUED | WOKEN), "{s:?}");
            }
        }
    }
}

#[test]
fn requested_is_told_exactly_when_nothing_was_pending() {
    for s in states() {
        for what in [Request::Cancel, Request::Abort] {
            for route in [Route::Local, Route::Remote] {
                let (next, answer, then) = s.request(what, route);
                let expected = match (s.is_done(), s.is_requested()) {
                    (true, _) => CancelRequest::Finished,
                    (false, true) => CancelRequest::AlreadyRequested,
                    (false, false) => CancelRequest::Requested,
                };
                assert_eq!(answer, expected, "{s:?} {what:?}");
                assert_eq!(
                    then == ScheduleAction::Push,
                    route == Route::Remote && next.is_some() && !s.is_queued()
                );
                let (flag, heard) = match what {
                    Request::Cancel => (CANCEL, s.is_requested()),
                    Request::Abort => (ABORT, s.0 & ABORT != 0),
                };
                let queued = if route == Route::Remote { QUEUED } else { 0 };
                let changed = (!s.is_done() && !heard).then_some(s.0 | flag | queued);
                assert_eq!(next.map(|n| n.0), changed, "{s:?} {what:?}: only an abort escalates");
            }
        }
    }
}

#[test]
fn a_detached_handle_gives_back_what_it_had() {
    for s in states().into_iter().filter(|s| s.0 & JOIN != 0) {
        let (next, what) = s.detach();
        match what {
            Detached::HasOutcome => assert!(s.is_done() && next.is_none(), "{s:?}"),
            Detached::HasWaker => {
                assert_eq!(next.map(|n| n.0), Some(s.0 & !(JOIN | WAKER)), "{s:?}")
            }
            Detached::Released => {
                assert_eq!(next.map(|n| n.0), Some((s.0 & !JOIN) - REF), "{s:?}")
            }
            Detached::Last => assert_eq!(s.references(), 1, "{s:?}"),
        }
    }
}

#[test]
fn a_reference_is_transferred_to_an_entry_alone() {
    for s in states().into_iter().filter(|s| s.is_done() && !s.queue_owns_ref()) {
        let state = State(AtomicUsize::new(s.0));
        assert_eq!(state.transfer_ref(), s.is_queued(), "{s:?}");
        assert_eq!(state.load().queue_owns_ref(), s.is_queued(), "{s:?}");
        assert_eq!(state.take_in().queue_owns_ref(), s.is_queued(), "{s:?}");
        assert!(!state.load().queue_owns_ref() && !state.load().is_queued(), "{s:?}");
    }
}

#[test]
fn a_request_ends_what_is_not_protected() {
    for s in states() {
        let ends = match s.0 & PROTECTION {
            PINNED => false,
            GUARDED => s.0 & ABORT != 0,
            _ => s.0 & (CANCEL | ABORT) != 0,
        };
        assert_eq!(s.is_ending(), ends, "{s:?}");
    }
}

#[test]
fn the_first_guard_counts_and_the_last_one_decides() {
    for s in states() {
        let free = !s.is_done() && s.0 & PROTECTION == 0;
        assert_eq!(s.guard().map(|n| n.0), free.then_some(s.0 | GUARDED), "{s:?}");
        for route in [Route::Local, Route::Remote] {
            let (next, then) = s.unguard(route);
            let guarded = !s.is_done() && s.0 & PROTECTION == GUARDED;
            assert_eq!(next.is_some(), guarded, "{s:?}");
            let Some(next) = next else { continue };
            let decided = s.0 & CANCEL != 0;
            assert_eq!(next.0 & PROTECTION, if decided { DECIDED } else { 0 }, "{s:?}");
            assert!(!decided || next.is_ending(), "{s:?}");
            let pushes = decided && route == Route::Remote && !s.is_queued();
            assert_eq!(then == ScheduleAction::Push, pushes, "{s:?}");
        }
    }
}

#[test]
fn only_a_guard_refuses_and_only_a_cancel_is_refused() {
    for s in states() {
        let open = s.0 & PROTECTION == GUARDED && s.0 & (CANCEL | ABORT | DONE) == CANCEL;
        assert_eq!(s.refuse().map(|n| n.0), open.then_some(s.0 & !CANCEL), "{s:?}");
    }
}

#[test]
fn a_job_starts_only_while_nothing_was_asked() {
    for s in states() {
        let free = s.0 & (CANCEL | ABORT | DONE | PROTECTION) == 0;
        assert_eq!(s.pin().map(|n| n.0), free.then_some(s.0 | PINNED), "{s:?}");
        assert!(s.pin().is_none_or(|next| !next.is_ending()), "{s:?}");
    }
}

#[test]
fn completion_gives_the_reference_away_exactly_from_the_plain_state() {
    for s in states().into_iter().filter(|s| !s.is_done()) {
        for keep in [false, true] {
            let state = State(AtomicUsize::new(s.0));
            let plain = s.0 & (JOIN | WAKER | QUEUED) == JOIN;
            match state.complete(keep) {
                completed @ (Completed::Released | Completed::Last) => {
                    assert!(!keep && plain, "{s:?}");
                    assert_eq!(completed == Completed::Last, s.references() == 1, "{s:?}");
                    assert_eq!(state.load().0, (s.0 | DONE) - REF, "{s:?}");
                }
                Completed::Kept { wanted, has_waker } => {
                    assert!(keep || !plain, "{s:?}");
                    assert_eq!((wanted, has_waker), (s.0 & JOIN != 0, s.has_waker()), "{s:?}");
                    assert_eq!(state.load().0, s.0 | DONE, "{s:?}");
                }
            }
        }
    }
}

#[test]
fn the_wakers_slot_changes_hands_only_before_the_end() {
    for s in states() {
        let state = State(AtomicUsize::new(s.0 & !WAKER));
        assert_eq!(state.lend_waker(), !s.is_done(), "{s:?}");
        assert_eq!(state.load().has_waker(), !s.is_done(), "{s:?}");
        assert_eq!(state.load().0 | WAKER, s.0 | WAKER, "{s:?}");

        let state = State(AtomicUsize::new(s.0 | WAKER));
        assert_eq!(state.reclaim_waker(), !s.is_done(), "{s:?}");
        assert_eq!(state.load().has_waker(), s.is_done(), "{s:?}");
        assert_eq!(state.load().0 | WAKER, s.0 | WAKER, "{s:?}");
    }
}

#[test]
fn a_poll_answers_remote_wakes_and_changes_nothing_else() {
    for s in states() {
        let state = State(AtomicUsize::new(s.0));
        assert_eq!(state.begin_poll(), s);
        assert_eq!(state.load().0, s.0 & !WOKEN, "{s:?}");
    }
}

#[test]
fn what_is_taken_in_may_be_pushed_again() {
    for s in states() {
        let state = State(AtomicUsize::new(s.0));
        assert_eq!(state.take_in(), s);
        assert_eq!(state.load().0, s.0 & !(QUEUED | WOKEN | QUEUE_OWNS_REF), "{s:?}");
    }
}

#[test]
fn a_word_changes_as_the_transition_says_and_so_does_the_answer() {
    for s in states() {
        let after = |apply: &dyn Fn(&State)| {
            let state = State(AtomicUsize::new(s.0));
            apply(&state);
            state.load()
        };
        let is = |next: Option<Snapshot>| next.unwrap_or(s);
        assert_eq!(after(&|state| state.guard()), is(s.guard()));
        assert_eq!(
            after(&|state| assert_eq!(state.refuse(), s.refuse().is_some())),
            is(s.refuse())
        );
        assert_eq!(after(&|state| assert_eq!(state.pin(), s.pin().is_some())), is(s.pin()));
        for route in [Route::Local, Route::Remote] {
            let (next, then) = s.unguard(route);
            assert_eq!(after(&|state| assert_eq!(state.unguard(route), then)), is(next));
            for what in [Request::Cancel, Request::Abort] {
                let (next, answer, then) = s.request(what, route);
                let asks = |state: &State| assert_eq!(state.request(what, route), (answer, then));
                assert_eq!(after(&asks), is(next));
            }
        }
    }
}

#[test]
fn whoever_gives_the_last_reference_back_is_told_whatever_the_flags() {
    for s in states() {
        let state = State(AtomicUsize::new(s.0));
        assert_eq!(state.release(), s.references() == 1, "{s:?}");
        let left = if s.references() == 1 { s.0 } else { s.0 - REF };
        assert_eq!(state.load().0, left, "the last one needs no exchange: {s:?}");
    }
}

impl State {
    /// Makes the count of references another, at most the limit; returns what it was.
    pub(crate) fn set_references(&self, references: usize) -> usize {
        let now = self.load();
        let word = references.min(FULL + 1) * REF + now.0 % REF;
        self.0.store(word, Ordering::Relaxed); // ORDERING: nobody else has the task
        now.references()
    }
}

/// The word of a live task that has this many references.
fn counted(references: usize) -> State {
    State(AtomicUsize::new(references * REF + JOIN))
}

/// The most references that one more may be made from.
const FULL: usize = MOST / REF;

#[test]
fn a_count_at_its_limit_takes_no_more_and_loses_none() {
    let state = counted(FULL);
    state.retain();
    assert_eq!(state.load().references(), FULL + 1, "the last one that is given");
    for _ in 0..3 {
        let refused = std::panic::catch_unwind(|| state.retain()).expect_err("there is no room");
        let message = refused.downcast_ref::<&str>().expect("a message");
        assert_eq!(*message, "too many wakers of one task");
        assert_eq!(state.load().0, (FULL + 1) * REF + JOIN, "the refused one was counted");
    }
    assert!(!state.release());
    state.retain();
}

/// Those who are refused at once count on each other's undoing: the half above the limit is theirs.
#[test]
fn threads_that_are_refused_together_wrap_nothing() {
    let state = counted(FULL + 1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let retain = std::panic::AssertUnwindSafe(|| state.retain());
                    assert!(std::panic::catch_unwind(retain).is_err());
                }
            });
        }
    });
    assert_eq!(state.load().0, (FULL + 1) * REF + JOIN);
}

/// Whatever the flags say, the count above them is the same, up to the limit.
#[test]
fn flags_and_count_keep_apart_at_the_limit() {
    for flags in states().into_iter().map(|s| s.0 % REF) {
        let state = State(AtomicUsize::new((FULL - 1) * REF + flags));
        state.retain();
        assert_eq!(state.load(), Snapshot(FULL * REF + flags));
        let _ = state.take_in();
        assert_eq!(state.load().references(), FULL, "{flags:#b}");
    }
}
