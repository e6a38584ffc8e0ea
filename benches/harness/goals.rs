//! What sideloop is to reach, and whether it does.

use crate::results::{Entry, OURS};

/// One goal: a number of ours, or its share of another one, is to be at most so much.
pub struct Goal {
    pub table: &'static str,
    pub row: &'static str,
    pub of: Of,
    pub most: f64,
}

/// What our number is compared with.
pub enum Of {
    /// That of this peer.
    Peer(&'static str),
    /// That of the fastest peer.
    Fastest,
    /// Our own in another row of the table.
    Row(&'static str),
    /// Nothing: it is the number itself, in this unit.
    Unit(&'static str),
}

const fn goal(table: &'static str, row: &'static str, of: Of, most: f64) -> Goal {
    Goal { table, row, of, most }
}

/// All of them, by the least of the rounds.
pub const GOALS: [Goal; 23] = [
    goal("local", "spawn + join", Of::Peer("tokio LocalSet"), 0.22),
    goal("local", "spawn + join", Of::Peer("compio"), 0.6),
    goal("local", "self-wake, 1 task", Of::Peer("tokio"), 0.2),
    goal("local", "self-wake, 1 task", Of::Peer("compio"), 0.35),
    goal("local", "self-wake, 1000 tasks", Of::Peer("tokio"), 0.2),
    goal("local", "self-wake, 1000 tasks", Of::Peer("compio"), 0.35),
    goal("local", "ping-pong, async-channel", Of::Fastest, 0.92),
    goal("local", "abort + join, all at once", Of::Peer("tokio"), 0.28),
    goal("timers", "timeout, ready after a yield", Of::Peer("tokio"), 0.25),
    goal("timers", "timeout, ready after a yield", Of::Peer("monoio"), 0.5),
    goal("floods", "100000 sleeps over 200 ms, ns of processor time each", Of::Peer("tokio"), 0.3),
    goal("floods", "lateness of sleep(100µs), p50, us", Of::Unit("µs"), 20.0),
    goal("inject", "spawn, 1 thread", Of::Peer("tokio"), 0.5),
    goal("inject", "spawn, 2 threads", Of::Peer("tokio"), 0.5),
    goal("inject", "spawn, 4 threads", Of::Peer("tokio"), 0.5),
    goal("inject", "call, 1 thread", Of::Unit("ns"), 100.0),
    goal("round-trip", "spawn + join, parked", Of::Peer("tokio"), 0.8),
    goal("round-trip", "spawn + join, spinning", Of::Unit("ns"), 1000.0),
    goal("round-trip", "call, spinning", Of::Unit("ns"), 1000.0),
    goal("memory", "1000000 tasks", Of::Unit("bytes"), 136.0),
    goal(
        "scale-tasks",
        "spawn and first poll, 1000000",
        Of::Row("spawn and first poll, 1000"),
        4.0,
    ),
    goal("scale-tasks", "wake and poll, 1000000", Of::Row("wake and poll, 1000"), 4.0),
    goal("scale-tasks", "abort and join, 1000000", Of::Row("abort and join, 1000"), 4.0),
];

/// Whether this is no runtime: a hand-off, or a wait, without tasks.
pub fn is_floor(peer: &str) -> bool {
    peer.starts_with("Mutex") || peer == "crossbeam-channel" || peer == "thread::sleep"
}

/// The peer with the least number of all but sideloop and floors.
pub fn fastest<'a>(entries: impl Iterator<Item = &'a Entry>) -> Option<&'a Entry> {
    let is_peer = |entry: &&Entry| entry.peer != OURS && !is_floor(&entry.peer);
    entries.filter(is_peer).min_by(|a, b| a.least.total_cmp(&b.least))
}

impl Goal {
    /// What was measured, if it was.
    pub fn measured(&self, entries: &[Entry]) -> Option<f64> {
        let of = |row: &'static str| {
            entries.iter().filter(move |entry| entry.table == self.table && entry.row == row)
        };
        let ours = |row| of(row).find(|entry| entry.peer == OURS);
        let least = ours(self.row)?.least;
        let other = match self.of {
            Of::Peer(peer) => of(self.row).find(|entry| entry.peer == peer)?,
            Of::Fastest => fastest(of(self.row))?,
            Of::Row(row) => ours(row)?,
            Of::Unit(_) => return Some(least),
        };
        Some(least / other.least)
    }

    pub fn is_met_by(&self, measured: f64) -> bool {
        measured <= self.most
    }

    /// Such a number in words.
    pub fn words(&self, number: f64) -> String {
        match self.of {
            Of::Peer(peer) => format!("{number:.2} of {peer}"),
            Of::Fastest => format!("{number:.2} of the fastest peer"),
            Of::Row(row) => format!("{number:.2} of that of \"{row}\""),
            Of::Unit(unit) => format!("{number:.1} {unit}"),
        }
    }

    /// The goal and what became of it, for a line of results.
    fn verdict(&self, entries: &[Entry]) -> Option<String> {
        let measured = self.measured(entries)?;
        let verdict = if self.is_met_by(measured) { "met" } else { "missed" };
        let (measured, most) = (self.words(measured), self.words(self.most));
        Some(format!("{measured}, goal {most}: {verdict}"))
    }
}

/// The verdicts about one row, with what is known of its table so far.
pub fn verdicts(table: &str, row: &str, entries: &[Entry]) -> Vec<String> {
    let about = GOALS.iter().filter(|goal| goal.table == table && goal.row == row);
    about.filter_map(|goal| goal.verdict(entries)).collect()
}
