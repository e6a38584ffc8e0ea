//! The bounded way in: full, room, a blocked spawner, and the end.

use loom::thread;

use crate::floor::gate::Gate;
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
    loom::model(|| {
        let gate = Arc::new(Gate::new(1));
        let closed = Arc::new(AtomicUsize::new(0));
        assert!(gate.try_enter());
        let (waiting, seen) = (gate.clone(), closed.clone());
        // ORDERING: Acquire, paired with the swap below, as in the shell.
        let spawner = thread::spawn(move || waiting.enter(|| seen.load(Ordering::Acquire) == 1));
        // ORDERING: AcqRel, paired with the load above.
        closed.swap(1, Ordering::AcqRel);
        gate.look_again();
        assert!(!spawner.join().expect("ends"), "there was no room");
        assert_eq!(gate.inside(), 1);
    });
}
