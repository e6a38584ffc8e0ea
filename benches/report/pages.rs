//! The pages: all results, and the few of them that are in the README.

use std::fs;
use std::path::Path;

use harness::goals::{GOALS, fastest};
use harness::results::{Entry, OURS};

/// What stands around the numbers in the README.
const MARKS: [&str; 2] =
    ["<!-- numbers: written by the report bench -->\n", "<!-- end of numbers -->"];

/// The tables as they are written about: name, title, whether there is a chart, and what is to be said.
const TABLES: [(&str, &str, bool, &str); 8] = [
    ("local", "On the loop's own thread", true, "Nanoseconds per operation."),
    (
        "inject",
        "From other threads",
        true,
        "Nanoseconds per operation, with so many threads that send. The channel and the two mutexes hand \
         boxed closures over, without tasks: floors.",
    ),
    (
        "round-trip",
        "There and back",
        true,
        "Nanoseconds until a thread that blocks has its result. Parked: the other thread has gone to sleep \
         before. One after the other: the next is sent as soon as there is a result. Spinning: the other \
         thread is kept awake, sideloop by `Builder::spin`, the peers by a task that always yields, and who \
         waits for their result polls it without a pause.",
    ),
    ("timers", "Timers", true, "Nanoseconds per operation, with so many other timers pending."),
    (
        "floods",
        "Timers that fire",
        false,
        "In the unit that the row names. `thread::sleep` is a thread that has no timers, and sleeps from one \
         deadline to the next: a floor.",
    ),
    (
        "scale-tasks",
        "Tasks, from one to a million",
        true,
        "Nanoseconds per operation, with so many tasks.",
    ),
    (
        "scale-timers",
        "Timers, from one to a million",
        true,
        "Nanoseconds per operation, with so many timers.",
    ),
    (
        "memory",
        "Memory",
        true,
        "Bytes that an idle task takes whose future has 64 bytes: cell, registry and queues, without handle; and \
         a pending sleep, with the block that it lies in. All without what the allocator adds.",
    ),
];

/// The rows of the README: table, row, and what they are called there.
const SUMMARY: [(&str, &str, &str); 19] = [
    ("local", "spawn + join", "spawn + join, 1000 at a time"),
    ("local", "self-wake, 1 task", "self-wake, one task"),
    ("local", "self-wake, 1000 tasks", "self-wake, 1000 tasks"),
    ("local", "ping-pong, async-channel", "a message between two tasks, by async-channel"),
    ("local", "abort + join, all at once", "abort 1000 idle tasks, then join them"),
    ("local", "abort + join, one by one", "abort and join one by one"),
    ("inject", "spawn, 1 thread", "spawn from another thread"),
    ("inject", "wake, 1 thread", "wake from another thread"),
    ("inject", "spawn, 4 threads", "spawn from four other threads"),
    ("round-trip", "spawn + join, parked", "spawn on a sleeping loop, and a blocking join"),
    ("round-trip", "call, one after the other", "one call from another thread after the other"),
    ("round-trip", "spawn + join, spinning", "spawn on a loop that spins, and a blocking join"),
    ("timers", "sleep, 1000000 pending", "make, poll and drop a sleep, 1 million others pending"),
    ("timers", "reset, 100000 pending", "move a sleep, 100 000 others pending"),
    ("timers", "timeout, ready after a yield", "`timeout` around what is ready after one yield"),
    (
        "floods",
        "100000 sleeps over 200 ms, ns of processor time each",
        "100 000 sleeps over 200 ms, processor time of each",
    ),
    ("floods", "lateness of sleep(100µs), p99, us", "lateness of a sleep of 100 µs, p99, in µs"),
    (
        "floods",
        "longest gap between two polls while 1000000 timers fire, us",
        "longest gap between two polls while 1 million timers fire, in µs",
    ),
    (
        "memory",
        "1000000 tasks",
        "memory of an idle task with 64 bytes of state, 1 million of them, in bytes",
    ),
];

/// One row, as its entries.
struct Row<'a>(Vec<&'a Entry>);

impl<'a> Row<'a> {
    fn of(entries: &'a [Entry], table: &str, row: &str) -> Self {
        Self(entries.iter().filter(|entry| entry.table == table && entry.row == row).collect())
    }

    fn peer(&self, name: &str) -> Option<&'a Entry> {
        self.0.iter().copied().find(|entry| entry.peer == name)
    }

    /// See [`fastest`].
    fn fastest(&self) -> Option<&'a Entry> {
        fastest(self.0.iter().copied())
    }

    /// Sideloop's least time as a share of another's.
    fn share(&self, other: Option<&Entry>) -> String {
        match (self.peer(OURS), other) {
            (Some(ours), Some(other)) => format!("{:.2}", ours.least / other.least),
            _ => "–".into(),
        }
    }
}

/// The names in order of their first appearance.
pub(crate) fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    names.for_each(|name| {
        if !all.contains(&name.as_str()) {
            all.push(name)
        }
    });
    all
}

/// Three digits that matter, and no more than one behind the point.
pub(crate) fn number(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// A table of all peers and all rows.
fn table(entries: &[Entry], name: &str) -> String {
    let of: Vec<&Entry> = entries.iter().filter(|entry| entry.table == name).collect();
    let peers = distinct(of.iter().map(|entry| &entry.peer));
    let rows = distinct(of.iter().map(|entry| &entry.row));
    let mut text = format!("| | {} | of tokio | of the fastest |\n", peers.join(" | "));
    text += &format!("|---|{}---|---|\n", "---|".repeat(peers.len()));
    for name_of_row in rows {
        let row = Row::of(entries, name, name_of_row);
        let cell = |entry: &Entry| match number(entry.least) {
            least if entry.least == entry.median => least,
            least => format!("{least} ({})", number(entry.median)),
        };
        let cells: Vec<String> =
            peers.iter().map(|peer| row.peer(peer).map_or("–".into(), cell)).collect();
        let shares = [row.share(row.peer("tokio")), row.share(row.fastest())];
        text += &format!("| {name_of_row} | {} | {} |\n", cells.join(" | "), shares.join(" | "));
    }
    text
}

/// A table of what was to be reached, and whether it was.
fn goals(entries: &[Entry]) -> String {
    let mut text = String::from("| | goal, at most | measured | |\n|---|---|---|---|\n");
    for goal in &GOALS {
        let measured = goal.measured(entries);
        let verdict = match measured.map(|measured| goal.is_met_by(measured)) {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not measured",
        };
        let measured = measured.map_or("–".into(), |measured| goal.words(measured));
        text += &format!("| {} | {} | {measured} | {verdict} |\n", goal.row, goal.words(goal.most));
    }
    text
}

/// All results.
pub(crate) fn results(machine: &str, entries: &[Entry], footprint: &str) -> String {
    let mut text = format!(
        "# Results\n\nWritten by `cargo bench --bench report` in this folder.\n\n{machine}\n\
         Each number is the least of the rounds, with their median in brackets; in each round the peers \
         take turns in one process. The shares are sideloop's least as part of tokio's (current-thread \
         runtime), and of that of the fastest peer. `tokio` has tasks that need not be `Send` by its \
         `LocalRuntime`, `tokio LocalSet` by the older way.\n"
    );
    for (name, title, has_chart, note) in TABLES {
        text += &format!("\n## {title}\n\n{note}\n\n");
        if has_chart {
            text += &format!("![{title}](charts/{name}.svg)\n\n");
        }
        text += &table(entries, name);
    }
    text += "\n## Goals\n\nBy the least of the rounds. [Goals](goals.md) explains \
             those that were missed.\n\n";
    text += &goals(entries);
    text += "\n## Footprint\n\nA program that starts a loop on a thread of its own, has it run one task, \
             and idles (`footprint.sh`).\n\n";
    text + footprint
}

/// The numbers of the README.
pub(crate) fn summary(machine: &str, entries: &[Entry]) -> String {
    let mut text = format!(
        "{machine}\n\
         | ns per operation, if nothing else is said | sideloop | tokio | of tokio | fastest peer | of that |\n\
         |---|---|---|---|---|---|\n"
    );
    for (table, name, label) in SUMMARY {
        let row = Row::of(entries, table, name);
        let least = |entry: Option<&Entry>| entry.map_or("–".into(), |entry| number(entry.least));
        let fastest = row.fastest();
        text += &format!(
            "| {label} | {} | {} | {} | {} ({}) | {} |\n",
            least(row.peer(OURS)),
            least(row.peer("tokio")),
            row.share(row.peer("tokio")),
            least(fastest),
            fastest.map_or("–", |entry| &entry.peer),
            row.share(fastest),
        );
    }
    text
}

/// Puts the numbers into the README, between the marks.
pub(crate) fn into_readme(summary: &str, path: &Path) {
    let text = fs::read_to_string(path).expect("the README");
    let [from, to] = MARKS.map(|mark| text.find(mark).expect("both marks in the README"));
    let from = from + MARKS[0].len();
    fs::write(path, format!("{}\n{summary}\n{}", &text[..from], &text[to..])).expect("the README");
}
