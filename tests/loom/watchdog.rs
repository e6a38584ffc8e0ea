//! A loop and the watchdog that tells when a poll takes too long.

use std::sync::Arc as StdArc;
use std::time::Duration;

use loom::thread;

use crate::runtime::thread_waker::ThreadWaker;
use crate::runtime::watchdog::watch::Watch;
use crate::sync::Mutex;

/// What a loop's watchdog has told, and the loop that waits for it.
#[derive(Default)]
struct Told {
    polls: Mutex<Vec<u8>>,
    stuck: StdArc<ThreadWaker>,
}

/// A watchdog for which each poll is too long, or none.
fn watched(limit: Duration) -> (StdArc<Watch<u8>>, StdArc<Told>, thread::JoinHandle<()>) {
    let (watch, told) = (StdArc::new(Watch::default()), StdArc::new(Told::default()));
    let (watching, telling) = (StdArc::clone(&watch), StdArc::clone(&told));
    let thread = thread::spawn(move || {
        watching.run(limit, |poll, _| {
            telling.polls.lock().push(poll);
            std::task::Wake::wake_by_ref(&telling.stuck);
        });
    });
    (watch, told, thread)
}

/// O2: two polls, each stuck until it is told, against a watchdog that rests in between: each is told, and told once.
///
/// Faults: `begin_leaves_the_watchdog_asleep`, `watchdog_sleeps_unasked`, `stall_told_again`.
#[test]
fn polls_against_rest() {
    loom::model(|| {
        let (watch, told, thread) = watched(Duration::ZERO);
        for poll in 0..2 {
            watch.begin(poll);
            while told.polls.lock().last() != Some(&poll) {
                told.stuck.wait(None);
            }
            watch.end();
        }
        watch.stop();
        thread.join().expect("ends");
        assert_eq!(*told.polls.lock(), [0, 1]);
    });
}

/// O2: a loop ends while its watchdog watches a poll, or rests: it ends too, and has told nothing.
///
/// Faults: `watchdog_rung_before_the_mark`.
#[test]
fn stop_against_rest() {
    loom::model(|| {
        let (watch, told, thread) = watched(Duration::MAX);
        watch.begin(0);
        watch.end();
        watch.stop();
        thread.join().expect("ends");
        assert!(told.polls.lock().is_empty());
    });
}
