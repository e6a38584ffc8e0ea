//! Time limits: an answer that comes in time, one that does not, a deadline for several steps together,
//! and a limit that only warns.

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use sideloop::{LoopThread, time};

const MS: Duration = Duration::from_millis(1);

/// An answer that takes this long.
async fn answer(takes: Duration) -> &'static str {
    time::sleep(takes).await;
    "the answer"
}

async fn limits() -> Result<(), time::Elapsed> {
    println!("quick: {:?}", time::timeout(200 * MS, answer(10 * MS)).await);
    println!("slow:  {:?}", time::timeout(10 * MS, answer(200 * MS)).await);

    let deadline = time::now() + 100 * MS; // for all three
    for step in 1..=3 {
        time::timeout_at(deadline, answer(10 * MS)).await?;
        println!("step {step} is done");
    }

    // After the limit the future is still there: warn, and go on waiting.
    let mut patient = pin!(time::timeout(20 * MS, answer(50 * MS)));
    if patient.as_mut().await.is_err() {
        println!("this takes a while");
    }
    println!("at last: {}", patient.get_pin_mut().await);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let side = LoopThread::start()?;
    side.handle().spawn(limits()).join()??;
    Ok(())
}
