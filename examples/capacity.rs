//! A bounded loop: a producer that is too fast blocks, or is told that there is no room.

use std::time::Duration;

use sideloop::{Builder, Shutdown, SpawnError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let side = Builder::new().capacity(8).start()?;
    let slow = || std::thread::sleep(Duration::from_millis(2)); // a callback that delays the loop
    let mut refused = 0;
    for _ in 0..100 {
        side.handle().call(slow).detach(); // blocks this thread while there is no room
        match side.handle().try_spawn(async {}) {
            Ok(task) => task.detach(),
            Err(SpawnError::Full(_future)) => refused += 1, // never blocks, and returns the future
            Err(closed) => return Err(closed.to_string().into()),
        }
    }
    let report = side.shutdown(Shutdown::graceful(Duration::MAX).drain(Duration::MAX));
    println!("{refused} of 100 were refused; {} finished in the drain", report.finished);
    Ok(())
}
