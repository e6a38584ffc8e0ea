//! The rules of the house that neither the compiler nor clippy checks, one test each.
//!
//! A rule is a function of sources, so that beside it a test can plant what it must find. Here each is held
//! against the package itself, and fails with file and line of every fault.

#[path = "tidy/documented.rs"]
mod documented;
#[path = "tidy/examples.rs"]
mod examples;
#[path = "tidy/layout.rs"]
mod layout;
#[path = "tidy/lexer.rs"]
mod lexer;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/semantics.rs"]
mod semantics;
#[path = "tidy/soundness.rs"]
mod soundness;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/threats.rs"]
mod threats;
#[path = "tidy/verdict.rs"]
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use source::Source;

/// The folders of the package that hold Rust of ours.
const FOLDERS: [&str; 5] = ["src", "tests", "benches", "examples", "fuzz/fuzz_targets"];

/// Every source file of the package.
fn package() -> &'static [Source] {
    static PACKAGE: OnceLock<Vec<Source>> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        for folder in FOLDERS {
            collect(&root.join(folder), &mut files);
        }
        let mut sources: Vec<Source> = files.iter().map(|file| read(root, file)).collect();
        mark_test_modules(&mut sources);
        sources
    })
}

/// Adds the Rust files under `folder`, which need not exist, in the order of their names. What was built is not ours.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    for path in found {
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(root: &Path, file: &Path) -> Source {
    let text = fs::read_to_string(file).unwrap();
    let path = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    Source::new(&path, &text)
}

/// Marks the files of modules that are declared under `cfg(test)`, and of the modules below them.
fn mark_test_modules(sources: &mut [Source]) {
    let gated: Vec<String> = sources.iter().flat_map(source::test_modules).collect();
    for source in sources {
        let below = |module: &String| source.path.starts_with(&format!("{module}/"));
        let is = |module: &String| source.path == format!("{module}.rs");
        source.only_tests |= gated.iter().any(|module| is(module) || below(module));
    }
}

#[test]
fn imports_point_down() {
    layout::imports_point_down(package()).demand();
}

#[test]
fn lower_floors_do_without_std() {
    layout::lower_floors_do_without_std(package()).demand();
}

#[test]
fn atomics_come_from_sync() {
    layout::atomics_come_from_sync(package()).demand();
}

#[test]
fn files_are_short() {
    layout::files_are_short(package()).demand();
}

#[test]
fn functions_are_short() {
    layout::functions_are_short(package()).demand();
}

#[test]
fn module_names_say_something() {
    layout::module_names_say_something(package()).demand();
}

#[test]
fn unsafe_stays_on_the_task_floor() {
    soundness::unsafe_stays_on_the_task_floor(package()).demand();
}

#[test]
fn unsafe_is_justified() {
    soundness::unsafe_is_justified(package()).demand();
}

#[test]
fn unsafe_functions_state_their_demands() {
    soundness::unsafe_functions_state_their_demands(package()).demand();
}

#[test]
fn orderings_are_argued() {
    soundness::orderings_are_argued(package()).demand();
}

#[test]
fn public_items_are_documented() {
    documented::public_items_are_documented(package()).demand();
}

#[test]
fn futures_state_their_cancel_safety() {
    documented::futures_state_their_cancel_safety(package()).demand();
}

#[test]
fn what_is_public_is_shown() {
    examples::what_is_public_is_shown(package()).demand();
}

#[test]
fn files_begin_with_their_story() {
    documented::files_begin_with_their_story(package()).demand();
}

#[test]
fn nothing_is_unfinished() {
    documented::nothing_is_unfinished(package()).demand();
}

#[test]
fn the_library_prints_nothing() {
    documented::the_library_prints_nothing(package()).demand();
}

#[test]
fn rules_are_tested() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join(semantics::RULES);
    semantics::rules_are_tested(&fs::read_to_string(rules).unwrap(), package()).demand();
}

#[test]
fn threats_are_shown() {
    let notes = Path::new(env!("CARGO_MANIFEST_DIR")).join(threats::NOTES);
    threats::threats_are_shown(&fs::read_to_string(notes).unwrap(), package()).demand();
}

#[test]
fn models_are_listed() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let faults = fs::read_dir(tests.join("loom/mutants")).unwrap().map(|file| file.unwrap().path());
    let fault = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let model = text.lines().next().unwrap().trim_start_matches("Model: ").to_owned();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), model)
    };
    let faults: Vec<_> = faults.map(fault).collect();
    let head = fs::read_to_string(tests.join("loom.rs")).unwrap();
    let notes = fs::read_to_string(tests.with_file_name(threats::NOTES)).unwrap();
    threats::models_are_listed(&head, &notes, &faults, package()).demand();
}

#[test]
fn instruction_counts_are_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let counts = fs::read_to_string(root.join("benches/counts.txt")).unwrap();
    let costs = fs::read_to_string(root.join(threats::COSTS)).unwrap();
    threats::counts_are_shown(&counts, &costs).demand();
}

#[test]
fn a_module_declared_for_tests_is_only_tests() {
    let parent = "#[cfg(test)]\nmod oracle;\n#[cfg(any(test, fuzzing))]\n#[path = \"x/y.rs\"]\nmod z;\nmod b;";
    let paths = ["wheel/oracle.rs", "wheel/oracle/deep.rs", "x/y.rs", "wheel/b.rs", "oracle.rs"];
    let mut sources: Vec<Source> =
        paths.iter().map(|path| Source::new(&format!("src/{path}"), "")).collect();
    sources.push(Source::new("src/wheel.rs", parent));
    mark_test_modules(&mut sources);
    let marked: Vec<bool> = sources.iter().map(|source| source.only_tests).collect();
    assert_eq!(marked, [true, true, true, false, false, false]);
}
