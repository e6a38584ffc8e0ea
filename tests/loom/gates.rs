//! The ways in and out of the shell: full, room, a blocked spawner, the start, and the request to end.

use loom::thread;

use crate::error::JoinError;
use crate::runtime::closing::EndRequest;
use crate::runtime::gate::Gate;
use crate::runtime::started::promise;
use crate::support::{Drops, Model, spawn_remote};
use crate::sync::{Arc, AtomicUsize, Ordering};

/// P8: who waits for room gets it when somebody leaves, in every order of looking, marking and leaving.
///
/// Faults: `full_gate_unmarked`, `notify_without_the_lock`.
#[test]
fn room_for_who_waits() {
    loom::model(|| {
        let gate = Arc::new(Gate::new(1));
        assert!(gate.try_enter());
        let waiting = gate.clone();
        let spawner = thread::spawn(move || {
            assert!(waiting.enter(|| false));
            waiting.leave();
        });
        gate.leave();
        spawner.join().expect("ends");
        assert_eq!(gate.inside(), 0);
    });
}

/// P8: two wait, and one that only tries takes the room: nobody is forgotten, never more than one inside.
///
/// Faults: `leave_wakes_nobody`.
#[test]
fn two_wait_for_one_room() {
    loom::model(|| {
        let gate = Arc::new(Gate::new(1));
        let inside = Arc::new(AtomicUsize::new(0));
        let spawners: Vec<_> = (0..2)
            .map(|_| {
                let (gate, inside) = (gate.clone(), inside.clone());
                thread::spawn(move || {
                    assert!(gate.enter(|| false));
                    // ORDERING: AcqRel: only counted.
                    assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0, "two are inside");
                    // ORDERING: as above.
                    inside.fetch_sub(1, Ordering::AcqRel);
                    gate.leave();
                })
            })
            .collect();
        for spawner in spawners {
            spawner.join().expect("ends");
        }
        assert_eq!(gate.inside(), 0);
    });
}

/// P8, H5: who waits for room when the loop is asked to end is let go.
///
/// Faults: `closing_wakes_nobody`.
#[test]
fn a_blocked_spawner_against_the_end() {
    for makes_room in [false, true] {
        loom::model(move || {
            let (gate, closing) = (Arc::new(Gate::new(1)), Arc::new(EndRequest::<()>::new()));
            assert!(gate.try_enter());
            let (waiting, seen) = (gate.clone(), closing.clone());
            let spawner = thread::spawn(move || waiting.enter(|| seen.is_made()));
            let full = gate.clone();
            let leaver = makes_room.then(|| thread::spawn(move || full.leave()));
            closing.close();
            gate.look_again();
            let entered = spawner.join().expect("ends");
            assert!(makes_room || !entered, "there was no room");
            let left = leaver.map_or(0, |leaver| leaver.join().map(|()| 1).expect("ends"));
            assert_eq!(gate.inside(), 1 + usize::from(entered) - left);
        });
    }
}

/// S2: a thread that was started answers, or ends without an answer: who waits for it hears either.
///
/// Faults: `broken_promise_unheard`.
#[test]
fn start_against_its_failure() {
    for starts in [false, true] {
        loom::model(move || {
            let (ready, started) = promise();
            let thread = thread::spawn(move || if starts { ready.keep(7) } else { drop(ready) });
            assert_eq!(started.wait(), starts.then_some(7));
            thread.join().expect("ends");
        });
    }
}

/// P6, P7, C7: a request to end reaches a loop that is about to sleep, with its plan, while another
/// thread spawns: what it spawns is ended by the loop, or refused.
///
/// Faults: `bell_before_the_request`.
#[test]
fn shutdown_against_spawn() {
    loom::model(|| {
        let model = Model::new();
        let closing = Arc::new(EndRequest::new());
        let (drops, mailbox) = (Drops::new(), model.mailbox());
        let (seen, token) = (closing.clone(), drops.token());
        let spawner = thread::spawn(move || {
            (!seen.is_made()).then(|| {
                spawn_remote(&mailbox, async move {
                    let _token = token;
                    std::future::pending::<()>().await;
                })
            })
        });
        let (asked, mailbox) = (closing.clone(), model.mailbox());
        let stopper = thread::spawn(move || asked.make(7, |_, plan| plan, &mailbox));
        model.run_until(|| {
            let plan = closing.plan();
            assert!(!closing.is_made() || closing.plan() == Some(7), "closed without a plan");
            plan.is_some()
        });
        model.close();
        stopper.join().expect("ends");
        match spawner.join().expect("ends").map(|mut join| join.try_take()) {
            None | Some(Some(Err(JoinError::Cancelled | JoinError::Closed))) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(drops.count(), 1);
    });
}
