//! Runs all the benches and writes what they say: `cargo bench --bench report` in this folder, on a
//! machine that does nothing else, for some six minutes.
//!
//! It writes `results.md` and `charts`, and the numbers of the README of the crate. With `--quick` it takes
//! two to three minutes and writes into `target/quick` alone, to see that everything works. With
//! `--render` nothing is run: the results of the last run are written again.

#[path = "report/charts.rs"]
mod charts;
#[path = "report/machine.rs"]
mod machine;
#[path = "report/pages.rs"]
mod pages;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use harness::Options;
use harness::results::{Entry, VARIABLE};

/// The benches, in the order in which they run and are written about.
const BENCHES: [&str; 4] = ["peers", "inject", "timers", "scale"];

/// Runs a command that speaks to the reader, and stops if it fails.
fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// Runs everything, into files in `place`.
fn measure(options: &Options, place: &Path) {
    fs::remove_dir_all(place).ok();
    fs::create_dir_all(place).expect("a folder for what is measured");
    fs::write(place.join("machine.md"), machine::describe(options)).expect("a file");
    let cargo = env::var("CARGO").unwrap_or("cargo".into());
    for bench in BENCHES {
        let mut command = Command::new(&cargo);
        command.args(["bench", "--quiet", "--bench", bench, "--"]);
        command.args(options.quick.then_some("--quick"));
        run(command.env(VARIABLE, place.join("numbers.tsv")));
    }
    let mut command = Command::new("./footprint.sh");
    let output = command.arg(options.pick("3", "1")).output().expect("footprint.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(place.join("footprint.md"), output.stdout).expect("a file of footprints");
}

fn main() {
    let options = Options::from_command_line();
    env::set_current_dir(env!("CARGO_MANIFEST_DIR")).expect("the folder of the benches");
    let target = Path::new("target");
    let (place, to) = options.pick((target.join("full"), Path::new(".")), {
        let quick = target.join("quick");
        (quick.clone(), Path::new("target/quick"))
    });
    if !env::args().any(|argument| argument == "--render") {
        measure(&options, &place);
    }
    let read = |name| fs::read_to_string(place.join(name)).expect("what a run has measured");
    let numbers = read("numbers.tsv");
    let entries: Vec<Entry> = numbers.lines().filter_map(Entry::parse).collect();
    fs::create_dir_all(to.join("charts")).expect("a folder for the charts");
    charts::draw(&entries, &to.join("charts"));
    let summary = pages::summary(&read("machine.md"), &entries);
    let results = pages::results(&read("machine.md"), &entries, &read("footprint.md"));
    fs::write(to.join("results.md"), results).expect("results.md");
    if options.quick {
        println!("\nwritten: benches/{}/results.md", to.display());
    } else {
        pages::into_readme(&summary, Path::new("../README.md"));
        println!("\nwritten: benches/results.md, benches/charts and the numbers of README.md");
    }
}
