//! What is loaded: one function, which lives a loop from its start to its end.

use std::time::Duration;

use sideloop::{LoopThread, Shutdown, time, yield_now};

const MS: Duration = Duration::from_millis(1);

/// Uses a loop with a watchdog, a pool, timers and a gate, ends it in one of several ways, and says how many of its
/// tasks gave what they should.
#[unsafe(no_mangle)]
pub extern "C" fn live(way: u32) -> u32 {
    let side = LoopThread::builder().watchdog(MS, |_| ()).capacity(4).start().expect("starts");
    let handle = side.handle();
    let mut right = 0;
    let jobs: Vec<_> = (0..4).map(|n| handle.spawn_blocking(move || n)).collect();
    right += jobs
        .into_iter()
        .zip(0..)
        .filter_map(|(job, n)| (job.join().ok()? == n).then_some(()))
        .count();
    let slept = handle.spawn(async {
        time::sleep(MS / 4).await;
        yield_now().await;
        time::timeout(MS / 4, std::future::pending::<()>()).await.is_err()
    });
    right += usize::from(slept.join().is_ok_and(|late| late));
    handle.call_every(MS / 4, || std::thread::sleep(MS / 2)).expect("a period").detach();
    handle.call_after(3600 * MS, || ()).detach();
    right += usize::from(handle.call(|| 7).join().is_ok_and(|seven| seven == 7));
    match way % 4 {
        0 => drop(side.shutdown(Shutdown::now())),
        1 => drop(side.shutdown(Shutdown::graceful(MS))),
        2 => drop(side),
        _ => {
            side.handle().shutdown(Shutdown::graceful(Duration::MAX));
            let ended = side.join_timeout(Duration::from_secs(20));
            right -= usize::from(ended.is_err());
        }
    }
    u32::try_from(right).unwrap_or(0)
}
