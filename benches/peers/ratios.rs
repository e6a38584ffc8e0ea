//! Ratios instead of times: every round runs every runtime once, in turn.

use std::time::Duration;

use crate::workloads::{Run, Workload};

/// The columns of the table. The ratio is that of the first to the second.
const PEERS: [&str; 4] = ["sideloop", "tokio", "async-executor", "LocalPool"];
/// How many rounds; odd, so that there is a median.
const ROUNDS: usize = 101;
/// How long one turn of one runtime is to take: less than a time slice, so that on a busy machine
/// the minimum is still that of an undisturbed turn.
const TURN: Duration = Duration::from_millis(2);

/// Times of one workload, per operation in nanoseconds: for each peer, one of each round.
struct Times {
    peers: Vec<(&'static str, Vec<f64>)>,
}

/// How many batches take about [`TURN`]; warms the runtime up.
fn calibrate(run: &mut Run) -> u64 {
    let mut batches = 1;
    loop {
        let taken = run(batches).max(Duration::from_nanos(1));
        if taken >= TURN / 4 {
            let share = TURN.as_secs_f64() / taken.as_secs_f64();
            return ((batches as f64 * share) as u64).max(1);
        }
        batches *= 2;
    }
}

/// Measures all rounds. The peers take turns; who begins changes from round to round.
fn measure(workload: &mut Workload) -> Times {
    let mut times: Vec<_> =
        workload.peers.iter().map(|(name, _)| (*name, Vec::with_capacity(ROUNDS))).collect();
    let batches: Vec<u64> = workload.peers.iter_mut().map(|(_, run)| calibrate(run)).collect();
    let peers = workload.peers.len();
    for round in 0..ROUNDS {
        for turn in 0..peers {
            let at = (round + turn) % peers;
            let taken = (workload.peers[at].1)(batches[at]);
            let operations = batches[at] * workload.operations;
            times[at].1.push(taken.as_secs_f64() * 1e9 / operations as f64);
        }
    }
    Times { peers: times }
}

/// The value below which this part of the values lies.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

impl Times {
    fn of(&self, peer: &str) -> Option<&[f64]> {
        self.peers.iter().find(|(name, _)| *name == peer).map(|(_, times)| times.as_slice())
    }

    /// The first runtime's times and the second's.
    fn pair(&self) -> [&[f64]; 2] {
        [PEERS[0], PEERS[1]].map(|name| self.of(name).expect("these two do everything"))
    }

    /// The first runtime's time as a share of the second's, round by round.
    fn shares(&self) -> Vec<f64> {
        let [ours, theirs] = self.pair();
        ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
    }

    fn print(&self, workload: &Workload) {
        let shares = self.shares();
        let [low, median, high] = [0.25, 0.5, 0.75].map(|at| quantile(&shares, at));
        let [ours, theirs] = self.pair().map(|times| quantile(times, 0.0));
        let verdict = workload.aim.map_or(String::new(), |aim| {
            format!("  aim {aim}: {}", if median <= aim { "met" } else { "missed" })
        });
        let spread = format!("{low:.3}-{high:.3}");
        print!("{:<26}{median:>6.3}  {spread:<12}{:>7.3}", workload.name, ours / theirs);
        for name in PEERS {
            print!("{:>16}", self.of(name).map_or("-".into(), middle_and_least));
        }
        println!("{verdict}");
    }
}

/// The median and, in brackets, the minimum.
fn middle_and_least(times: &[f64]) -> String {
    format!("{:.1} ({:.1})", quantile(times, 0.5), quantile(times, 0.0))
}

/// Measures and prints the table.
pub(crate) fn print(workloads: &mut [Workload]) {
    println!();
    println!(
        "{ROUNDS} rounds in which the runtimes take turns. First sideloop's time as a share of"
    );
    println!(
        "tokio's: median and quartiles of the rounds, and the share of the two minima, which on a"
    );
    println!("busy machine says more. Then ns per operation: median and (minimum).");
    print!("{:<26}{:>6}  {:<12}{:>7}", "", "share", "quartiles", "minima");
    println!("{}", PEERS.map(|name| format!("{name:>16}")).concat());
    for workload in workloads {
        measure(workload).print(workload);
    }
}
