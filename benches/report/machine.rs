//! What it was measured on and with.

use std::fs;
use std::process::Command;
use std::thread;

use harness::Options;

/// The output of a command, or nothing.
fn output(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}

/// The crate's commit, and the versions of what else the benches depend on.
fn versions() -> String {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    let tree = output(
        Command::new(cargo).args(["tree", "--depth", "1", "--prefix", "none", "-e", "normal"]),
    );
    let revision = output(Command::new("git").args(["describe", "--always", "--dirty"]));
    let peers = tree.lines().skip(1).filter(|line| !line.starts_with("sideloop "));
    let peers = peers.map(|line| line.replacen(" v", " ", 1)).collect::<Vec<_>>().join(", ");
    format!("sideloop of commit {revision}; {peers}")
}

/// A sentence for each: the machine with date and compiler; how long was measured; the peers' versions.
pub(crate) fn describe(options: &Options) -> String {
    let date = output(Command::new("date").args(["-u", "+%F"]));
    let rust = output(Command::new("rustc").arg("--version"));
    let rust = rust.split(' ').nth(1).unwrap_or("of an unknown version").to_owned();
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let model = model.unwrap_or("processor of an unknown model");
    let guest = if info.contains(" hypervisor") { ", virtual" } else { "" };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or("unknown".into());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let length = options.pick("", "A quick run, to see that it works: take no number from it.\n");
    format!(
        "Measured on {date} with Rust {rust}: {model} ({cores} cores{guest}), Linux {}; load average {load} before \
         the run.\n{length}\
         Versions: {}.\n",
        kernel.trim(),
        versions(),
    )
}
