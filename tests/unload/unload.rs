//! L2: a library that contains the crate may be unloaded once its loops have been waited for: no thread of theirs runs
//! its code any more.
//!
//! A child process does it, because what goes wrong here is a crash. Each use is on a thread of its own, whose
//! locals are gone before the library is: else the system would keep it.

#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use libloading::{Library, Symbol};

const CYCLES: u32 = 200;
const VARIABLE: &str = "SIDELOOP_UNLOAD_CHILD";
/// What each use counts: four jobs, a task and a call.
const RIGHT: u32 = 6;

/// The library, which cargo builds beside this test.
fn library() -> PathBuf {
    let this = env::current_exe().expect("the path of the test");
    let name = libloading::library_filename("plugin");
    let beside = this.ancestors().skip(1).take(2).map(|folder| folder.join(&name));
    beside.into_iter().find(|path| path.exists()).expect("the library was built")
}

fn is_mapped(library: &Path) -> bool {
    let name = library.file_name().and_then(|name| name.to_str()).expect("a name");
    fs::read_to_string("/proc/self/maps").expect("proc is mounted").contains(name)
}

/// Loads the library and uses it.
fn load(path: &Path, cycle: u32) -> Library {
    // SAFETY: its initialisers are those of the standard library.
    let library = unsafe { Library::new(path) }.expect("it can be loaded");
    // SAFETY: the plugin's function has this type.
    let live: Symbol<'_, extern "C" fn(u32) -> u32> =
        unsafe { library.get(b"live") }.expect("its function");
    assert_eq!(live(cycle), RIGHT, "cycle {cycle}");
    library
}

fn child() {
    let path = library();
    for cycle in 0..CYCLES {
        let there = path.clone();
        let library = thread::spawn(move || load(&there, cycle)).join().expect("it is used");
        assert!(is_mapped(&path));
        library.close().expect("it can be unloaded");
        assert!(!is_mapped(&path), "cycle {cycle}: something keeps the library");
    }
}

#[test]
fn a_library_with_loops_can_be_unloaded() {
    if env::var_os(VARIABLE).is_some() {
        return child();
    }
    let mut command = Command::new(env::current_exe().expect("the path of the test"));
    command
        .args(["--exact", "a_library_with_loops_can_be_unloaded", "--nocapture"])
        .env(VARIABLE, "");
    let output = command.output().expect("the child starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
}
