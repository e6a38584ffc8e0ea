//! Observing a loop from outside: its counters, its tasks, and a poll that is stuck.

use std::time::Duration;

use sideloop::{Builder, time};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let side = Builder::new()
        .watchdog(Duration::from_millis(20), |stall| {
            let (name, at) = (stall.name().unwrap_or("a task"), stall.location());
            println!("{name}, spawned at {at}, is stuck for {:?}", stall.elapsed());
        })
        .start()?;
    let handle = side.handle();
    handle.task().name("sleeper").spawn(time::sleep(Duration::from_secs(3600))).detach();
    let busy = handle.task().name("busy").spawn(async {
        std::thread::sleep(Duration::from_millis(60)); // never do this on a loop
    });
    busy.join()?;
    for task in handle.tasks().join()? {
        println!("{:?} is {:?} after {} polls", task.name, task.state, task.polls);
    }
    let metrics = handle.metrics();
    println!("{} spawned, {} live, busy for {:?}", metrics.spawned, metrics.live, metrics.busy);
    Ok(())
}
