//! Virtual time: a retry loop with hours of back-off, tested in a moment; and a bug that depends on the order
//! of tasks, found and reproduced by its seed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use sideloop::{Builder, time};

const MINUTE: Duration = Duration::from_secs(60);

/// Tries until `attempt` succeeds; waits 1, 2, 4, ... minutes in between.
async fn retry(mut attempt: impl FnMut() -> bool) {
    let mut pause = MINUTE;
    while !attempt() {
        time::sleep(pause).await;
        pause *= 2;
    }
}

/// The order in which three tasks that are ready at once are polled.
fn order(seed: u64) -> Vec<char> {
    let mut executor = Builder::new().virtual_time(seed).build();
    let order = Rc::new(RefCell::new(Vec::new()));
    for name in ['a', 'b', 'c'] {
        let order = order.clone();
        executor.spawn_local(async move { order.borrow_mut().push(name) }).detach();
    }
    executor.run_until_idle();
    order.take()
}

fn main() {
    // The clock jumps whenever nothing is ready; the future cannot tell.
    let mut executor = Builder::new().virtual_time(0).build();
    let waited = executor.block_on(async {
        let (begun, mut left) = (time::now(), 10);
        retry(|| {
            left -= 1;
            left == 0
        })
        .await;
        time::now() - begun
    });
    println!("block_on: the tenth attempt came after {} minutes", waited.as_secs() / 60);
    assert_eq!(waited, 511 * MINUTE);

    // Step by step: only `advance` moves the clock, and it stops at every deadline on the way.
    let attempts = Rc::new(Cell::new(0));
    let count = attempts.clone();
    let task = executor.spawn_local(retry(move || {
        count.set(count.get() + 1);
        count.get() == 4
    }));
    for (minutes, expected) in [(0, 1), (1, 2), (1, 2), (1, 3), (4, 4)] {
        executor.advance(minutes * MINUTE);
        println!("advance({minutes} min): {} attempts", attempts.get());
        assert_eq!(attempts.get(), expected);
    }
    assert!(task.is_finished());

    // A seed determines the order of ready tasks: each seed always gives the same one.
    for seed in 0..4 {
        println!("seed {seed}: {:?}", order(seed));
        assert_eq!(order(seed), order(seed));
    }
    assert_eq!(order(0), ['a', 'b', 'c']);
    let seed = (1..).find(|seed| order(*seed)[0] == 'c').expect("some seed has c before a");
    println!("to see c before a again, use seed {seed}");
}
