//! The ways in and out of the shell: full, room, a blocked spawner, and the request to end.

use std::sync::Arc as StdArc;
use std::task::Waker;

use loom::thread;

use crate::error::JoinError;
use crate::runtime::gate::{Gate, GateClosed, GateWaiter};
use crate::runtime::shutdown_request::ShutdownRequest;
use crate::support::{Drops, Model, spawn_remote, wait_for};
use crate::sync::{Arc, AtomicUsize, Ordering};

/// Waits for a place, as a thread that blocks does.
fn enter(gate: &StdArc<Gate>) -> Result<(), GateClosed> {
    if gate.try_enter() {
        return Ok(());
    }
    let mut waiting = GateWaiter::new(StdArc::clone(gate));
    wait_for(std::future::poll_fn(|cx| waiting.poll(cx.waker())))
}

/// P8: who waits for room gets it when somebody leaves, in every order of looking, marking and leaving.
///
/// Faults: `full_gate_unmarked`.
#[test]
fn room_for_who_waits() {
    loom::model(|| {
        let gate = StdArc::new(Gate::new(1));
        assert!(gate.try_enter());
        let waiting = gate.clone();
        let spawner = thread::spawn(move || {
            assert_eq!(enter(&waiting), Ok(()));
            waiting.leave();
        });
        gate.leave();
        spawner.join().expect("ends");
        assert_eq!(gate.inside(), 0);
    });
}

/// P8: two wait for one place: nobody is forgotten, never more than one inside.
///
/// Faults: `leave_wakes_nobody`.
#[test]
fn two_wait_for_one_room() {
    loom::model(|| {
        let gate = StdArc::new(Gate::new(1));
        let inside = Arc::new(AtomicUsize::new(0));
        let spawners: Vec<_> = (0..2)
            .map(|_| {
                let (gate, inside) = (gate.clone(), inside.clone());
                thread::spawn(move || {
                    assert_eq!(enter(&gate), Ok(()));
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

/// P8: the first who waits gives up while a place is given back: the second gets it.
///
/// Faults: `served_waiter_keeps_its_place`.
#[test]
fn a_waiter_that_gives_up_against_room() {
    loom::model(|| {
        let gate = StdArc::new(Gate::new(1));
        assert!(gate.try_enter());
        let mut first = GateWaiter::new(gate.clone());
        assert!(first.poll(Waker::noop()).is_pending());
        let mut second = GateWaiter::new(gate.clone());
        let leaving = gate.clone();
        let leaver = thread::spawn(move || leaving.leave());
        let giving_up = thread::spawn(move || drop(first));
        assert_eq!(wait_for(std::future::poll_fn(|cx| second.poll(cx.waker()))), Ok(()));
        leaver.join().expect("ends");
        giving_up.join().expect("ends");
        gate.leave();
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
            let gate = StdArc::new(Gate::new(1));
            assert!(gate.try_enter());
            let waiting = gate.clone();
            let spawner = thread::spawn(move || enter(&waiting).is_ok());
            let full = gate.clone();
            let leaver = makes_room.then(|| thread::spawn(move || full.leave()));
            gate.close();
            let entered = spawner.join().expect("ends");
            assert!(makes_room || !entered, "there was no room");
            let left = leaver.map_or(0, |leaver| leaver.join().map(|()| 1).expect("ends"));
            assert_eq!(gate.inside(), 1 + usize::from(entered) - left);
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
        let shutdown_request = Arc::new(ShutdownRequest::new());
        let (drops, run_queues) = (Drops::new(), model.run_queues());
        let (seen, token) = (shutdown_request.clone(), drops.token());
        let spawner = thread::spawn(move || {
            (!seen.is_made()).then(|| {
                spawn_remote(&run_queues, async move {
                    let _token = token;
                    std::future::pending::<()>().await;
                })
            })
        });
        let (asked, run_queues) = (shutdown_request.clone(), model.run_queues());
        let stopper = thread::spawn(move || asked.make(7, |_, plan| plan, &run_queues));
        model.run_until(|| {
            let plan = shutdown_request.plan();
            assert!(
                !shutdown_request.is_made() || shutdown_request.plan() == Some(7),
                "closed without a plan"
            );
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
