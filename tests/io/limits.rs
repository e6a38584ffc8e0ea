//! Too many descriptors, too many connections.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use futures::AsyncReadExt;
use sideloop::io::Async;
use sideloop::{LoopThread, block_on, spawn_local, time};

use crate::child::isolated;
use crate::echo::{descriptors, listener, tcp_pair};
use crate::support::{join_ok, limited_to};

/// Has this process have no descriptor left, until what this gives is dropped.
fn take_all() -> Vec<std::fs::File> {
    let limit = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("less");
    let mut all = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        all.push(file);
    }
    all
}

/// N5: a process without descriptors: an accept loop gets the error, and gets it a few times, not a million times; what it
/// could not accept waits for better days. Nobody else is held up.
#[test]
fn n5_an_accept_loop_survives_a_shortage_of_descriptors() {
    isolated(|| {
        block_on(async {
            let listener = listener();
            let address = listener.get_ref().local_addr().expect("bound");
            assert!(time::timeout(Duration::ZERO, listener.accept()).await.is_err());
            let mut client = TcpStream::connect(address).expect("it listens");
            let taken = take_all();
            let failures = Rc::new(Cell::new(0));
            let counted = failures.clone();
            let accepting = spawn_local(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => return stream,
                        Err(error) => {
                            assert_eq!(
                                error.raw_os_error(),
                                Some(rustix::io::Errno::MFILE.raw_os_error())
                            );
                            counted.set(counted.get() + 1);
                        }
                    }
                }
            });
            time::sleep(Duration::from_millis(350)).await;
            assert!((1..=4).contains(&failures.get()), "{} failures", failures.get());
            drop(taken);
            let mut stream = accepting.await.expect("no panic");
            client.write_all(b"x").expect("sent");
            assert_eq!(stream.read(&mut [0; 8]).await.expect("read"), 1);
        });
    });
}

/// N5: a loop that cannot have its own descriptors says so, and has them later.
#[test]
fn n5_a_loop_that_gets_no_descriptors_says_so_and_tries_again() {
    isolated(|| {
        let (reader, mut writer) = crate::pipe().expect("a pipe");
        let reader = Async::new(reader).expect("set");
        let mut executor = sideloop::Executor::new();
        let taken = take_all();
        assert!(executor.try_fd().is_err());
        executor.block_on(async {
            let error = reader.readable().await.expect_err("no descriptor");
            assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
            drop(taken);
            writer.write_all(b"x").expect("there is room");
            reader.readable().await.expect("now there are some");
            (&mut reader.get_ref()).read_exact(&mut [0]).expect("read");
            assert!(time::timeout(Duration::from_millis(1), reader.readable()).await.is_err());
        });
        assert!(executor.try_fd().is_ok());
    });
}

/// N3: thousands of connections, one after another, leave nothing: no descriptor, no place in a list.
#[test]
fn n3_connections_that_come_and_go_leave_nothing() {
    isolated(|| {
        let side = LoopThread::start().expect("a thread");
        let (first, last) = join_ok(side.handle().spawn_with(|| async {
            let (mut first, mut last) = (0, 0);
            for round in 0..3000 {
                let (one, mut two) = tcp_pair().await;
                let reading = spawn_local(async move { two.read(&mut [0; 8]).await });
                sideloop::yield_now().await;
                drop(one);
                assert_eq!(reading.await.expect("no panic").expect("the end"), 0);
                last = descriptors();
                if round == 10 {
                    first = last;
                }
            }
            (first, last)
        }));
        assert!(last <= first, "{first} descriptors, and {last} after 3000 connections");
    });
}

/// N3: hundreds of connections at once, each waited for, and dropped with the loop.
#[test]
fn n3_many_connections_at_once() {
    limited_to(Duration::from_secs(60), || {
        let side = LoopThread::start().expect("a thread");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let mut clients: Vec<TcpStream> = Vec::new();
        let tasks: Vec<_> = (0..300)
            .map(|_| {
                clients.push(TcpStream::connect(address).expect("it listens"));
                let mut stream =
                    Async::new(listener.accept().expect("it connected").0).expect("set");
                side.handle().spawn(async move {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).await.map(|()| (byte[0], stream))
                })
            })
            .collect();
        for (n, client) in clients.iter_mut().enumerate() {
            client.write_all(&[n as u8]).expect("sent");
        }
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(join_ok(task).expect("read").0, n as u8);
        }
    });
}
