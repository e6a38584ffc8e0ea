//! A group of tasks on one loop: takes the results as they come until one is good enough, then cancels the rest.

use std::error::Error;
use std::time::Duration;

use sideloop::{JoinError, LoopThread, TaskGroup, time};

/// Asks a mirror that takes its time, and may be down.
async fn ask(mirror: &'static str, millis: u64) -> Result<&'static str, &'static str> {
    time::sleep(Duration::from_millis(millis)).await;
    if mirror == "north" { Err("connection refused") } else { Ok(mirror) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let side = LoopThread::start()?;
    let group = TaskGroup::new(side.handle());
    for (mirror, millis) in [("south", 200), ("north", 50), ("east", 100), ("west", 5000)] {
        let id = group.spawn(ask(mirror, millis));
        println!("task {id} asks {mirror}");
    }

    // In the order in which they end: north, which fails, and then east.
    while let Some((id, answer)) = group.join_next() {
        match answer? {
            Ok(mirror) => {
                println!("task {id}: {mirror} is the first to answer");
                break;
            }
            Err(why) => println!("task {id}: {why}"),
        }
    }

    println!("cancel the other {}", group.len());
    group.cancel();
    while let Some((id, end)) = group.join_next() {
        assert!(matches!(end, Err(JoinError::Cancelled)));
        println!("task {id} is cancelled");
    }
    Ok(()) // dropping the group earlier would have cancelled them too
}
