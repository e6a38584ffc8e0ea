//! M2: timed calls are armed when they are handed in, so they keep their order when they are late together.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sideloop::{Builder, CancelRequest, Handle, JoinHandle, SpawnError, time};

use crate::sleeping_order::pass;
use crate::support::{Drops, Events, hold, join_err, join_ok, limited, loop_started};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Hands in a call for each of `0..count`, at scrambled times from `start` on, some of them the same.
fn scrambled(
    handle: &Handle,
    start: Instant,
    count: u32,
) -> (Events<(Instant, u32)>, Vec<JoinHandle<()>>) {
    let ran = Events::new();
    let calls = (0..count).map(|n| {
        let (at, seen) = (start + Duration::from_micros((n * 7919 % 101).into()), ran.clone());
        handle.call_at(at, move || seen.push((at, n)))
    });
    let calls = calls.collect();
    (ran, calls)
}

fn assert_in_order(ran: &Events<(Instant, u32)>, count: u32) {
    let ran = ran.all();
    assert_eq!(ran.len(), count as usize);
    assert!(ran.is_sorted(), "by deadline, then as they were handed in: {ran:?}");
}

/// M2: calls of other threads, made while the loop was stuck, run in the order of their deadlines.
#[test]
fn calls_that_are_late_together_run_in_order() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let (ran, calls) = scrambled(side.handle(), Instant::now(), 200);
        pass(Instant::now() + MS);
        held.release();
        calls.into_iter().for_each(join_ok);
        assert_in_order(&ran, 200);
    });
}

/// M2: the same from the loop's own thread, inside a task and outside of the run.
#[test]
fn calls_of_the_own_thread_that_are_late_together_run_in_order() {
    let mut executor = Builder::new().batch(16).build();
    let handle = executor.handle().clone();
    let (ran, _calls) = scrambled(&handle, Instant::now(), 200);
    pass(Instant::now() + MS);
    executor.run_until_idle();
    assert_in_order(&ran, 200);
    let task = executor.spawn_local(async move {
        let made = scrambled(&sideloop::current(), Instant::now(), 200);
        pass(Instant::now() + MS);
        made
    });
    let (ran, _calls) = executor.block_on(task).expect("it made them");
    while ran.all().len() < 200 {
        executor.turn();
    }
    assert_in_order(&ran, 200);
}

/// M2: calls and sleeps are one order: a reset counts as arming.
#[test]
fn a_reset_sleep_comes_behind_a_call_for_the_same_time() {
    let mut executor = Builder::new().virtual_time(0).build();
    let (handle, ran) = (executor.handle().clone(), Events::new());
    executor.block_on(async {
        let at = time::now() + HOUR;
        let seen = ran.clone();
        let mut sleep = Box::pin(time::sleep_until(at));
        futures::poll!(&mut sleep).is_ready();
        let moved = sideloop::spawn_local(async move {
            sleep.as_mut().reset(at);
            sleep.await;
            seen.push("sleep");
        });
        let seen = ran.clone();
        let call = handle.call_at(at, move || seen.push("call"));
        moved.await.expect("no panic");
        call.await.expect("no panic");
    });
    assert_eq!(ran.all(), ["call", "sleep"]);
}

/// M2: repeated calls are armed for their first time in the same way.
#[test]
fn a_repeated_call_keeps_its_place_among_the_late_ones() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let (send, ran) = mpsc::channel();
        let mut calls = Vec::new();
        for period in [3, 1, 2] {
            let (send, mut first) = (send.clone(), true);
            let call = side.handle().call_every(period * MS, move || {
                if std::mem::take(&mut first) {
                    send.send(period).expect("the test listens");
                }
            });
            calls.push(call.expect("not zero").cancel_on_drop());
        }
        pass(Instant::now() + 4 * MS);
        held.release();
        let ran: Vec<_> = ran.iter().take(3).collect();
        assert_eq!(ran, [1, 2, 3]);
    });
}

/// M2, P9: no call runs where it is handed in, or taken in; it is a task, and can be cancelled by then.
#[test]
fn a_late_call_runs_in_a_turn_of_its_own() {
    let mut executor = Builder::new().build();
    let (handle, ran) = (executor.handle().clone(), Rc::new(Cell::new(0)));
    let long_ago = Instant::now();
    pass(long_ago + MS);
    let call = handle.call_at(long_ago, || ());
    assert!(!call.is_finished());
    let seen = ran.clone();
    let id = executor.spawn_local(async move { seen.set(seen.get() + 1) }).id();
    let abroad = std::thread::spawn(move || handle.call_at(long_ago, || ())).join().expect("ends");
    assert!(executor.handle().tasks().join().expect("here").iter().any(|task| task.id == id));
    assert_eq!(call.cancel(), CancelRequest::Requested);
    assert_eq!(abroad.cancel(), CancelRequest::Requested);
    executor.run_until_idle();
    assert_eq!(ran.get(), 1);
    assert!(matches!(join_err(call), sideloop::JoinError::Cancelled));
    assert!(matches!(join_err(abroad), sideloop::JoinError::Cancelled));
}

/// M6: the timer of a call goes with it, wherever the call was made.
#[test]
fn a_cancelled_call_leaves_no_timer() {
    let mut executor = Builder::new().build();
    let (handle, drops) = (executor.handle().clone(), Drops::new());
    let token = drops.token();
    let here = handle.call_after(HOUR, move || drop(token));
    let (abroad, token) = (handle.clone(), drops.token());
    let there = std::thread::spawn(move || abroad.call_after(HOUR, move || drop(token)));
    let there = there.join().expect("ends");
    assert!(executor.turn().next_deadline.is_some());
    here.abort();
    there.abort();
    executor.run_until_idle();
    assert_eq!(drops.count(), 2);
    assert_eq!(executor.turn().next_deadline, None);
}

/// P8: a timed call has a place among the submissions until it is armed, not until it runs.
#[test]
fn an_armed_call_holds_no_place() {
    let mut executor = Builder::new().capacity(1).build();
    let handle = executor.handle().clone();
    let elsewhere = |handle: Handle| {
        let spawned = std::thread::spawn(move || handle.try_spawn(async {}).map(drop));
        spawned.join().expect("ends")
    };
    let first = handle.clone();
    let call = std::thread::spawn(move || first.call_after(HOUR, || ())).join().expect("ends");
    assert!(matches!(elsewhere(handle.clone()), Err(SpawnError::Full(_))));
    executor.turn();
    assert!(elsewhere(handle).is_ok());
    assert!(!call.is_finished());
}
