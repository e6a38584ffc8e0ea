//! All at once: several threads spawn, wake, cancel, abort, join and let go.

use std::sync::{Arc, Mutex};

use shuttle::future::block_on;
use shuttle::thread;
use sideloop::bare::Remote;
use sideloop::{CancelRequest, JoinError, JoinHandle};

use crate::support::{Driven, Kind, Output, Record, Work, below, explore, join_all};

const PRODUCERS: usize = 4;
const TASKS: usize = 3;

/// What everybody has spawned.
type Ledger = Arc<Mutex<Vec<Arc<Record>>>>;

/// P6, W2, C1, J1: whatever four threads do to their own tasks, and wakers of all to each other's, each
/// task ends once, on the loop's thread, and its handle tells how.
///
/// Faults: `request_not_pushed`.
#[test]
fn every_task_ends_once() {
    explore(|| {
        let mut driven = Driven::new();
        let (ledger, home) = (Ledger::default(), thread::current().id());
        let mut producers = Vec::new();
        for _ in 0..PRODUCERS {
            let ledger = ledger.clone();
            producers.push(driven.producer(move |remote| {
                for _ in 0..TASKS {
                    let record = Record::new(home);
                    ledger.lock().expect("plain").push(record.clone());
                    one_task(remote, record);
                    wake_any(&ledger);
                }
            }));
        }
        driven.run();
        join_all(producers);
        driven.end();
        for record in &*ledger.lock().expect("plain") {
            record.forget();
            assert!(!record.was_refused(), "{record:?}");
            record.demand_ended();
        }
        driven.demand_nothing_left();
    });
}

/// Wakes some task, whoever spawned it.
fn wake_any(ledger: &Ledger) {
    let record = {
        let all = ledger.lock().expect("plain");
        all[below(all.len())].clone()
    };
    record.wake();
}

fn one_task(remote: &Remote, record: Arc<Record>) {
    let kind = Kind::any();
    let handle = remote.spawn(Work { kind, record: record.clone() });
    match below(4) {
        0 => drop(handle),
        1 => demand(kind, true, &[handle.cancel()], handle),
        2 => {
            let other = handle.canceller();
            let found = [handle.abort(), other.cancel()];
            demand(kind, true, &found, handle);
        }
        _ if kind == Kind::Stuck => drop(handle.cancel_on_drop()),
        _ => {
            record.open();
            demand(kind, false, &[], handle);
        }
    }
}

/// Joins, and compares with what the requests found.
fn demand(kind: Kind, asked: bool, found: &[CancelRequest], handle: JoinHandle<Output>) {
    let context = format!("{kind:?} {found:?}");
    match block_on(handle) {
        Ok(_) => assert!(kind != Kind::Stuck && (kind != Kind::Waits || !asked), "{context}"),
        Err(JoinError::Cancelled) => {
            assert_eq!(found.first(), Some(&CancelRequest::Requested), "{context}");
            assert!(!found[1..].contains(&CancelRequest::Requested), "{context}");
        }
        Err(error) => panic!("{context}: {error}"),
    }
}

/// P4: whatever the threads do to each other, each one's tasks start in its order.
///
/// Faults: `take_all_unreversed`.
#[test]
fn each_threads_order_is_kept() {
    explore(|| {
        let mut driven = Driven::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut producers = Vec::new();
        for producer in 0..PRODUCERS {
            let order = order.clone();
            producers.push(driven.producer(move |remote| {
                for n in 0..TASKS {
                    let order = order.clone();
                    let task = async move { order.lock().expect("plain").push((producer, n)) };
                    remote.spawn(task).detach();
                }
            }));
        }
        driven.run();
        join_all(producers);
        let order = order.lock().expect("plain").clone();
        for producer in 0..PRODUCERS {
            let of = order.iter().filter(|(by, _)| *by == producer).map(|(_, n)| *n);
            assert!(of.eq(0..TASKS), "{order:?}");
        }
        driven.demand_nothing_left();
    });
}
