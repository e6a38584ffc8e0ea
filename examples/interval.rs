//! Ticks on a grid: a consumer that is late once, under each treatment of missed ticks.

use std::error::Error;
use std::thread;
use std::time::Duration;

use sideloop::time::{self, MissedTick};
use sideloop::{LoopThread, ZeroPeriod};

const MS: Duration = Duration::from_millis(1);

async fn ticks(policy: MissedTick) -> Result<(), ZeroPeriod> {
    println!("{policy:?}: a tick every 20 ms, the first at once");
    let begun = time::now();
    let mut interval = time::interval_at(begun, 20 * MS)?;
    interval.missed_tick(policy);
    for n in 0..6 {
        let tick = interval.tick().await;
        let due = tick.scheduled.saturating_duration_since(begun).as_millis();
        let came = (time::now() - begun).as_millis();
        println!("  due at {due:>3} ms, came at {came:>3} ms, {} more missed", tick.missed);
        if n == 1 {
            thread::sleep(50 * MS); // slow work, which delays the whole loop
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let side = LoopThread::start()?;
    side.handle()
        .spawn(async {
            for policy in [MissedTick::Skip, MissedTick::Burst, MissedTick::Delay] {
                ticks(policy).await?;
            }
            Ok::<_, ZeroPeriod>(())
        })
        .join()??;
    Ok(())
}
