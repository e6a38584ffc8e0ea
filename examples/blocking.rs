//! Blocking work off the loop, on threads that come and go, with handles like those of tasks.

use std::time::Duration;

use sideloop::{LoopThread, cancel_requested};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let side = LoopThread::start()?;
    let handle = side.handle().clone();
    let total = side.handle().spawn(async move {
        let sizes = ["Cargo.toml", "README.md"].map(|name| {
            handle.spawn_blocking(move || std::fs::read(name).map_or(0, |bytes| bytes.len()))
        });
        let mut total = 0;
        for size in sizes {
            total += size.await.unwrap_or(0); // the loop is free meanwhile
        }
        total
    });
    println!("{} bytes", total.join()?);

    // A job that runs cannot be ended from outside, but it can be asked to end.
    let (begun, has_begun) = std::sync::mpsc::channel();
    let patient = side.handle().spawn_blocking(move || {
        begun.send(()).unwrap();
        let mut rounds = 0;
        while !cancel_requested() {
            std::thread::sleep(Duration::from_millis(1));
            rounds += 1;
        }
        rounds
    });
    has_begun.recv()?;
    std::thread::sleep(Duration::from_millis(20));
    patient.cancel();
    println!("stopped after {} rounds", patient.join()?);
    Ok(())
}
