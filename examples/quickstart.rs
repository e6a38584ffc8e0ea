//! A loop on its own thread: a task that ticks, a call from another thread, a join, a cancel by id,
//! and a shutdown with a report.

use std::error::Error;
use std::future::pending;
use std::thread;
use std::time::Duration;

use sideloop::{LoopThread, Shutdown, time};

fn main() -> Result<(), Box<dyn Error>> {
    let side = LoopThread::start()?;

    let ticker = side.handle().spawn(async {
        for tick in 1_u64.. {
            println!("tick {tick}");
            time::sleep(Duration::from_millis(200)).await;
        }
    });

    let handle = side.handle().clone();
    let other =
        thread::spawn(move || handle.call(|| println!("called from another thread")).join());
    other.join().expect("the other thread ends well")?;

    let answer = side.handle().spawn(async {
        time::sleep(Duration::from_millis(700)).await;
        42
    });
    println!("the answer is {}", answer.join()?);

    println!("cancel the ticker: {:?}", side.handle().cancel(ticker.id()).join()?);
    println!("join the ticker: {:?}", ticker.join());

    side.handle().task().name("listener").spawn(pending::<()>()).detach();
    let report = side.shutdown(Shutdown::graceful(Duration::from_secs(1)));
    for task in report.cancelled {
        println!("left over: {:?}, spawned at {}", task.name, task.location);
    }
    Ok(())
}
