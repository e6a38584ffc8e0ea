//! Cancelling a task that has to clean up: it is asked, cleans up, and returns a value to the join.

use std::time::Duration;

use sideloop::{CancelGuard, CancelRequest, LoopThread, time};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let side = LoopThread::start()?;
    let (alive, is_alive) = std::sync::mpsc::channel();
    let recorder = side.handle().task().name("recorder").spawn(async move {
        let guard = CancelGuard::new(); // from here on a cancel is a request
        alive.send(()).unwrap();
        let mut samples = 0;
        while guard.run(time::sleep(Duration::from_millis(10))).await.is_ok() {
            samples += 1;
        }
        println!("asked to stop: flushing {samples} samples");
        time::sleep(Duration::from_millis(20)).await; // clean-up may await
        format!("{samples} samples are safe")
    });
    is_alive.recv()?; // now the guard exists
    std::thread::sleep(Duration::from_millis(50));
    // It is asked now, and aborted if it takes longer than a second.
    assert_eq!(recorder.cancel_within(Duration::from_secs(1)), CancelRequest::Requested);
    println!("{}", recorder.join()?); // the value, when the clean-up is over
    Ok(())
}
