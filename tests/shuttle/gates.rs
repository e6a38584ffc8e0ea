//! The bounded way in, with more threads than room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use shuttle::thread;

use crate::floor::gate::{Gate, GateWaiter};
use crate::floor::thread_waker::ThreadWaker;
use crate::support::{below, explore};

const THREADS: usize = 5;
const ENTRIES: usize = 4;
const ROOM: usize = 2;

/// Waits for room, or gives it up after a poll or two.
fn wait(gate: &Arc<Gate>) -> bool {
    let mut waiting = GateWaiter::new(gate.clone());
    let thread = Arc::new(ThreadWaker::default());
    let waker = Waker::from(thread.clone());
    for _ in 0..if below(4) == 0 { 2 } else { usize::MAX } {
        if let Poll::Ready(entered) = waiting.poll(&waker) {
            return entered.is_ok();
        }
        thread.wait(None);
    }
    false
}

/// Goes in and out; some wait for room, and some only try.
fn pass(gate: &Arc<Gate>, inside: &AtomicUsize) {
    let entered = gate.try_enter() || below(3) > 0 && wait(gate);
    if entered {
        let others = inside.fetch_add(1, Ordering::SeqCst);
        assert!(others < ROOM, "{others} are inside already");
        thread::yield_now();
        inside.fetch_sub(1, Ordering::SeqCst);
        gate.leave();
    }
}

/// P8: whoever waits gets in, never more than there is room for, and at the end nobody is inside.
///
/// Faults: `full_gate_unmarked`, `leave_wakes_nobody`.
#[test]
fn who_waits_gets_in() {
    explore(|| {
        let (gate, inside) = (Arc::new(Gate::new(ROOM)), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (gate, inside) = (gate.clone(), inside.clone());
                thread::spawn(move || {
                    (0..ENTRIES).for_each(|_| pass(&gate, &inside));
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("it does not panic");
        }
        assert_eq!(gate.inside(), 0);
    });
}

/// P8, H5: when the loop is asked to end, all who wait are let go, though nobody leaves.
///
/// Faults: `look_again_tells_nobody`.
#[test]
fn an_end_lets_all_who_wait_go() {
    explore(|| {
        let (gate, inside) = (Arc::new(Gate::new(ROOM)), Arc::new(AtomicUsize::new(0)));
        let taken = below(ROOM + 1);
        assert!((0..taken).all(|_| gate.try_enter()));
        inside.fetch_add(taken, Ordering::SeqCst);
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (gate, inside) = (gate.clone(), inside.clone());
                thread::spawn(move || pass(&gate, &inside))
            })
            .collect();
        gate.close();
        for thread in threads {
            thread.join().expect("it does not panic");
        }
        assert_eq!(gate.inside(), taken);
    });
}
