//! Ratios instead of times: every round runs every peer once, in turn.

use std::time::Duration;

use crate::operations::{BATCH, Operation, Run};

/// How many rounds; odd, so that there is a median.
const ROUNDS: usize = 51;
/// How long one turn of one peer is to take: less than a time slice, so that on a busy machine the
/// minimum is still that of an undisturbed turn.
const TURN: Duration = Duration::from_millis(2);

/// How many batches take about [`TURN`]; warms the peer up.
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

/// Nanoseconds per operation, for each peer one of each round. Who begins changes.
fn measure(peers: &mut [(&'static str, Run)]) -> Vec<Vec<f64>> {
    let batches: Vec<u64> = peers.iter_mut().map(|(_, run)| calibrate(run)).collect();
    let mut times = vec![Vec::with_capacity(ROUNDS); peers.len()];
    for round in 0..ROUNDS {
        for turn in 0..peers.len() {
            let at = (round + turn) % peers.len();
            let taken = (peers[at].1)(batches[at]);
            times[at].push(taken.as_secs_f64() * 1e9 / (batches[at] * BATCH) as f64);
        }
    }
    times
}

/// The value below which this part of the values lies.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

/// The median and, in brackets, the minimum.
pub(crate) fn middle_and_least(times: &[f64]) -> String {
    format!("{:.1} ({:.1})", quantile(times, 0.5), quantile(times, 0.0))
}

/// The median over the rounds of the first peer's time as a share of another's.
pub(crate) fn share(ours: &[f64], theirs: &[f64]) -> f64 {
    quantile(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>(), 0.5)
}

/// Measures and prints the table.
pub(crate) fn print(operations: &[Operation]) {
    println!();
    println!(
        "{ROUNDS} rounds in which the peers take turns. Nanoseconds per operation: median and"
    );
    println!(
        "(minimum); then sideloop's time as a share of each peer's: median of the rounds, and"
    );
    println!("the share of the two minima, which on a busy machine says more.");
    print!("{:<30}{:>18}{:>18}{:>18}", "", "sideloop", "tokio", "async-io");
    println!("{:>18}{:>18}", "of tokio's", "of async-io's");
    for operation in operations {
        let times = measure(&mut (operation.prepare)());
        print!("{:<30}", operation.name);
        times.iter().for_each(|times| print!("{:>18}", middle_and_least(times)));
        for theirs in &times[1..] {
            let minima = quantile(&times[0], 0.0) / quantile(theirs, 0.0);
            print!("{:>18}", format!("{:.3} ({minima:.3})", share(&times[0], theirs)));
        }
        println!();
    }
}
