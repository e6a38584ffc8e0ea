//! What takes longer: many timers that fire, lateness, and the longest pause that timers cause.

use std::cell::Cell;
use std::fs;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use harness::Options;
use harness::results::{OURS, Row, Table, quantile};
use harness::timers::{AsyncIo, Limits, Peer, Sideloop, Tokio};

use crate::operations::{Dice, armed, own_waker, yield_once};

/// How many timers fire within [`SPREAD`].
const FLOOD: usize = 100_000;
const SPREAD: Duration = Duration::from_millis(200);
/// What needs no timers: a thread that sleeps as the system has it.
const FLOOR: &str = "thread::sleep";
/// How many timers are pending while pauses are measured, and over how long they fire.
const MANY: usize = 1_000_000;
const LONG: Duration = Duration::from_secs(2);
/// How many nanoseconds before the first deadline arming begins, for each timer: none may be due when
/// it is armed, also of those that take long to arm.
const LEAD: u64 = 2_000;

/// A measurement for each of the peers.
macro_rules! peers {
    ($measure:ident) => {
        [
            (Sideloop::NAME, $measure::<Sideloop> as fn() -> Option<f64>),
            (Tokio::NAME, $measure::<Tokio>),
            (AsyncIo::NAME, $measure::<AsyncIo>),
        ]
    };
}

/// How a peer is measured, and what that gives; nothing where the system does not tell or is too busy.
type Measure = (&'static str, fn() -> Option<f64>);

/// Measures and prints the table.
pub(crate) fn print(options: &Options) {
    let mut table = Table::new("floods", "in the unit that the row names");
    let name = format!("{FLOOD} sleeps over {} ms, ns of processor time each", SPREAD.as_millis());
    let [ours, tokio, async_io] = peers!(flood);
    rounds(&mut table, options, name, &[ours, tokio, async_io, (FLOOR, sleeps)]);
    let sleep = Duration::from_micros(100);
    let lengths = [(sleep, options.pick(1_000, 200)), (20 * sleep, options.pick(300, 50))];
    for (sleep, times) in lengths.into_iter().filter(|_| options.has("lateness")) {
        let late: Vec<_> = (0..options.pick(5, 1)).map(|_| latenesses(sleep, times)).collect();
        for part in [0.5, 0.99] {
            let name = format!("lateness of sleep({sleep:?}), p{:.0}, us", part * 100.0);
            let of =
                |peer: usize| late.iter().map(|round| quantile(&round[peer].1, part)).collect();
            let values = (0..4).map(|peer| (late[0][peer].0, of(peer))).collect();
            table.row(&Row { name, values });
        }
    }
    let name = format!("longest gap between two polls while {MANY} timers fire, us");
    rounds(&mut table, options, name, &peers!(gap));
    let name = format!("longest Executor::turn while {MANY} timers fire, us");
    rounds(&mut table, options, name, &[(Sideloop::NAME, turn)]);
}

/// A round of latenesses: of so many sleeps of each peer.
fn latenesses(sleep: Duration, times: usize) -> [(&'static str, Vec<f64>); 4] {
    [
        (Sideloop::NAME, lateness::<Sideloop>(sleep, times)),
        (Tokio::NAME, lateness::<Tokio>(sleep, times)),
        (AsyncIo::NAME, lateness::<AsyncIo>(sleep, times)),
        (FLOOR, late(sleep, times)),
    ]
}

/// Measures a row; the peers take turns. Those that could not be measured are left out.
fn rounds(table: &mut Table, options: &Options, name: String, measures: &[Measure]) {
    if !options.has(&name) {
        return;
    }
    let mut values: Vec<_> = measures.iter().map(|(peer, _)| (*peer, Vec::new())).collect();
    for _ in 0..options.pick(5, 1) {
        for ((_, measure), (_, values)) in measures.iter().zip(&mut values) {
            values.extend(measure());
        }
    }
    values.retain(|(_, values)| !values.is_empty());
    if values.first().is_some_and(|(peer, _)| *peer == OURS) {
        table.row(&Row { name, values });
    }
}

/// Nanoseconds that all threads of this process have run; `None` where the system does not say. What
/// runs now is counted up to its last sleep.
fn processor_time() -> Option<f64> {
    let threads = fs::read_dir("/proc/self/task").ok()?;
    let time = |path: std::path::PathBuf| {
        let text = fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    threads.map(|thread| time(thread.ok()?.path())).sum()
}

/// Counts down, and wakes a task at zero.
struct Countdown {
    left: AtomicUsize,
    then: Waker,
}

impl Countdown {
    /// Waits, asleep, until it is at zero.
    async fn fired(&self) {
        poll_fn(|_| match self.left.load(Ordering::Relaxed) {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
    }
}

impl Wake for Countdown {
    fn wake(self: Arc<Self>) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.then.wake_by_ref();
        }
    }
}

/// Arms timers with deadlines all over `spread`, and waits until the last has fired, in `wait`. Nothing,
/// if the machine was so busy that one was due before it was armed.
async fn fire<P: Peer>(
    timers: usize,
    spread: Duration,
    wait: impl AsyncFnOnce(&Countdown),
) -> Option<()> {
    let left = AtomicUsize::new(timers);
    let countdown = Arc::new(Countdown { left, then: own_waker().await });
    let (waker, mut dice) = (Waker::from(countdown.clone()), Dice::new());
    let start = Instant::now() + Duration::from_nanos(LEAD * timers as u64);
    let all: Option<Vec<_>> = (0..timers)
        .map(|_| armed::<P>(start + dice.between(Duration::ZERO, spread), &waker))
        .collect();
    let all = all?;
    wait(&countdown).await;
    drop(all);
    Some(())
}

/// Processor time per timer: made, armed, fired, dropped.
fn flood<P: Peer>() -> Option<f64> {
    std::thread::sleep(Duration::from_millis(1)); // so that the time until here is counted
    let before = processor_time()?;
    P::new().run(fire::<P>(FLOOD, SPREAD, async |countdown| countdown.fired().await))?;
    std::thread::sleep(Duration::from_millis(1));
    Some((processor_time()? - before) / FLOOD as f64)
}

/// The same of a thread that only sleeps from each time at which something is due to the next: a floor for
/// whoever is exact.
fn sleeps() -> Option<f64> {
    let mut dice = Dice::new();
    let mut times: Vec<_> = (0..FLOOD).map(|_| dice.between(Duration::ZERO, SPREAD)).collect();
    times.sort_unstable();
    std::thread::sleep(Duration::from_millis(1)); // so that the time until here is counted
    let (before, start, mut now) = (processor_time()?, Instant::now(), Duration::ZERO);
    for time in times {
        if time > now {
            std::thread::sleep(time.saturating_sub(start.elapsed()));
            now = start.elapsed();
        }
    }
    std::thread::sleep(Duration::from_millis(1));
    Some((processor_time()? - before) / FLOOD as f64)
}

/// Microseconds from the deadline to the poll that finds it past, one sleep after the other.
fn lateness<P: Peer>(sleep: Duration, times: usize) -> Vec<f64> {
    P::run_apart(async move {
        let mut late = Vec::with_capacity(times);
        for _ in 0..times {
            let at = Instant::now() + sleep;
            P::sleep_until(at).await;
            late.push(at.elapsed().as_secs_f64() * 1e6);
        }
        late
    })
}

/// The same of a loop's own thread, which has its timer slack, that sleeps as the system has it: a floor.
fn late(sleep: Duration, times: usize) -> Vec<f64> {
    Sideloop::run_apart(async move {
        let one = |_| {
            let at = Instant::now() + sleep;
            std::thread::sleep(sleep);
            at.elapsed().as_secs_f64() * 1e6
        };
        (0..times).map(one).collect()
    })
}

/// The longest of several times, without those in which the system ran another thread instead.
#[derive(Default)]
struct Worst {
    worst: Cell<Duration>,
    /// How often this thread had been given a processor when that was last looked at.
    given: Cell<u64>,
}

impl Worst {
    /// Notes a time that has just passed, on a thread that does not sleep.
    fn note(&self, time: Duration) {
        // Looking takes microseconds, so only where it may matter.
        if time > self.worst.get().max(Duration::from_micros(20)) {
            let given = given_a_processor();
            if self.given.replace(given) == given {
                self.worst.set(time);
            }
        }
    }

    fn microseconds(&self) -> f64 {
        self.worst.get().as_secs_f64() * 1e6
    }
}

/// How often this thread was given a processor; zero where the system does not say.
fn given_a_processor() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(2).and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// The longest time, in microseconds, between two polls of a task that always yields.
fn gap<P: Peer>() -> Option<f64> {
    let worst = Rc::new(Worst::default());
    let seen = worst.clone();
    P::new().run(fire::<P>(MANY, LONG, async move |countdown| {
        let mut last = Instant::now();
        while countdown.left.load(Ordering::Relaxed) > 0 {
            yield_once().await;
            seen.note(last.elapsed());
            last = Instant::now();
        }
    }))?;
    Some(worst.microseconds())
}

/// The longest turn in microseconds.
fn turn() -> Option<f64> {
    let mut peer = Sideloop::new();
    let executor = peer.executor();
    let flood = fire::<Sideloop>(MANY, LONG, async |countdown| countdown.fired().await);
    let task = executor.spawn_local(flood);
    executor.turn(); // arms all of them
    let worst = Worst::default();
    while !task.is_finished() {
        let begun = Instant::now();
        let turn = executor.turn();
        if turn.polls == 0 {
            worst.note(begun.elapsed()); // the last poll drops all of them
        }
    }
    executor.block_on(task).expect("it runs through")?;
    Some(worst.microseconds())
}
