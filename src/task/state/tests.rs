//! Every transition tried from every state that the table allows.

use super::*;
use alloc::vec::Vec;

/// Every combination of flags that the table allows, with one and with two references.
fn states() -> Vec<Snapshot> {
    let valid =
        |s: &usize| (s & BURIED == 0 || s & (DONE | JOIN) == DONE) && s & (WOKEN | QUEUED) != WOKEN;
    let one = (0..WOKEN << 1).filter(valid).map(|flags| Snapshot(flags + REF));
    one.clone().chain(one.map(|s| Snapshot(s.0 + REF))).collect()
}

#[test]
fn a_wake_queues_once_and_only_what_is_not_done() {
    for s in states() {
        match s.wake() {
            None => assert!(s.is_done(), "{s:?}"),
            Some((next, then)) => {
                assert!(!s.is_done() && next.is_queued(), "{s:?}");
                assert_eq!(then == Then::Push, !s.is_queued(), "{s:?}");
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
                let expected = match (s.is_done(), s.is_ending()) {
                    (true, _) => CancelRequest::Finished,
                    (false, true) => CancelRequest::AlreadyRequested,
                    (false, false) => CancelRequest::Requested,
                };
                assert_eq!(answer, expected, "{s:?} {what:?}");
                assert_eq!(
                    then == Then::Push,
                    route == Route::Remote && next.is_some() && !s.is_queued()
                );
                if !s.is_done() {
                    let word = next.unwrap_or(s).0;
                    assert!(word & (CANCEL | ABORT) != 0, "{s:?} {what:?}");
                    assert!(
                        what == Request::Cancel || word & ABORT != 0,
                        "an abort escalates: {s:?}"
                    );
                }
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
fn a_burial_is_queued_once() {
    for s in states().into_iter().filter(|s| s.0 & (DONE | JOIN) == DONE | JOIN) {
        let (next, then) = s.bury();
        assert!(next.is_buried() && next.is_queued() && next.0 & JOIN == 0, "{s:?}");
        assert_eq!(then == Then::Push, !s.is_queued(), "{s:?}");
    }
}

#[test]
fn completion_gives_the_reference_away_only_from_the_plain_state() {
    for s in states().into_iter().filter(|s| !s.is_done()) {
        for keep in [false, true] {
            let state = State(AtomicUsize::new(s.0));
            match state.complete(keep) {
                Err(last) => {
                    assert!(!keep && s.0 & (JOIN | WAKER | QUEUED) == JOIN, "{s:?}");
                    assert_eq!(last.0, s.references() == 1, "{s:?}");
                }
                Ok(completed) => {
                    assert_eq!(completed.wanted, s.0 & JOIN != 0, "{s:?}");
                    assert_eq!(
                        (completed.queued, completed.has_waker),
                        (s.is_queued(), s.has_waker())
                    );
                    assert_eq!(state.load().0, s.0 | DONE, "{s:?}");
                }
            }
        }
    }
}
