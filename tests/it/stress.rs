//! Many threads, many tasks, exact accounts.

mod ends;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use sideloop::{
    CancelRequest, Handle, JoinError, JoinHandle, LoopThread, Shutdown, TaskId, time, yield_now,
};

use crate::support::*;

/// How long one of these may take on a slow and busy machine.
const LONG: Duration = Duration::from_secs(180);

/// Runs `work(n)` on `count` threads that start together; what each returned.
fn together<R: Send + 'static>(
    count: usize,
    work: impl Fn(usize) -> R + Clone + Send + 'static,
) -> Vec<R> {
    let barrier = Arc::new(Barrier::new(count));
    let start = |n| {
        let (barrier, work) = (Arc::clone(&barrier), work.clone());
        thread::spawn(move || {
            barrier.wait();
            work(n)
        })
    };
    let threads: Vec<_> = (0..count).map(start).collect();
    threads.into_iter().map(|thread| thread.join().expect("a worker ends well")).collect()
}

/// P2, P6, J1: 8 threads × 100 000 spawns, each joined, each with its own value and its own id.
#[test]
fn eight_threads_spawn_and_join_a_hundred_thousand_each() {
    limited_to(LONG, || {
        let looped = loop_started();
        let handle = looped.handle().clone();
        let ids = together(8, move |thread| {
            let mut ids = Vec::with_capacity(100_000);
            for batch in 0..100 {
                let value = |n: usize| thread * 1_000_000 + batch * 1000 + n;
                let task = |n| {
                    let value = value(n);
                    handle.spawn(async move { value })
                };
                let tasks: Vec<_> = (0..1000).map(task).collect();
                ids.extend(tasks.iter().map(JoinHandle::id));
                for (n, task) in tasks.into_iter().enumerate() {
                    assert_eq!(join_ok(task), value(n));
                }
            }
            ids
        });
        let mut ids: Vec<TaskId> = ids.into_iter().flatten().collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 800_000, "ids repeat");
        let report = looped.shutdown(Shutdown::now());
        assert!(report.cancelled.is_empty() && report.aborted.is_empty(), "{report:?}");
    });
}

/// P6: half a million detached calls from four threads all run, each once.
#[test]
fn detached_calls_all_run_once() {
    limited_to(LONG, || {
        let looped = loop_started();
        let (handle, ran) = (looped.handle().clone(), Arc::new(AtomicUsize::new(0)));
        let counts = Arc::clone(&ran);
        together(4, move |_| {
            for _ in 0..125_000 {
                let counts = Arc::clone(&counts);
                let call = move || counts.fetch_add(1, Ordering::Relaxed);
                handle.call(call).detach();
            }
        });
        let (mut last, mut before) = (looped.handle().call(|| ()), 0);
        // The limit is for a call, and not for all of them.
        while let Err(later) = last.join_timeout(WAIT) {
            let now = ran.load(Ordering::Relaxed);
            assert!(now > before, "no call has run within {WAIT:?} after {now}");
            (last, before) = (later, now);
        }
        assert_eq!(ran.load(Ordering::Relaxed), 500_000);
    });
}

/// The way a racing spawner's task behaves, by its number.
async fn behave(n: usize, token: Token) -> usize {
    let _token = token;
    match n % 5 {
        0 => {}
        1 => yield_now().await,
        2 => time::sleep(Duration::from_micros(n as u64 % 200)).await,
        3 => std::future::pending().await,
        _ => (0..n % 10).for_each(|_| std::hint::spin_loop()),
    }
    n
}

/// Spawns until it is refused; what was accepted.
fn spawn_until_refused(handle: &Handle, drops: &Drops, most: usize) -> Vec<JoinHandle<usize>> {
    let mut accepted = Vec::new();
    for n in 0..most {
        match handle.try_spawn(behave(n, drops.token())) {
            Ok(task) => accepted.push(task),
            Err(refused) => {
                drop(refused);
                let refused = handle.spawn(behave(0, drops.token()));
                assert!(matches!(refused.join(), Err(JoinError::Closed)));
                break;
            }
        }
    }
    accepted
}

/// One race of four spawners with one shutdown, and its account.
fn race(how: Shutdown, round: usize) {
    let (looped, drops) = (loop_started(), Drops::new());
    let (handle, tokens) = (looped.handle().clone(), drops.clone());
    let ends = handle.clone();
    let ended = thread::spawn(move || {
        (0..round * 2000).for_each(|_| std::hint::spin_loop());
        ends.shutdown(how);
    });
    let accepted = together(4, move |_| spawn_until_refused(&handle, &tokens, 20_000));
    ended.join().expect("requests");
    let report = looped.join();
    let mut listed: HashMap<TaskId, usize> = HashMap::new();
    let lists = [&report.cancelled, &report.aborted, &report.panicked];
    for info in lists.into_iter().flatten() {
        *listed.entry(info.id).or_default() += 1;
    }
    assert!(report.panicked.is_empty(), "{:?}", report.panicked);
    let mut ran = 0;
    for task in accepted.into_iter().flatten() {
        let id = task.id();
        assert!(task.is_finished(), "task {id} is open after the end");
        match task.join() {
            Ok(_) => {
                ran += 1;
                assert_eq!(listed.get(&id), None, "task {id} ran, and is reported");
            }
            Err(JoinError::Cancelled | JoinError::Closed) => {
                assert_eq!(listed.remove(&id), Some(1), "task {id}: neither run nor reported");
            }
            Err(other) => panic!("task {id}: {other:?}"),
        }
    }
    assert!(listed.is_empty(), "reported, but never accepted: {listed:?}");
    assert!(report.finished <= ran, "{} finished of {ran} that ran", report.finished);
    assert_dropped_once(&drops);
}

/// Every token that was made was dropped, once.
#[track_caller]
fn assert_dropped_once(drops: &Drops) {
    assert_eq!(drops.count(), drops.made(), "futures are dropped more than once, or not at all");
}

/// P6, P7, H2: spawns that race with a shutdown: accepted = run + reported, each exactly once.
#[test]
fn spawns_racing_with_a_shutdown_are_accounted_for() {
    limited_to(LONG, || {
        for round in 0..20 {
            let ms = Duration::from_millis;
            race(Shutdown::now(), round);
            race(Shutdown::graceful(ms(1)), round);
            race(Shutdown::now().drain(ms(2)), round);
            race(Shutdown::graceful(ms(1)).drain(ms(1)), round);
        }
    });
}

/// P6, S3: the same race with the drop of the `LoopThread`.
#[test]
fn spawns_racing_with_the_drop_of_the_loop_are_answered() {
    limited_to(LONG, || {
        for round in 0..100 {
            let (looped, drops) = (loop_started(), Drops::new());
            let (handle, tokens) = (looped.handle().clone(), drops.clone());
            let ended = thread::spawn(move || {
                (0..round * 500).for_each(|_| std::hint::spin_loop());
                drop(looped);
            });
            let accepted = together(3, move |_| spawn_until_refused(&handle, &tokens, 20_000));
            for task in accepted.into_iter().flatten() {
                let ended = join_soon(task);
                assert!(
                    matches!(ended, Ok(_) | Err(JoinError::Cancelled | JoinError::Closed)),
                    "{ended:?}"
                );
            }
            ended.join().expect("drops");
            assert_dropped_once(&drops);
        }
    });
}

/// One post to a loop that has just been told something and is on its way to sleep, or asleep.
fn post_one_by_one(post: impl Fn(&LoopThread, usize)) {
    let looped = loop_started();
    for n in 0..10_000 {
        // Not a wait: it moves the post to another place of the loop's way to sleep.
        (0..n % 512).for_each(|_| std::hint::spin_loop());
        post(&looped, n);
    }
}

/// W2, W3: 10 000 single posts to a parked loop, no wake-up lost: calls.
#[test]
fn single_calls_to_a_parked_loop_all_arrive() {
    limited_to(LONG, || {
        post_one_by_one(|looped, n| assert_eq!(join_ok(looped.handle().call(move || n)), n));
    });
}

/// W2, W3: the same for wakes of one task.
#[test]
fn single_wakes_of_a_parked_loop_all_arrive() {
    limited_to(LONG, || {
        let looped = loop_started();
        let (probe, log) = Probe::pending();
        looped.handle().spawn(probe).detach();
        for polls in 1..=10_000 {
            log.wait_polls(polls);
            (0..polls % 512).for_each(|_| std::hint::spin_loop());
            assert!(log.wake());
        }
        log.wait_polls(10_001);
        assert_eq!(log.polls(), 10_001);
    });
}

/// C7, W3: the same for cancels, by handle and by id.
#[test]
fn single_cancels_to_a_parked_loop_all_arrive() {
    limited_to(LONG, || {
        post_one_by_one(|looped, n| {
            let task = looped.handle().spawn(std::future::pending::<()>());
            if n % 2 == 0 {
                assert_eq!(task.cancel(), CancelRequest::Requested);
            } else {
                let request = looped.handle().cancel(task.id());
                assert_eq!(join_ok(request), CancelRequest::Requested);
            }
            assert!(matches!(join_err(task), JoinError::Cancelled));
        });
    });
}

/// C4, C6: many cancels of one task race with its end: one of them at the most is the one, and the
/// task ends once.
#[test]
fn cancels_racing_with_the_end_are_accounted_for() {
    limited_to(LONG, || {
        let (looped, drops) = (loop_started(), Drops::new());
        for round in 0..2000 {
            let task = looped.handle().spawn(behave(round, drops.token()));
            let (canceller, handle) = (task.canceller(), looped.handle().clone());
            let answers = together(3, move |n| match n {
                0 => canceller.cancel(),
                1 => canceller.abort(),
                _ => join_ok(handle.cancel(canceller.id())),
            });
            let asked = answers.iter().filter(|answer| **answer == CancelRequest::Requested);
            let asked = asked.count();
            match join_soon(task) {
                Ok(value) => assert!(value == round && asked <= 1, "{answers:?}"),
                Err(JoinError::Cancelled) => assert_eq!(asked, 1, "{answers:?}"),
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(drops.count(), 2000);
        let id = thread_of(looped.handle());
        assert!(drops.threads().into_iter().all(|thread| thread == id));
    });
}

/// W4: wakes from other threads race with the end of the loop; tasks are dropped once, there.
#[test]
fn wakes_racing_with_the_end_do_nothing() {
    limited_to(LONG, || {
        for round in 0..100 {
            let looped = loop_started();
            let id = thread_of(looped.handle());
            let logs: Vec<_> = (0..20)
                .map(|_| {
                    let (probe, log) = Probe::pending();
                    looped.handle().spawn(probe).detach();
                    log.wait_polls(1);
                    log
                })
                .collect();
            let (wakes, ends) = (logs.clone(), std::sync::Mutex::new(Some(looped)));
            let ends = Arc::new(ends);
            together(3, move |n| match n {
                0 => {
                    (0..round * 100).for_each(|_| std::hint::spin_loop());
                    drop(ends.lock().expect("one takes it").take());
                }
                _ => (0..50).for_each(|_| wakes.iter().for_each(|log| assert!(log.wake()))),
            });
            assert!(logs.iter().all(|log| log.drops().threads() == [id]), "round {round}");
        }
    });
}
