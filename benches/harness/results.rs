//! Tables of results: printed for a reader, and added line by line to a file for `report`.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write;

use crate::goals;

/// The variable that names the file.
pub const VARIABLE: &str = "SIDELOOP_RESULTS";
/// Who is compared with the others.
pub const OURS: &str = "sideloop";

/// One row of a table: for each peer its values, one of each round.
pub struct Row {
    pub name: String,
    pub values: Vec<(&'static str, Vec<f64>)>,
}

/// One number of a table, as it is kept.
pub struct Entry {
    pub table: String,
    pub row: String,
    pub peer: String,
    pub least: f64,
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

/// The value below which this part of the values lies.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

impl Entry {
    fn new(table: &str, row: &str, peer: &str, values: &[f64]) -> Self {
        let [least, low, median, high] = [0.0, 0.25, 0.5, 0.75].map(|at| quantile(values, at));
        let [table, row, peer] = [table, row, peer].map(String::from);
        Self { table, row, peer, least, low, median, high }
    }

    fn line(&self) -> String {
        let Self { table, row, peer, least, low, median, high } = self;
        format!("{table}\t{row}\t{peer}\t{least}\t{low}\t{median}\t{high}\n")
    }

    /// Reads what [`Table::row`] has written.
    pub fn parse(line: &str) -> Option<Self> {
        let [table, row, peer, numbers @ ..] = &line.split('\t').collect::<Vec<_>>()[..] else {
            return None;
        };
        let numbers: Vec<f64> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
        let &[least, low, median, high] = &numbers[..] else { return None };
        let [table, row, peer] = [table, row, peer].map(|text| String::from(*text));
        Some(Self { table, row, peer, least, low, median, high })
    }
}

/// A table that is printed row by row.
pub struct Table {
    name: &'static str,
    file: Option<File>,
    /// What is in it so far.
    entries: Vec<Entry>,
}

impl Table {
    /// Begins a table; `unit` says what its numbers are.
    pub fn new(name: &'static str, unit: &str) -> Self {
        println!("\n{name}: {unit}; the least of the rounds, and (their median)");
        let file = env::var_os(VARIABLE).map(|path| {
            OpenOptions::new().create(true).append(true).open(path).expect("the file of results")
        });
        Self { name, file, entries: Vec::new() }
    }

    /// Prints and keeps a row, and says which goals it has met or missed.
    pub fn row(&mut self, row: &Row) {
        println!("  {}", row.name);
        let mut least = None;
        for (peer, values) in &row.values {
            let entry = Entry::new(self.name, &row.name, peer, values);
            let ours = *least.get_or_insert(entry.least);
            let share = if *peer == OURS || entry.least == 0.0 {
                String::new()
            } else {
                format!("  ours is {:.2} of it", ours / entry.least)
            };
            println!("    {peer:<20}{:>14.1} ({:.1}){share}", entry.least, entry.median);
            if let Some(file) = &mut self.file {
                file.write_all(entry.line().as_bytes()).expect("the file of results");
            }
            self.entries.push(entry);
        }
        for verdict in goals::verdicts(self.name, &row.name, &self.entries) {
            println!("    {verdict}");
        }
    }
}
