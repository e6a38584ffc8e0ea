//! T7: `yield_if_due`, for tasks whose awaits are always ready.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::join_all;
use sideloop::{Builder, Executor, block_on, time, yield_if_due};

use crate::support::{Latch, join_ok, limited, loop_started};

/// Keeps the processor busy until `time` has passed.
fn compute(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Counts the polls of a future.
fn counted<F: Future>(future: F) -> (impl Future<Output = F::Output>, Rc<Cell<usize>>) {
    let polls = Rc::new(Cell::new(0));
    let count = polls.clone();
    let mut future = Box::pin(future);
    let polled = poll_fn(move |cx| {
        count.set(count.get() + 1);
        future.as_mut().poll(cx)
    });
    (polled, polls)
}

/// A channel that is never empty: each receive is ready at once.
async fn read(messages: usize, each: Duration) {
    for _ in 0..messages {
        compute(each);
        yield_if_due().await;
    }
}

fn with_budget(budget: Duration) -> Executor {
    Builder::new().poll_budget(budget).build()
}

/// T7: a limit comes in spite of a channel that is never empty.
#[test]
fn a_channel_that_is_never_empty_delays_a_limit_by_the_budget() {
    limited(|| {
        let side = loop_started();
        let over = Latch::new("the limit is over");
        let seen = over.clone();
        let reader = side.handle().spawn(async move {
            let mut messages = 0_u64;
            while !seen.is_set() {
                messages += 1;
                yield_if_due().await;
            }
            messages
        });
        let limit = side.handle().spawn(async move {
            let limit = time::timeout(Duration::from_millis(5), std::future::pending::<()>());
            let result = limit.await;
            over.set();
            result
        });
        assert!(join_ok(limit).is_err());
        assert!(join_ok(reader) > 0);
    });
}

/// T7: a poll that is over its budget yields at every call, also if the first call comes late.
#[test]
fn a_poll_over_its_budget_yields_at_the_next_call() {
    let mut executor = with_budget(Duration::from_millis(1));
    executor.block_on(yield_if_due()); // from here on the loop keeps the time
    let (task, polls) = counted(read(10, Duration::from_millis(2)));
    executor.spawn_local(task).detach();
    executor.run_until_idle();
    assert_eq!(polls.get(), 11, "one for each message, and the last");
}

/// T7: a task that had waited is given its whole budget, and no more.
#[test]
fn a_poll_after_a_wait_is_timed_from_its_own_beginning() {
    limited(|| {
        let mut executor = with_budget(Duration::from_millis(20));
        let (task, polls) = counted(async {
            yield_if_due().await;
            for _ in 0..3 {
                time::sleep(Duration::from_millis(40)).await; // polled twice, and once more after it
                yield_if_due().await;
            }
        });
        executor.block_on(task);
        assert_eq!(polls.get(), 4, "a sleep is no work");
        let (task, polls) = counted(async {
            for _ in 0..3 {
                time::sleep(Duration::from_millis(1)).await;
                compute(Duration::from_millis(40));
                yield_if_due().await; // the first call in its poll
            }
        });
        executor.block_on(task);
        assert_eq!(polls.get(), 7, "each of three polls was too long");
    });
}

/// T7: messages that suddenly take long are noticed within a few of them.
#[test]
fn calls_that_become_slow_are_noticed_soon() {
    let mut executor = Builder::new().poll_budget(Duration::from_millis(50)).batch(1).build();
    let slow = Rc::new(Cell::new(0));
    let seen = slow.clone();
    let reader = executor.spawn_local(async move {
        read(100, Duration::ZERO).await; // quick ones first
        loop {
            compute(Duration::from_millis(10));
            seen.set(seen.get() + 1);
            yield_if_due().await;
        }
    });
    while slow.get() == 0 {
        executor.turn();
    }
    assert!(slow.get() <= 16 + 5, "{} slow messages in a row", slow.get());
    reader.abort();
}

/// T7: no call within the budget yields, however many there are; with `Duration::MAX` none ever does.
#[test]
fn within_its_budget_a_poll_goes_on() {
    for budget in [Duration::from_secs(3600), Duration::MAX] {
        let mut executor = with_budget(budget);
        let (task, polls) = counted(read(10_000, Duration::ZERO));
        executor.block_on(task);
        assert_eq!(polls.get(), 1, "{budget:?}");
    }
}

/// T7: a budget of zero yields each time.
#[test]
fn a_budget_of_zero_yields_at_every_call() {
    for virtual_time in [false, true] {
        let mut builder = Builder::new().poll_budget(Duration::ZERO);
        if virtual_time {
            builder = builder.virtual_time(7);
        }
        let mut executor = builder.build();
        let (task, polls) = counted(read(100, Duration::ZERO));
        executor.spawn_local(task).detach();
        assert_eq!(executor.run_until_idle(), 101);
        assert_eq!(polls.get(), 101);
    }
}

/// T7, M11: in virtual time the 64th call of a poll yields, whatever the clock of the wall says.
#[test]
fn in_virtual_time_the_64th_call_yields() {
    let mut executor = Builder::new().virtual_time(0).build();
    let (task, polls) = counted(read(640, Duration::from_micros(10)));
    executor.block_on(task);
    assert_eq!(polls.get(), 11, "as the future of a `block_on`");
    let (task, polls) = counted(async {
        for _ in 0..10 {
            read(63, Duration::ZERO).await;
            sideloop::yield_now().await; // each poll is counted by itself
        }
    });
    executor.spawn_local(task).detach();
    executor.run_until_idle();
    assert_eq!(polls.get(), 11, "as a task");
}

/// T7, M11: two runs with one seed interleave in the same way.
#[test]
fn yields_in_virtual_time_replay() {
    let trace = |seed| {
        let mut executor = Builder::new().virtual_time(seed).build();
        let trace = Rc::new(std::cell::RefCell::new(Vec::new()));
        for name in 0..5 {
            let trace = trace.clone();
            let task = async move {
                for n in 0..200 + 30 * name {
                    if n % 64 == 0 {
                        trace.borrow_mut().push((name, n));
                    }
                    yield_if_due().await;
                }
            };
            executor.spawn_local(task).detach();
        }
        executor.run_until_idle();
        trace.take()
    };
    assert_eq!(trace(42), trace(42));
    assert_ne!(trace(42), trace(43), "the seed is used");
}

/// T7: the futures inside of one task have one budget together.
#[test]
fn futures_inside_of_one_task_share_its_budget() {
    let mut executor = with_budget(Duration::from_millis(1));
    let inner = (0..20).map(|_| read(usize::MAX, Duration::from_micros(100)));
    let flood = executor.spawn_local(join_all(inner.collect::<Vec<_>>()));
    let other = executor.spawn_local(async { Instant::now() });
    let begun = Instant::now();
    while !other.is_finished() {
        executor.turn();
    }
    // Nineteen of them make one call each after the first has used the budget up.
    assert!(begun.elapsed() < Duration::from_secs(2), "each of twenty had its own budget");
    flood.abort();
}

/// T7: ready at once outside of a loop's run, and in blocking jobs.
#[test]
fn outside_of_a_loop_it_never_yields() {
    let poll_once = |future: Pin<&mut dyn Future<Output = ()>>| {
        future.poll(&mut Context::from_waker(std::task::Waker::noop()))
    };
    let long = move || {
        for _ in 0..1000 {
            assert_eq!(poll_once(pin!(yield_if_due())), Poll::Ready(()));
        }
        compute(Duration::from_millis(1));
        poll_once(pin!(yield_if_due()))
    };
    assert_eq!(long(), Poll::Ready(()));
    let side = Builder::new().poll_budget(Duration::ZERO).start().expect("a loop starts");
    assert_eq!(join_ok(side.handle().spawn_blocking(long)), Poll::Ready(()));
}

/// T7: it may be awaited in what is `Send`, and in a loop inside of a task of another.
#[test]
fn each_loop_has_its_own_budget() {
    let mut outer = with_budget(Duration::ZERO);
    let (task, polls) = counted(async {
        block_on(async { read(100, Duration::ZERO).await }); // the defaults
        yield_if_due().await;
    });
    outer.block_on(task);
    assert_eq!(polls.get(), 2);
    let side = loop_started();
    join_ok(side.handle().spawn(yield_if_due()));
}
