//! Calls from a plain thread: after a delay, at a time, and repeated; ended by handle, by id, and by a
//! panic.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{LoopThread, Shutdown};

const MS: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn Error>> {
    std::panic::set_hook(Box::new(|_| ())); // the join below reports the panic
    let side = LoopThread::start()?;
    let handle = side.handle();
    let begun = Instant::now();
    let ms = move || begun.elapsed().as_millis();

    let late = handle.call_after(60 * MS, move || format!("called after {} ms", ms()));
    let timed = handle.call_at(begun + 30 * MS, move || format!("called at {} ms", ms()));
    println!("{}", timed.join()?);
    println!("{}", late.join()?);

    let mut beats = 0;
    let heart = handle.call_every(20 * MS, move || {
        beats += 1;
        println!("beat {beats} at {} ms", ms());
    })?;
    let mut left = 3;
    let rocket = handle.call_every(20 * MS, move || {
        left -= 1;
        assert!(left > 0, "lift-off");
    })?;
    println!("the countdown ends: {}", rocket.join().unwrap_err()); // it stops at its first panic

    let reminder = handle.call_after(Duration::from_secs(3600), || "an hour has passed");
    println!("the reminder: {:?}", handle.cancel(reminder.id()).join()?); // by id
    println!("the heart: {:?}", heart.cancel()); // by handle
    thread::sleep(30 * MS);
    println!("no more beats; left to abort: {}", side.shutdown(Shutdown::now()).aborted.len());
    Ok(())
}
