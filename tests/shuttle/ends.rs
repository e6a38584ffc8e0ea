//! The end of the loop against everything that comes in meanwhile.

use std::sync::{Arc, Mutex};

use shuttle::future::block_on;
use shuttle::thread::{self, ThreadId};
use sideloop::JoinError;
use sideloop::bare::Remote;

use crate::support::{Driven, Kind, Record, Work, below, explore, join_all};

const PRODUCERS: usize = 3;
const TASKS: usize = 4;

/// Spawns a few tasks and does something with each, whether or not the loop has ended.
fn submit(remote: &Remote, ledger: &Mutex<Vec<Arc<Record>>>, home: ThreadId) {
    let spawn = |_| {
        let record = Record::new(home);
        ledger.lock().expect("plain").push(record.clone());
        (remote.spawn(Work { kind: Kind::any(), record: record.clone() }), record)
    };
    let tasks: Vec<_> = (0..TASKS).map(spawn).collect();
    for (handle, record) in tasks {
        match below(5) {
            0 => record.wake(),
            1 => drop(handle.cancel()),
            2 => drop(handle.abort()),
            3 => {
                drop(handle);
                record.open();
                continue;
            }
            _ => {}
        }
        let outcome = block_on(handle);
        let closed = matches!(outcome, Err(JoinError::Closed));
        assert_eq!(closed, record.was_refused(), "{outcome:?} {record:?}");
        assert!(outcome.is_err() || record.polls() > 0, "{record:?}");
    }
}

/// P6, J6, W4, W6: a loop that ends in the middle of it loses nothing: what it accepted is dropped on its
/// thread and joins as cancelled or with its value; what it did not is dropped where it was spawned, and
/// joins as closed; late requests, wakes and drops do no harm.
///
/// Faults: `close_drops_the_rest`, `queue_reference_ignored`, `push_after_close`.
#[test]
fn an_end_in_the_middle_loses_nothing() {
    explore(|| {
        let mut driven = Driven::new();
        let (ledger, home) = (Arc::new(Mutex::new(Vec::new())), thread::current().id());
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|_| {
                let ledger = ledger.clone();
                driven.producer(move |remote| submit(remote, &ledger, home))
            })
            .collect();
        for _ in 0..below(6) {
            driven.turn();
        }
        driven.end();
        join_all(producers);
        for record in &*ledger.lock().expect("plain") {
            record.forget();
            record.demand_ended();
        }
        driven.demand_nothing_left();
    });
}
