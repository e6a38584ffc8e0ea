//! An HTTP/2 server with hyper on a loop of its own, shut down gracefully in the middle of fifty requests, each of
//! which is answered.
//!
//! Two things ensure this. The connection's task is guarded: when it is cancelled, it tells hyper, which accepts no
//! further streams and finishes those in flight. The tasks that hyper spawns for the streams are guarded too, from
//! their spawn on; otherwise the shutdown would cancel them before the connection could finish them.
//!
//! `cargo run` shows it, `cargo test` checks it. The connection is a pipe in memory, so it needs no I/O.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use hyper_util::rt::TokioIo;
use sideloop::{CancelGuard, Handle, LoopThread, Shutdown, ShutdownReport, time};
use tokio::io::DuplexStream;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The time that a request takes.
const WORK: Duration = Duration::from_millis(50);

/// Spawns the tasks of hyper, each guarded.
#[derive(Clone)]
struct LoopExecutor(Handle);

impl<F> Executor<F> for LoopExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let guarded = |guard: CancelGuard| async move {
            let _guard = guard;
            future.await
        };
        self.0.task().spawn_guarded(guarded).detach();
    }
}

/// Serves one connection until the task is cancelled, then finishes the requests in flight.
async fn serve(
    guard: CancelGuard,
    pipe: DuplexStream,
    arrived: mpsc::Sender<()>,
) -> hyper::Result<()> {
    let answer = service_fn(move |_: Request<Incoming>| {
        let arrived = arrived.clone();
        async move {
            let _ = arrived.send(());
            time::sleep(WORK).await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"in full"))))
        }
    });
    let http = server::conn::http2::Builder::new(LoopExecutor(sideloop::current()));
    let mut connection = pin!(http.serve_connection(TokioIo::new(pipe), answer));
    match guard.run(connection.as_mut()).await {
        Ok(closed_by_the_client) => closed_by_the_client,
        Err(_cancelled) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

/// Makes this many requests at once, and returns how many were answered in full.
async fn ask(pipe: DuplexStream, requests: usize) -> Result<usize, BoxError> {
    let executor = LoopExecutor(sideloop::current());
    let (sender, connection) = client::conn::http2::handshake(executor, TokioIo::new(pipe)).await?;
    sideloop::current().spawn(connection).detach();
    let one = || {
        let mut sender = sender.clone();
        async move {
            let request = Request::get("http://loop/").body(Empty::<Bytes>::new())?;
            let answer = sender.send_request(request).await?;
            Ok::<_, BoxError>(answer.into_body().collect().await?.to_bytes())
        }
    };
    let answers = join_all((0..requests).map(|_| one())).await;
    Ok(answers.into_iter().flatten().filter(|answer| answer == "in full").count())
}

/// Shuts a server down when this many requests are in flight; returns how many were answered.
fn answered(requests: usize) -> Result<(usize, ShutdownReport), BoxError> {
    let (server, clients) = (LoopThread::start()?, LoopThread::start()?);
    let (here, there) = tokio::io::duplex(64 * 1024);
    let (tell, arrived) = mpsc::channel();
    let connection =
        server.handle().task().name("connection").spawn_guarded(|guard| serve(guard, here, tell));
    let client = clients.handle().spawn(ask(there, requests));
    for _ in 0..requests {
        arrived.recv()?;
    }
    let report = server.shutdown(Shutdown::graceful(Duration::from_secs(10)));
    connection.join()??;
    Ok((client.join()??, report))
}

fn main() -> Result<(), BoxError> {
    let (answers, report) = answered(50)?;
    println!(
        "{answers} of 50 requests in flight were answered; {} tasks aborted",
        report.aborted.len()
    );
    Ok(())
}

/// H8, C9: no stream in flight is lost by a graceful shutdown.
#[test]
fn a_graceful_shutdown_answers_every_stream_in_flight() {
    let (answers, report) =
        answered(50).expect("the client, the connection and the loops end well");
    assert_eq!((answers, report.aborted.len(), report.refused), (50, 0, 0), "{report:?}");
}
