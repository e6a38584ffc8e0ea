//! Where a loop sleeps, and what that costs.

use std::fs;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures::AsyncReadExt;
use sideloop::io::Async;
use sideloop::{LoopThread, time};

use crate::child::isolated;
use crate::support::{join_ok, limited};

/// What the descriptors of this process are.
fn kinds() -> Vec<String> {
    let all = fs::read_dir("/proc/self/fd").expect("proc is mounted");
    let links = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.map(|link| link.to_string_lossy().into_owned()).collect()
}

fn polls() -> usize {
    kinds().iter().filter(|kind| kind.contains("eventpoll") || kind.contains("eventfd")).count()
}

/// N1: a loop that never waits for I/O has no descriptor, and never sleeps in a driver; one that does has two, and no
/// further thread; at its end they are closed, though handles are left.
#[cfg(target_os = "linux")]
#[test]
fn n1_a_loop_has_descriptors_from_its_first_wait_on() {
    isolated(|| {
        let threads = || fs::read_dir("/proc/self/task").expect("proc is mounted").count();
        let side = LoopThread::start().expect("a thread");
        let handle = side.handle().clone();
        let (mut reader, writer) = crate::pipe().expect("a pipe");
        join_ok(handle.spawn(async { time::sleep(Duration::from_millis(1)).await }));
        // What does not block needs no driver.
        let written = join_ok(handle.spawn(async move {
            let writer = Async::new(writer).expect("set");
            writer
                .write_with(|mut writer| std::io::Write::write(&mut writer, b"x"))
                .await
                .map(|_| writer)
        }));
        let writer = written.expect("written");
        assert_eq!((polls(), handle.metrics().io_waits), (0, 0));
        std::io::Read::read_exact(&mut reader, &mut [0]).expect("it is there");
        let before = threads();
        let mut reader = Async::new(reader).expect("set");
        let reading = handle.spawn(async move { reader.read(&mut [0; 8]).await });
        while handle.metrics().io_waits == 0 {}
        assert_eq!((polls(), threads()), (2, before));
        drop(writer);
        assert_eq!(join_ok(reading).expect("the end"), 0);
        assert!(handle.metrics().io_events > 0);
        side.shutdown(sideloop::Shutdown::now());
        assert_eq!(polls(), 0, "{handle:?}");
    });
}

/// N1, W3: each sleep in the driver is ended by one ring at most, and wakes of a loop that is awake ring nothing.
#[test]
fn n1_wakes_of_other_threads_end_the_sleep_in_the_driver() {
    limited(|| {
        let side = LoopThread::start().expect("a thread");
        let handle = side.handle();
        let (reader, _writer) = crate::pipe().expect("a pipe");
        let reader = Async::new(reader).expect("set");
        handle.spawn(async move { reader.readable().await }).detach();
        for n in 0..1000 {
            assert_eq!(join_ok(handle.call(move || n)), n);
        }
        let metrics = handle.metrics();
        assert!(metrics.io_waits > 0 && metrics.unparks <= metrics.parks, "{metrics:?}");
        assert!(metrics.parks >= metrics.io_waits, "{metrics:?}");
    });
}

/// N2, M1: timers of a loop that sleeps in its driver are never early, and not late by the granularity of milliseconds, nor
/// by the thousandth of the time that the system likes to add.
#[test]
fn n2_timers_stay_exact_while_sockets_are_waited_for() {
    limited(|| {
        let side = LoopThread::start().expect("a thread");
        let late = join_ok(side.handle().spawn(async {
            let (reader, _writer) = crate::pipe().expect("a pipe");
            let reader = Async::new(reader).expect("set");
            let _waiting = sideloop::spawn_local(async move { reader.readable().await });
            let mut late = Vec::new();
            for micros in [100, 300, 900, 1500, 20_000, 300_000] {
                for _ in 0..if micros > 10_000 { 3 } else { 20 } {
                    let begun = Instant::now();
                    time::sleep(Duration::from_micros(micros)).await;
                    let took = begun.elapsed();
                    assert!(took >= Duration::from_micros(micros), "{took:?} for {micros} us");
                    late.push((took - Duration::from_micros(micros), micros));
                }
            }
            late
        }));
        for micros in [100, 300, 900, 1500, 20_000, 300_000] {
            let best = late.iter().filter(|(_, of)| *of == micros).map(|(late, _)| *late).min();
            assert!(
                best.expect("some") < Duration::from_micros(900),
                "{micros} us: late by {best:?}"
            );
        }
    });
}

/// N1: a loop that is idle in its driver makes no wake-ups.
#[test]
fn n1_an_idle_loop_stays_asleep_in_its_driver() {
    limited(|| {
        let side = LoopThread::start().expect("a thread");
        let (reader, writer) = crate::pipe().expect("a pipe");
        let reader = Async::new(reader).expect("set");
        let (tell, told) = mpsc::channel();
        let waiting = side.handle().spawn(async move {
            let _ = tell.send(());
            reader.readable().await
        });
        told.recv().expect("it has begun");
        while side.handle().metrics().io_waits == 0 {}
        let before = side.handle().metrics();
        side.handle().call(|| ()).join().expect("it runs");
        while side.handle().metrics().io_waits == before.io_waits {}
        let sleeping = side.handle().metrics();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(side.handle().metrics().parks, sleeping.parks, "it has woken up");
        drop(writer);
        join_ok(waiting).expect("the end can be read");
    });
}
