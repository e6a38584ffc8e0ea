//! T4, T5: an idle loop sleeps, and goes back to sleep whatever user code did to its thread.

use std::thread::{self, Thread};
use std::time::Duration;

use sideloop::{Builder, Executor, Handle, time};

use crate::support::*;

/// How often the thread `tid` of this process has gone to sleep, and whether it sleeps now.
#[cfg(target_os = "linux")]
fn sleeps(tid: &str) -> (u64, bool) {
    let status = std::fs::read_to_string(format!("/proc/self/task/{tid}/status"));
    let status = status.expect("the status of a thread");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the field");
        line.trim().to_owned()
    };
    let count = field("voluntary_ctxt_switches:").parse().expect("a number");
    (count, field("State:").starts_with('S'))
}

/// The loop thread's number among the threads of the process.
#[cfg(target_os = "linux")]
fn tid(handle: &Handle) -> String {
    let link = handle.call(|| std::fs::read_link("/proc/thread-self").expect("a link"));
    let name = join_ok(link).file_name().map(|name| name.to_string_lossy().into_owned());
    name.expect("a number")
}

/// Waits until the loop sleeps and keeps sleeping; how often it has gone to sleep.
#[cfg(target_os = "linux")]
#[track_caller]
fn settled(tid: &str) -> u64 {
    let since = std::time::Instant::now();
    loop {
        assert!(since.elapsed() < WAIT, "the loop does not go to sleep");
        let before = sleeps(tid);
        assert!(!Latch::new("nothing").wait_for(Duration::from_millis(50)));
        if before.1 && sleeps(tid) == before {
            return before.0;
        }
    }
}

/// How often the loop of `handle` woke up in a while without any reason.
#[cfg(target_os = "linux")]
#[track_caller]
fn idle_wake_ups(handle: &Handle) -> u64 {
    let tid = tid(handle);
    let before = settled(&tid);
    assert!(!Latch::new("nothing").wait_for(Duration::from_millis(300)));
    sleeps(&tid).0 - before
}

/// T4: an idle loop without timers makes no wake-up at all.
#[cfg(target_os = "linux")]
#[test]
fn an_idle_loop_makes_no_wake_ups() {
    limited(|| {
        let looped = loop_started();
        assert_eq!(idle_wake_ups(looped.handle()), 0, "fresh");
        looped.handle().spawn(std::future::pending::<()>()).detach();
        join_ok(looped.handle().spawn(time::sleep(Duration::from_millis(5))));
        assert_eq!(idle_wake_ups(looped.handle()), 0, "after some work");
    });
}

/// T4: nor with timers that are far away, nor with cancelled ones.
#[cfg(target_os = "linux")]
#[test]
fn a_loop_with_far_timers_makes_no_wake_ups() {
    limited(|| {
        let looped = loop_started();
        for seconds in [3600, 86_400, 1_000_000_000] {
            looped.handle().spawn(time::sleep(Duration::from_secs(seconds))).detach();
        }
        looped.handle().spawn(time::sleep(Duration::MAX)).detach();
        let near = looped.handle().spawn(time::sleep(Duration::from_secs(2)));
        join_ok(looped.handle().call(|| ()));
        near.cancel();
        join_err(near);
        assert_eq!(idle_wake_ups(looped.handle()), 0);
    });
}

/// T4, M11: nor on virtual time, once there is no deadline left to jump to.
#[cfg(target_os = "linux")]
#[test]
fn an_idle_loop_on_virtual_time_makes_no_wake_ups() {
    limited(|| {
        let looped = Builder::new().virtual_time(1).start().expect("starts");
        assert_eq!(idle_wake_ups(looped.handle()), 0, "fresh");
        looped.handle().spawn(time::sleep(Duration::MAX)).detach();
        join_ok(looped.handle().spawn(time::sleep(Duration::from_secs(3600))));
        assert_eq!(idle_wake_ups(looped.handle()), 0, "after some work");
        join_ok(looped.handle().spawn(time::sleep(Duration::from_secs(3600))));
    });
}

/// T4: one wake-up for each distinct deadline, however many timers share it.
#[cfg(target_os = "linux")]
#[test]
fn a_loop_wakes_up_once_for_each_deadline() {
    limited(|| {
        let looped = loop_started();
        let start = std::time::Instant::now() + Duration::from_millis(300);
        let tasks: Vec<_> = (0..200)
            .map(|n| {
                let deadline = start + Duration::from_millis(40 * (n % 5));
                looped.handle().spawn(time::sleep_until(deadline))
            })
            .collect();
        let tid = tid(looped.handle());
        let before = settled(&tid);
        tasks.into_iter().for_each(join_ok);
        let woken = settled(&tid) - before;
        assert!(woken <= 8, "woken {woken} times for 5 deadlines");
    });
}

/// T4: a loop that spins before it parks does park.
#[cfg(target_os = "linux")]
#[test]
fn a_spinning_loop_parks_in_the_end() {
    limited(|| {
        let looped = Builder::new().spin(Duration::from_micros(200)).start().expect("starts");
        assert_eq!(idle_wake_ups(looped.handle()), 0);
        for n in 0..1000 {
            assert_eq!(join_ok(looped.handle().call(move || n)), n);
        }
    });
}

/// T4: a sleeping task is polled when it arms and when it is due, and never in between.
#[test]
fn a_sleeping_task_is_polled_twice() {
    limited(|| {
        let mut executor = Executor::new();
        let (probe, log) = {
            let mut sleep = Box::pin(time::sleep(Duration::from_millis(30)));
            Probe::scripted(move |_, cx| sleep.as_mut().poll(cx))
        };
        let task = executor.spawn_local(probe);
        executor.block_on(task).expect("completes");
        assert_eq!(log.polls(), 2);
    });
}

/// The loop thread's std handle.
fn std_thread(handle: &Handle) -> Thread {
    join_ok(handle.call(thread::current))
}

/// What must still hold: calls, timers, wakes from other threads, and quiet when idle.
#[track_caller]
fn check_well(handle: &Handle) {
    for n in 0..100 {
        assert_eq!(join_ok(handle.call(move || n)), n);
    }
    join_ok(handle.spawn(time::sleep(Duration::from_millis(1))));
    let gate = Gate::new();
    let task = handle.spawn(gate.passed());
    join_ok(handle.call(|| ()));
    gate.open();
    join_ok(task);
    #[cfg(target_os = "linux")]
    assert_eq!(idle_wake_ups(handle), 0, "the loop spins");
}

/// T5: a token that user code leaves for the loop thread makes the loop neither hang nor spin.
#[test]
fn an_unpark_of_the_loop_thread_by_itself_is_harmless() {
    limited(|| {
        let looped = loop_started();
        join_ok(looped.handle().call(|| thread::current().unpark()));
        check_well(looped.handle());
    });
}

/// T5: the same from another thread, while the loop sleeps and while it works.
#[test]
fn an_unpark_of_the_loop_thread_from_outside_is_harmless() {
    limited(|| {
        let looped = loop_started();
        let (probe, log) = Probe::pending();
        looped.handle().spawn(probe).detach();
        let thread = std_thread(looped.handle());
        (0..10_000).for_each(|_| thread.unpark());
        let held = hold(looped.handle());
        (0..10_000).for_each(|_| thread.unpark());
        held.release();
        check_well(looped.handle());
        assert_eq!(log.polls(), 1, "an unpark is no wake");
    });
}

/// T5: user code that parks the loop thread takes no wake-up away from the loop.
#[test]
fn a_park_in_user_code_takes_no_wake_up_from_the_loop() {
    limited(|| {
        let looped = loop_started();
        let thread = std_thread(looped.handle());
        let gate = Gate::new();
        let waiting = looped.handle().spawn(gate.passed());
        for _ in 0..100 {
            let parks = Latch::new("user code parks");
            let there = parks.clone();
            let parked = looped.handle().call(move || {
                there.set();
                thread::park_timeout(Duration::from_millis(1));
            });
            parks.wait();
            let posted = looped.handle().call(|| ());
            thread.unpark();
            join_ok(parked);
            join_ok(posted);
        }
        gate.open();
        join_ok(waiting);
        check_well(looped.handle());
    });
}

/// T5: posts do not end a park in user code for good, and are not lost in it.
#[test]
fn a_park_in_user_code_waits_for_its_own_unpark() {
    limited(|| {
        let looped = loop_started();
        let thread = std_thread(looped.handle());
        let (parks, go_on) = (Latch::new("user code parks"), Latch::new("told to go on"));
        let (there, told) = (parks.clone(), go_on.clone());
        let parked = looped.handle().call(move || {
            there.set();
            while !told.is_set() {
                thread::park();
            }
        });
        parks.wait();
        let posts: Vec<_> = (0..100).map(|n| looped.handle().call(move || n)).collect();
        go_on.set();
        thread.unpark();
        join_ok(parked);
        assert!(posts.into_iter().map(join_ok).eq(0..100));
        check_well(looped.handle());
    });
}

/// T5: a callback that blocks the loop thread delays the others, and that is all.
#[test]
fn a_callback_that_blocks_only_delays() {
    limited(|| {
        let looped = loop_started();
        let gate = Gate::new();
        let waiting = looped.handle().spawn(gate.passed());
        let sleeping = looped.handle().spawn(time::sleep(Duration::from_millis(1)));
        let hold = hold(looped.handle());
        gate.open();
        let posts: Vec<_> = (0..100).map(|n| looped.handle().call(move || n)).collect();
        assert!(posts.iter().all(|post| !post.is_finished()));
        hold.release();
        join_ok(waiting);
        join_ok(sleeping);
        assert!(posts.into_iter().map(join_ok).eq(0..100));
        check_well(looped.handle());
    });
}

/// T5: the same on an executor's own thread, around `block_on` and inside it.
#[test]
fn an_executor_shares_its_thread_with_code_that_parks() {
    limited(|| {
        let mut executor = Executor::new();
        for _ in 0..100 {
            thread::current().unpark();
            let (gate, me) = (Gate::new(), thread::current());
            let opens = gate.clone();
            let opener = thread::spawn(move || {
                me.unpark();
                opens.open();
                me.unpark();
            });
            executor.block_on(async move {
                thread::park_timeout(Duration::from_micros(10));
                gate.passed().await;
                thread::current().unpark();
            });
            opener.join().expect("opens");
            thread::park_timeout(Duration::from_micros(10));
        }
    });
}
