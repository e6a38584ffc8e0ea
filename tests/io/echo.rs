//! What goes in comes out: every kind of object, on every kind of loop.

use std::io::{self, Write};
use std::net::{Shutdown as Half, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::thread;

use futures::future::{join, join_all, try_join};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use sideloop::io::{Async, connect};
use sideloop::{Executor, LoopThread, block_on, spawn_local};

use crate::child::isolated;
use crate::support::{join_ok, limited, loop_started};

/// A listener of the system's choice.
pub(crate) fn listener() -> Async<TcpListener> {
    Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).expect("a port")
}

/// Two streams that are connected.
pub(crate) async fn tcp_pair() -> (Async<TcpStream>, Async<TcpStream>) {
    let listener = listener();
    let address = listener.get_ref().local_addr().expect("bound");
    let both = try_join(Async::<TcpStream>::connect(address), async {
        Ok::<_, io::Error>(listener.accept().await?.0)
    });
    both.await.expect("a connection")
}

/// Sends back what comes, until the end.
async fn echo(mut stream: Async<TcpStream>) -> io::Result<u64> {
    let (mut all, mut buffer) = (0, [0; 1000]);
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(all);
        }
        all += read as u64;
        stream.write_all(&buffer[..read]).await?;
    }
}

async fn ask(stream: &mut Async<TcpStream>, rounds: u32) -> io::Result<()> {
    for round in 0..rounds {
        let sent = [round as u8; 64];
        stream.write_all(&sent).await?;
        let mut got = [0; 64];
        stream.read_exact(&mut got).await?;
        assert_eq!(sent, got);
    }
    Ok(())
}

/// N2: pairs of streams on one loop, by TCP.
#[test]
fn n2_many_pairs_echo_on_one_loop() {
    limited(|| {
        block_on(async {
            let pairs = join_all((0..64).map(|_| tcp_pair())).await;
            let all = pairs.into_iter().map(|(mut one, two)| async move {
                let task = spawn_local(echo(two));
                ask(&mut one, 20).await?;
                drop(one);
                assert_eq!(task.await.expect("no panic")?, 20 * 64);
                io::Result::Ok(())
            });
            for ended in join_all(all).await {
                ended.expect("no error");
            }
        });
    });
}

async fn send(stream: &Async<TcpStream>, message: &[u8]) -> io::Result<()> {
    let mut writer = stream;
    writer.write_all(message).await?;
    stream.get_ref().shutdown(Half::Write)
}

async fn take(mut stream: &Async<TcpStream>) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.map(|_| all)
}

/// N2: more than the buffers of the system hold, both ways at once; then a half-close, and what comes after it.
#[test]
fn n2_a_flood_in_both_directions_and_a_half_close() {
    limited(|| {
        let side = loop_started();
        join_ok(side.handle().spawn_with(|| async {
            let (one, two) = tcp_pair().await;
            let message: Vec<u8> = (0..4_000_000_u32).map(|n| n as u8).collect();
            let sent = join(send(&one, &message), send(&two, &message));
            let (sent, got) = join(sent, join(take(&one), take(&two))).await;
            assert!(sent.0.is_ok() && sent.1.is_ok(), "{sent:?}");
            assert!(got.0.expect("all") == message && got.1.expect("all") == message);
        }));
    });
}

/// N2: a peer that closes after its last bytes, in whatever order that comes, is seen to the end: a short read is not the
/// last, and an end that was announced with it is not waited for in vain.
#[test]
fn n2_an_end_behind_a_short_read_is_seen() {
    limited(|| {
        block_on(async {
            for first in [1, 10, 100] {
                let (one, mut two) = tcp_pair().await;
                let mut writer = &one;
                let reading = async {
                    let mut all = Vec::new();
                    two.read_to_end(&mut all).await.map(|_| all.len())
                };
                let writing = async {
                    writer.write_all(&vec![7; first]).await?;
                    sideloop::yield_now().await;
                    writer.write_all(b"x").await?;
                    writer.get_ref().shutdown(Half::Both)
                };
                let (read, wrote) = join(reading, writing).await;
                assert_eq!((read.expect("an end"), wrote.is_ok()), (first + 1, true));
            }
        });
    });
}

/// N2: Unix streams, datagrams and pipes.
#[test]
fn n2_streams_datagrams_and_pipes() {
    limited(|| {
        Executor::new().block_on(async {
            let (mut one, mut two) = Async::<UnixStream>::pair().expect("a pair");
            let reading = spawn_local(async move {
                let mut got = [0; 3];
                two.read_exact(&mut got).await.map(|()| got)
            });
            sideloop::yield_now().await;
            one.write_all(b"abc").await.expect("written");
            assert_eq!(reading.await.expect("no panic").expect("read"), *b"abc");

            let (a, b) = (udp(), udp());
            let to = b.get_ref().local_addr().expect("bound");
            let receiving = spawn_local(async move { b.recv_from(&mut [0; 9]).await });
            sideloop::yield_now().await;
            a.send_to(b"hello", to).await.expect("sent");
            let from = a.get_ref().local_addr().expect("bound");
            assert_eq!(receiving.await.expect("no panic").expect("received"), (5, from));

            let (reader, writer) = crate::pipe().expect("a pipe");
            let (mut reader, mut writer) =
                (Async::new(reader).expect("set"), Async::new(writer).expect("set"));
            let reading = spawn_local(async move {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).await.map(|_| all.len())
            });
            writer.write_all(&[0; 300_000]).await.expect("written");
            drop(writer);
            assert_eq!(reading.await.expect("no panic").expect("read"), 300_000);
        });
    });
}

pub(crate) fn udp() -> Async<UdpSocket> {
    Async::<UdpSocket>::bind(([127, 0, 0, 1], 0)).expect("a port")
}

/// N4, N5: `connect` looks names up, tries each address, and says why none would do.
#[test]
fn n5_connect_by_name() {
    limited(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let closed = {
            let other = TcpListener::bind("127.0.0.1:0").expect("a port");
            other.local_addr().expect("bound")
        };
        block_on(async {
            let two = vec![closed, ([127, 0, 0, 1], port).into()];
            let stream = connect(ListOf(two)).await.expect("the second takes it");
            assert_eq!(stream.get_ref().peer_addr().expect("connected").port(), port);
            let refused = connect(closed).await.expect_err("nobody listens");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let none = connect(ListOf(Vec::new())).await.expect_err("no address");
            assert_eq!(none.kind(), io::ErrorKind::InvalidInput);
            assert!(connect("no port").await.is_err());
        });
        let outside = futures::executor::block_on(connect(("127.0.0.1", port)));
        assert_eq!(outside.expect_err("no loop").kind(), io::ErrorKind::Other);
    });
}

struct ListOf(Vec<std::net::SocketAddr>);

impl std::net::ToSocketAddrs for ListOf {
    type Iter = std::vec::IntoIter<std::net::SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(self.0.clone().into_iter())
    }
}

/// N4: `connect` that is dropped closes its socket; one that never comes to an end is ended by that.
#[test]
fn n4_a_connect_that_is_dropped_closes_its_socket() {
    isolated(|| {
        block_on(async {
            // A listener whose queue is full answers nobody.
            let listener = rustix::net::socket(
                rustix::net::AddressFamily::INET,
                rustix::net::SocketType::STREAM,
                None,
            )
            .expect("a socket");
            rustix::net::bind(&listener, &std::net::SocketAddrV4::new([127, 0, 0, 1].into(), 0))
                .expect("a port");
            rustix::net::listen(&listener, 0).expect("it listens");
            let address = TcpListener::from(listener);
            let address = (address.local_addr().expect("bound"), address);
            let _queued = TcpStream::connect(address.0).expect("room for one");
            let before = descriptors();
            let limit = std::time::Duration::from_millis(20);
            let connecting = sideloop::time::timeout(limit, Async::<TcpStream>::connect(address.0));
            if connecting.await.is_err() {
                let ours = descriptors() - before;
                assert!(ours <= 2, "the driver's two, and no socket: {ours} more");
            }
        });
    });
}

/// How many descriptors this process has.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/dev/fd").expect("listed").count()
}

/// N3: what other threads write wakes the loop where it sleeps; the tasks of a `LoopThread` may be any futures.
#[test]
fn n3_a_loop_thread_serves_threads() {
    limited(|| {
        let side = LoopThread::start().expect("a thread");
        let listener = listener();
        let address = listener.get_ref().local_addr().expect("bound");
        let serving = side.handle().spawn_with(move || async move {
            let mut served = Vec::new();
            let mut incoming = listener.incoming().take(4);
            while let Some(stream) = incoming.next().await {
                served.push(spawn_local(echo(stream?)));
            }
            for one in served {
                one.await.expect("no panic")?;
            }
            io::Result::Ok(())
        });
        let clients = (0..4).map(|n| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).expect("it listens");
                for _ in 0..50 {
                    stream.write_all(&[n; 100]).expect("sent");
                    let mut got = [0; 100];
                    io::Read::read_exact(&mut stream, &mut got).expect("sent back");
                    assert_eq!(got, [n; 100]);
                }
            })
        });
        clients.collect::<Vec<_>>().into_iter().for_each(|client| client.join().expect("served"));
        join_ok(serving).expect("no error");
    });
}
