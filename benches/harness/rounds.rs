//! Ratios instead of times: every round runs every peer once, in turn, so that what is compared was
//! measured at the same moment.

use std::time::Duration;

use crate::Options;
use crate::results::{Row, Table};

/// Runs so many batches, and says how long it took.
pub type Run = Box<dyn FnMut(u64) -> Duration>;
/// The peers of a workload, ours first.
pub type Peers = Vec<(&'static str, Run)>;

/// One operation, for each peer that can do it.
pub struct Workload {
    pub name: String,
    /// How many operations a batch has.
    pub operations: u64,
    /// Makes what is there only while this is measured.
    pub prepare: Box<dyn Fn() -> Peers>,
}

/// How it is measured.
#[derive(Clone, Copy)]
pub struct Rounds {
    /// How many; odd, so that there is a median.
    pub count: usize,
    /// How long one turn of one peer is to take.
    pub turn: Duration,
}

impl Rounds {
    /// Turns shorter than a time slice, so that on a busy machine the least is still that of an
    /// undisturbed turn.
    pub fn short(options: &Options) -> Self {
        Self { count: options.pick(101, 11), turn: Duration::from_millis(2) }
    }

    /// For what threads do together, which takes some time to settle.
    pub fn long(options: &Options) -> Self {
        Self { count: options.pick(51, 7), turn: Duration::from_millis(10) }
    }

    /// How many batches take about one turn; warms the peer up. Of three runs the shortest counts: after
    /// one that the system held up, the turns would be too short for what a run costs by itself.
    fn calibrate(self, run: &mut Run) -> u64 {
        let mut batches = 1;
        loop {
            let taken = (0..3).map(|_| run(batches)).min().expect("three runs");
            if taken >= self.turn / 4 {
                let share = self.turn.as_secs_f64() / taken.as_secs_f64();
                return ((batches as f64 * share) as u64).max(1);
            }
            batches *= 2;
        }
    }

    /// Nanoseconds per operation. The peers take turns; who begins changes from round to round.
    fn measure(self, workload: &Workload) -> Row {
        let mut peers = (workload.prepare)();
        let batches: Vec<u64> = peers.iter_mut().map(|(_, run)| self.calibrate(run)).collect();
        let mut values: Vec<_> =
            peers.iter().map(|(peer, _)| (*peer, Vec::with_capacity(self.count))).collect();
        for round in 0..self.count {
            for turn in 0..peers.len() {
                let at = (round + turn) % peers.len();
                let taken = (peers[at].1)(batches[at]);
                let operations = batches[at] * workload.operations;
                values[at].1.push(taken.as_secs_f64() * 1e9 / operations as f64);
            }
        }
        Row { name: workload.name.clone(), values }
    }

    /// Measures the workloads that are asked for, into a table.
    pub fn table(self, name: &'static str, workloads: &[Workload], options: &Options) {
        let mut table = Table::new(name, "nanoseconds per operation");
        for workload in workloads.iter().filter(|workload| options.has(&workload.name)) {
            table.row(&self.measure(workload));
        }
    }
}
