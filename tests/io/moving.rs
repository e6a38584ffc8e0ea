//! Objects that move between loops, and outlive them.

use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use sideloop::{Executor, Shutdown, time};

use crate::support::{join_ok, limited, loop_started};
use crate::waiting::{is_read, pipe};

/// N3: an object that moves from loop to loop is waited for where it is polled, and its old loops sleep.
#[test]
fn n3_an_object_may_move_between_loops() {
    limited(|| {
        let (one, two) = (loop_started(), loop_started());
        let (mut reader, mut writer) = pipe();
        for n in 0..20_u8 {
            let side = if n % 2 == 0 { &one } else { &two };
            let waits = side.handle().metrics().io_waits;
            let task =
                side.handle().spawn(async move { (reader.read_with(is_read).await, reader) });
            while side.handle().metrics().io_waits == waits {}
            writer.write_all(&[n]).expect("there is room");
            let (read, back) = join_ok(task);
            assert_eq!(read.expect("read"), n);
            reader = back;
        }
        let task = one.handle().spawn(async move { reader.read_with(is_read).await });
        while !two.handle().tasks().join().expect("it lives").is_empty() {}
        let before = two.handle().metrics();
        writer.write_all(b"x").expect("there is room");
        join_ok(task).expect("read");
        assert_eq!(two.handle().metrics().io_events, before.io_events, "its old loop was woken");
    });
}

/// N3: two loops wait for one object at once; each is told of everything.
#[test]
fn n3_one_object_is_waited_for_on_two_loops() {
    limited(|| {
        let (one, two) = (loop_started(), loop_started());
        let (reader, mut writer) = pipe();
        let reader = Arc::new(reader);
        let waits = |side: &sideloop::LoopThread| {
            let reader = reader.clone();
            side.handle().spawn(async move {
                let mut read = 0;
                while reader.read_with(is_read).await.is_ok() {
                    read += 1;
                }
                read
            })
        };
        let tasks = [waits(&one), waits(&two)];
        for _ in 0..1000 {
            writer.write_all(b"x").expect("there is room");
            thread::yield_now();
        }
        drop(writer);
        assert_eq!(tasks.into_iter().map(join_ok).sum::<u32>(), 1000);
    });
}

/// N3: dropped on another thread, or after the end of its loop, an object is closed, and its loop none the worse.
#[test]
fn n3_an_object_may_be_dropped_anywhere() {
    limited(|| {
        for after_the_end in [false, true] {
            let side = loop_started();
            let (reader, mut writer) = pipe();
            let reader = Arc::new(reader);
            let there = reader.clone();
            let (tell, told) = mpsc::channel();
            let task = side.handle().spawn(async move {
                let mut reading = pin!(there.readable());
                assert!(poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx).is_pending())).await);
                let _ = tell.send(());
            });
            told.recv().expect("it waited");
            join_ok(task);
            if after_the_end {
                side.shutdown(Shutdown::now());
                drop(reader);
            } else {
                drop(reader);
                assert_eq!(join_ok(side.handle().call(|| 1)), 1);
            }
            assert_eq!(writer.write(b"x").expect_err("closed").kind(), io::ErrorKind::BrokenPipe);
        }
    });
}

/// N3: an object that outlives its loop may be waited for on another one; on its own it gives an error.
#[test]
fn n3_an_object_outlives_its_loop() {
    limited(|| {
        let (mut reader, mut writer) = pipe();
        for n in 0..3 {
            let mut executor = Executor::new();
            executor.block_on(async {
                assert!(time::timeout(Duration::ZERO, reader.readable()).await.is_err());
            });
            writer.write_all(&[n]).expect("there is room");
            let (read, back) =
                executor.block_on(async { (reader.read_with(is_read).await, reader) });
            assert_eq!(read.expect("read"), n);
            executor.handle().shutdown(Shutdown::now());
            executor.run();
            let error = executor.block_on(back.readable()).expect_err("the loop has ended");
            assert_eq!(error.kind(), io::ErrorKind::Other);
            reader = back;
        }
    });
}
