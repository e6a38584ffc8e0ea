//! Neither tasks nor sockets starve each other.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::Write;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::AsyncReadExt;
use sideloop::io::Async;
use sideloop::{Builder, block_on, spawn_local, time, yield_now};

use crate::support::limited;

/// N2: a task that keeps the loop busy, turn by turn, does not keep it from looking: after 61 turns at most.
#[test]
fn n2_a_busy_loop_looks_after_61_turns() {
    limited(|| {
        Builder::new().batch(1).build().block_on(async {
            let (reader, mut writer) = crate::pipe().expect("a pipe");
            let mut reader = Async::new(reader).expect("set");
            let turns = Rc::new(Cell::new(0));
            let counted = turns.clone();
            let busy = spawn_local(async move {
                loop {
                    counted.set(counted.get() + 1);
                    yield_now().await;
                }
            });
            for _ in 0..10 {
                let reading = async { reader.read(&mut [0; 8]).await };
                let mut reading = std::pin::pin!(reading);
                let pending = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx).is_pending()));
                assert!(pending.await, "nothing has been written");
                writer.write_all(b"x").expect("there is room");
                let before = turns.get();
                assert_eq!(reading.await.expect("read"), 1);
                let took = turns.get() - before;
                assert!(took <= 63, "{took} turns");
            }
            busy.abort();
        });
    });
}

use std::future::Future;

/// N2: turns that take long do not put a look off for more than about a millisecond of theirs.
#[test]
fn n2_a_busy_loop_looks_after_a_millisecond() {
    limited(|| {
        Builder::new().batch(1).build().block_on(async {
            let (reader, mut writer) = crate::pipe().expect("a pipe");
            let mut reader = Async::new(reader).expect("set");
            let turns = Rc::new(Cell::new(0));
            let counted = turns.clone();
            let busy = spawn_local(async move {
                loop {
                    counted.set(counted.get() + 1);
                    let begun = Instant::now();
                    while begun.elapsed() < Duration::from_micros(400) {}
                    yield_now().await;
                }
            });
            let reading = spawn_local(async move { reader.read(&mut [0; 8]).await });
            yield_now().await;
            writer.write_all(b"x").expect("there is room");
            let before = turns.get();
            reading.await.expect("no panic").expect("read");
            let took = turns.get() - before;
            assert!(took <= 6, "{took} turns of 0.4 ms");
            busy.abort();
        });
    });
}

/// N2: a timer that is always due does not keep the loop from looking.
#[test]
fn n2_timers_that_are_always_due_starve_no_socket() {
    limited(|| {
        block_on(async {
            let (reader, mut writer) = crate::pipe().expect("a pipe");
            let mut reader = Async::new(reader).expect("set");
            let due = spawn_local(async {
                loop {
                    time::sleep(Duration::ZERO).await;
                }
            });
            let reading = spawn_local(async move { reader.read(&mut [0; 8]).await });
            time::sleep(Duration::from_millis(2)).await;
            writer.write_all(b"x").expect("there is room");
            reading.await.expect("no panic").expect("read");
            due.abort();
        });
    });
}

/// N2: an object that is ready for ever does not starve the other tasks, nor the loop.
#[test]
fn n2_a_stream_that_never_blocks_lets_others_have_their_turn() {
    limited(|| {
        Builder::new().batch(1).build().block_on(async {
            let zero = std::fs::File::open("/dev/zero").expect("it is there");
            let mut zero = Async::new(zero).expect("set");
            let reads = Rc::new(Cell::new(0_u64));
            let counted = reads.clone();
            let flood = spawn_local(async move {
                loop {
                    zero.read_exact(&mut [0; 16]).await.expect("no end");
                    counted.set(counted.get() + 1);
                }
            });
            yield_now().await;
            for _ in 0..10 {
                let before = reads.get();
                yield_now().await;
                let between = reads.get() - before;
                assert!((1..=128).contains(&between), "{between} reads in a turn");
            }
            time::sleep(Duration::from_millis(1)).await; // others' timers, too
            flood.abort();
        });
    });
}

/// N2: while it looks for work before it sleeps, a loop looks for readiness, too.
#[test]
fn n2_a_loop_that_spins_sees_readiness() {
    limited(|| {
        let side = Builder::new().spin(Duration::from_secs(60)).start().expect("a thread");
        let (reader, mut writer) = crate::pipe().expect("a pipe");
        let mut reader = Async::new(reader).expect("set");
        let reading = side.handle().spawn(async move { reader.read(&mut [0; 8]).await });
        while side.handle().metrics().polls == 0 {}
        writer.write_all(b"x").expect("there is room");
        assert_eq!(crate::support::join_ok(reading).expect("read"), 1);
    });
}
