//! Stops and signals, sent to a child process by a shell, and to threads in it.

use std::fs;
use std::future::pending;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{Executor, Handle, JoinError, Shutdown, time};

use crate::child::isolated;
use crate::support::{Latch, OnDrop, join_ok, limited, loop_started};

const MS: Duration = Duration::from_millis(1);

/// Starts a shell with this script, in which `$1` is `number`.
#[track_caller]
fn shell(script: &str, number: u32) -> Child {
    let number = number.to_string();
    Command::new("sh").args(["-c", script, "sh", &number]).spawn().expect("a shell starts")
}

#[track_caller]
fn ends_well(mut shell: Child) {
    assert!(shell.wait().expect("a status").success());
}

/// The system's number for the calling thread.
fn thread_number() -> u32 {
    let link = fs::read_link("/proc/thread-self").expect("proc is mounted");
    let number = link.file_name().and_then(|name| name.to_str());
    number.and_then(|name| name.parse().ok()).expect("a number")
}

/// How often a thread of this process has gone to sleep.
fn sleeps_of(thread: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/self/task/{thread}/status"));
    let status = status.expect("the thread lives");
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).expect("a count")
}

/// Whether a thread of this process sleeps in the system.
fn is_asleep(thread: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/self/task/{thread}/status"));
    status.expect("the thread lives").lines().any(|line| line.starts_with("State:\tS"))
}

/// Sends a signal to one thread; a shell can only send it to the process. `false`: there is no such thread.
#[allow(unsafe_code, reason = "there is no safe call for it")]
fn signal(thread: u32) -> bool {
    let process = std::process::id();
    // SAFETY: it takes three numbers, of whatever value.
    let answer = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
    answer == 0
}

/// A task that sleeps for `after` from now and says how early it was woken, if it was.
fn sleeper(handle: &Handle, after: Duration) -> sideloop::JoinHandle<Duration> {
    let due = Instant::now() + after;
    handle.spawn(async move {
        time::sleep_until(due).await;
        due.saturating_duration_since(Instant::now())
    })
}

// ───────────── a stop ─────────────

/// Sleeps for `time` over and over, until a sleep that began after `over`; none may be early.
async fn sleep_until_over(time: Duration, over: Latch) {
    let mut last = false;
    while !last {
        last = over.is_set();
        let due = Instant::now() + time;
        time::sleep_until(due).await;
        assert!(due <= Instant::now(), "a sleep of {time:?} is early");
    }
}

/// Ticks until ticks were missed, as in a gap of half a second; none may be early.
async fn tick_until_missed(begun: Latch) {
    let mut interval = time::interval(100 * MS).expect("not zero");
    let mut missed = 0;
    while missed < 5 {
        let tick = interval.tick().await;
        assert!(tick.scheduled <= Instant::now(), "a tick is early");
        missed = tick.missed;
        begun.set();
    }
}

/// M1, M8, J2: a process stopped for a second and continued: nothing is early, lost or hung.
#[test]
fn a_stop_of_the_process_makes_nothing_early_and_hangs_nothing() {
    isolated(|| {
        let (side, idle) = (loop_started(), loop_started());
        let (ticking, over) = (Latch::new("the first tick"), Latch::new("the stop is over"));
        let sleep = |n| side.handle().spawn(sleep_until_over(n * MS, over.clone()));
        let sleepers: Vec<_> = (1..100).map(sleep).collect();
        let ticks = side.handle().spawn(tick_until_missed(ticking.clone()));
        ticking.wait();
        let begun = Instant::now();
        let stop = shell("kill -STOP $1; sleep 1; kill -CONT $1", std::process::id());
        if let Ok(early) = sleeper(idle.handle(), 500 * MS).join_timeout(600 * MS) {
            assert_eq!(early.expect("a value"), Duration::ZERO, "early");
        }
        ends_well(stop);
        over.set();
        assert!(begun.elapsed() >= Duration::from_secs(1), "it was not stopped");
        sleepers.into_iter().for_each(join_ok);
        join_ok(ticks); // which has seen the gap
        assert_eq!(join_ok(idle.handle().call(|| 7)), 7);
        let report = side.shutdown(Shutdown::graceful(Duration::from_secs(1)));
        assert!(report.panicked.is_empty(), "{report:?}");
    });
}

/// W2, J5: a process stopped a hundred times while threads and loops wake each other loses no wake.
#[test]
fn stops_between_wakes_lose_none() {
    isolated(|| {
        let (side, stopped) = (loop_started(), Latch::new("the stops are over"));
        let script = "i=0; while [ $i -lt 100 ]; do kill -STOP $1; kill -CONT $1; i=$((i+1)); done";
        let (shell, over) = (shell(script, std::process::id()), stopped.clone());
        let waiter = thread::spawn(move || {
            ends_well(shell);
            over.set();
        });
        let (mut rounds, before) = (0, side.handle().metrics().spawned);
        while rounds < 1000 || !stopped.is_set() {
            assert_eq!(join_ok(side.handle().call(move || rounds)), rounds);
            rounds += 1;
        }
        waiter.join().expect("the shell ends well");
        assert_eq!(side.handle().metrics().spawned - before, rounds);
    });
}

/// Stops whichever thread gets the signal, once it has said so, until it may go on.
#[allow(unsafe_code, reason = "what a handler may do is for its author to know")]
fn stop_on_signal(stopped: &Arc<AtomicBool>, goes_on: &Arc<AtomicBool>) {
    let (stopped, goes_on) = (stopped.clone(), goes_on.clone());
    let handler = move || {
        stopped.store(true, Ordering::SeqCst);
        while !goes_on.load(Ordering::SeqCst) {
            thread::sleep(MS);
        }
    };
    let signal = signal_hook::consts::SIGUSR1;
    // SAFETY: it does no more than store, load and sleep, which a handler may.
    unsafe { signal_hook::low_level::register(signal, handler) }.expect("a handler");
}

/// Has a loop poll until `over`, and waits until it does.
fn poll_until(handle: &Handle, over: &Arc<AtomicBool>) {
    let (over, polled) = (over.clone(), Latch::new("the poll has begun"));
    let polls = polled.clone();
    let poll = move || {
        polls.set();
        while !over.load(Ordering::SeqCst) {}
    };
    handle.call(poll).detach();
    polled.wait();
}

/// Has a loop's thread stopped for a second, asleep or in the middle of a poll.
fn stop_a_loop_thread(in_a_poll: bool, stopped: &Arc<AtomicBool>, goes_on: &Arc<AtomicBool>) {
    let (side, other) = (loop_started(), loop_started());
    let number = join_ok(side.handle().call(thread_number));
    let (idle, timer) = (side.handle().spawn(pending::<()>()), sleeper(side.handle(), 900 * MS));
    // Also where this panics: before the loop is dropped, which waits for its thread.
    let _goes_on = OnDrop(Some(|| {
        stopped.store(true, Ordering::SeqCst);
        goes_on.store(true, Ordering::SeqCst);
    }));
    if in_a_poll {
        poll_until(side.handle(), stopped);
    } else {
        // Not between its last look and its sleep, under a lock.
        while !is_asleep(number) || side.handle().metrics().parks == side.handle().metrics().unparks
        {
            thread::yield_now();
        }
    }
    assert!(signal(number), "the loop's thread lives");
    while !stopped.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    let calls: Vec<_> = (0..1000).map(|n| side.handle().call(move || n)).collect();
    let _ = idle.cancel();
    assert_eq!(join_ok(other.handle().call(|| 8)), 8);
    let late = side.handle().call(|| 7).join_timeout(Duration::from_secs(1));
    let late = late.expect_err("the loop is stopped");
    assert!(!idle.is_finished() && !timer.is_finished());
    goes_on.store(true, Ordering::SeqCst);
    assert_eq!(join_ok(late), 7);
    assert!(calls.into_iter().map(join_ok).eq(0..1000));
    assert!(matches!(idle.join(), Err(JoinError::Cancelled)));
    assert_eq!(join_ok(timer), Duration::ZERO, "early");
}

/// P2, J3, M1: a loop whose thread is stopped for a second holds nobody up but who waits for it: spawns, cancels and
/// limits do not wait, and afterwards all that was accepted is done.
#[test]
fn a_stopped_loop_thread_holds_up_only_who_waits_for_it() {
    isolated(|| {
        let (stopped, goes_on) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        stop_on_signal(&stopped, &goes_on);
        for in_a_poll in [false, true] {
            stop_a_loop_thread(in_a_poll, &stopped, &goes_on);
            stopped.store(false, Ordering::SeqCst);
            goes_on.store(false, Ordering::SeqCst);
        }
    });
}

// ───────────── a storm of signals ─────────────

/// Up to a thousand signals a second, as many as `signals` says or until the thread ends. Says how many were sent.
fn storm(signals: u32, thread: u32) -> thread::JoinHandle<u32> {
    thread::spawn(move || {
        let sent = (1..=signals).take_while(|_| signal(thread));
        sent.inspect(|_| thread::sleep(MS)).last().unwrap_or(0)
    })
}

/// Has the signal handled, which interrupts the system call of the thread that it is sent to. Ignored, as it would be
/// otherwise with one that does not end the process, it interrupts nothing.
fn handle_signals() {
    let signal = signal_hook::consts::SIGUSR1;
    signal_hook::flag::register(signal, Arc::default()).expect("a handler");
}

/// T4: a loop that sleeps through a storm of handled signals makes no turn for them.
#[test]
fn a_storm_of_signals_causes_no_turn() {
    isolated(|| {
        handle_signals();
        let side = loop_started();
        let (number, handle) = (join_ok(side.handle().call(thread_number)), side.handle().clone());
        for far in [None, Some(Duration::from_secs(3600))] {
            let timer = far.map(|far| sleeper(&handle, far));
            join_ok(handle.call(|| ()));
            while handle.metrics().parks < handle.metrics().unparks + 1 {
                thread::yield_now();
            }
            let (before, slept) = (handle.metrics(), sleeps_of(number));
            assert_eq!(storm(1000, number).join().expect("no panic"), 1000);
            let (after, slept) = (handle.metrics(), sleeps_of(number) - slept);
            assert!(slept >= 300, "the storm went by the loop, which slept {slept} times");
            assert_eq!((after.parks, after.polls), (before.parks, before.polls), "a spurious turn");
            drop(timer);
        }
        assert_eq!(join_ok(handle.call(|| 7)), 7);
    });
}

/// M1, T4: timers under a storm are not early and not lost, each with one turn of its own.
#[test]
fn timers_keep_their_time_under_a_storm() {
    isolated(|| {
        handle_signals();
        let side = loop_started();
        let number = join_ok(side.handle().call(thread_number));
        let before = side.handle().metrics().parks;
        let storm = storm(600, number);
        let tasks: Vec<_> = (0..50).map(|n| sleeper(side.handle(), 10 * n * MS)).collect();
        for task in tasks {
            assert_eq!(join_ok(task), Duration::ZERO, "early");
        }
        let turns = side.handle().metrics().parks - before;
        assert!(turns <= 110, "{turns} sleeps for 50 spawns and 50 deadlines");
        assert_eq!(storm.join().expect("no panic"), 600);
    });
}

/// J2, T4: threads that block in a join and in an executor of their own ride out a storm.
#[test]
fn blocked_joins_and_executors_ride_out_a_storm() {
    isolated(|| {
        handle_signals();
        let side = loop_started();
        let (tell, told) = std::sync::mpsc::channel();
        let (number, handle) = (tell.clone(), side.handle().clone());
        let joiner = thread::spawn(move || {
            number.send(thread_number()).expect("somebody listens");
            let (begun, task) = (Instant::now(), sleeper(&handle, 400 * MS));
            let task = task.join_timeout(100 * MS).expect_err("it sleeps for longer");
            assert!(begun.elapsed() >= 100 * MS, "the limit came early");
            task.join().expect("a value")
        });
        let executor = thread::spawn(move || {
            tell.send(thread_number()).expect("somebody listens");
            let due = Instant::now() + 400 * MS;
            Executor::new().block_on(time::sleep_until(due));
            due.saturating_duration_since(Instant::now())
        });
        let storms: Vec<_> = told.iter().map(|thread| storm(1000, thread)).collect();
        for thread in [joiner, executor] {
            assert_eq!(thread.join().expect("no panic"), Duration::ZERO, "early");
        }
        let storms: Vec<u32> =
            storms.into_iter().map(|storm| storm.join().expect("no panic")).collect();
        assert!(storms.len() == 2 && storms.iter().all(|sent| *sent > 0), "{storms:?}");
        limited(|| assert_eq!(sideloop::block_on(async { 7 }), 7));
    });
}
