//! Rules of where things live: floors, `no_std`, the one facade of atomics, sizes, names.

use crate::paths::{Path, module_of, paths, resolve};
use crate::source::Source;
use crate::verdict::Verdict;

/// The floors below the shell, lowest first; every other module is shell.
const FLOORS: [&[&str]; 3] = [&["error", "id", "tick", "sync"], &["task"], &["scheduler"]];
/// Modules that must do without `std`.
const NO_STD: [&str; 4] = ["task", "scheduler", "id", "tick"];
/// Names that say nothing.
const EMPTY_NAMES: &str = "core util utils common helper helpers types misc";
const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 40;

/// Is it a file of the library?
pub(crate) fn in_src(source: &&Source) -> bool {
    source.path.starts_with("src/")
}

fn floor_of(module: &str) -> usize {
    FLOORS.iter().position(|names| names.contains(&module)).unwrap_or(FLOORS.len())
}

/// The first module below the crate's root; `lib` for the root itself.
fn top_module(source: &Source) -> String {
    module_of(&source.path).into_iter().next().unwrap_or_else(|| "lib".to_string())
}

/// Imports point down: what a file of a lower floor names in this crate lives on its floor or below. Its tests
/// may name the oracles of `src/testing/` too.
pub(crate) fn imports_point_down(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    let exports = reexports(sources);
    for source in sources.iter().filter(in_src) {
        let mine = floor_of(&top_module(source));
        for path in paths(source).iter().filter(|_| mine < FLOORS.len()) {
            let Some(target) = resolve(source, path) else { continue };
            let first = target.first().map_or("", String::as_str);
            let module = exports.iter().find(|(name, _)| name == first).map_or(first, |e| &e.1);
            let fault = format!("points up: crate::{}", target.join("::"));
            let for_tests = module == "testing" && source.is_test(path.at);
            verdict.look(&source.path, path.line, for_tests || floor_of(module) <= mine, fault);
        }
    }
    verdict
}

/// The names that `src/lib.rs` lifts to the root, each with the module it is from.
fn reexports(sources: &[Source]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for root in sources.iter().filter(|source| source.path == "src/lib.rs") {
        let lifts = |path: &Path| {
            let start = root.after_attributes(root.statement_start(path.at));
            root.has(start..path.at + 1, "use")
        };
        for path in paths(root).iter().filter(|path| lifts(path)) {
            let target = resolve(root, path).unwrap_or_else(|| path.segments.clone());
            if let (Some(module), Some(name)) = (target.first(), target.last()) {
                found.push((name.clone(), module.clone()));
            }
        }
    }
    found
}

/// Outside of tests and of what directly follows `#[cfg(feature = "std")]`, no lower floor names `std`.
pub(crate) fn lower_floors_do_without_std(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    let lower = |source: &&Source| NO_STD.contains(&top_module(source).as_str());
    for source in sources.iter().filter(in_src).filter(lower) {
        verdict.look(&source.path, 1, true, "");
        for path in paths(source).iter().filter(|path| path.starts_with(&["std"])) {
            let kept = source.is_test(path.at) || is_std_only(source, path.at);
            verdict.look(&source.path, path.line, kept, path.segments.join("::"));
        }
    }
    verdict
}

/// Does the statement of `at` itself carry `#[cfg(feature = "std")]`?
fn is_std_only(source: &Source, at: usize) -> bool {
    let feature = ["feature", "=", "\"std\""];
    source.attributes(at).into_iter().any(|attribute| source.is_cfg(attribute, &feature))
}

/// Nothing but `src/sync.rs` names the atomics of `std` or `core`, loom, or shuttle.
pub(crate) fn atomics_come_from_sync(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    for source in sources.iter().filter(in_src).filter(|source| source.path != "src/sync.rs") {
        verdict.look(&source.path, 1, true, "");
        for path in paths(source) {
            let foreign = path.starts_with(&["std", "sync", "atomic"])
                || path.starts_with(&["core", "sync", "atomic"])
                || path.starts_with(&["loom"])
                || path.starts_with(&["shuttle"]);
            verdict.look(&source.path, path.line, !foreign, path.segments.join("::"));
        }
    }
    verdict
}

/// A file stays within 400 lines.
pub(crate) fn files_are_short(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    for source in sources {
        let kept = source.lines <= LONGEST_FILE;
        verdict.look(&source.path, 1, kept, format!("file of {} lines", source.lines));
    }
    verdict
}

/// A function stays within 40 lines, from its `fn` to its last brace.
pub(crate) fn functions_are_short(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    for source in sources {
        for function in source.functions() {
            let first = source.line(function.at);
            let lines = source.line(function.end) + 1 - first;
            let fault = format!("`{}` has {lines} lines", function.name);
            verdict.look(&source.path, first, lines <= LONGEST_FUNCTION, fault);
        }
    }
    verdict
}

/// No module has a name that says nothing.
pub(crate) fn module_names_say_something(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    let is_empty = |name: &str| EMPTY_NAMES.split(' ').any(|empty| empty == name);
    for source in sources {
        let kept = !source.path.trim_end_matches(".rs").split('/').any(is_empty);
        verdict.look(&source.path, 1, kept, "a file or folder with an empty name");
        for at in source.find(&["mod"]).filter(|at| source.is_word(at + 1)) {
            let name = source.text(at + 1);
            verdict.look(&source.path, source.line(at), !is_empty(name), format!("mod {name}"));
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::faults;

    const STATE: &str = "src/task/state.rs";

    #[test]
    fn an_import_that_points_up_is_found() {
        let text = "//! [`crate::handle`]\nuse crate::tick::Tick;\n/// [`crate::handle`]\n\
            fn f(x: crate::scheduler::Turn) {}\nuse super::super::handle;\nuse crate::{id, Handle};";
        assert_eq!(faults(imports_point_down, STATE, text), [4, 5, 6]);
        assert_eq!(faults(imports_point_down, "src/id.rs", "use super::task::Cell;"), [1]);
        assert_eq!(faults(imports_point_down, "src/scheduler.rs", "use crate::task::X;"), [0; 0]);
        assert_eq!(
            faults(imports_point_down, STATE, "fn f() { g(\"crate::x::y\", crate::id::X) }"),
            [0; 0]
        );
    }

    #[test]
    fn a_name_at_the_root_counts_as_its_module() {
        let root =
            Source::new("src/lib.rs", "pub use id::TaskId;\npub use handle::{Handle, H as G};");
        let state = Source::new(STATE, "use crate::TaskId;\nuse crate::Handle;");
        let message = std::panic::catch_unwind(|| imports_point_down(&[root, state]).demand());
        let message = *message.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("1 faults in 2 places") && message.contains("state.rs:2: "));
    }

    #[test]
    fn std_in_a_lower_floor_is_found() {
        let text = "use std::fmt;\n#[cfg(feature = \"std\")]\nuse std::{\n    io,\n    rc,\n};\n\
            #[cfg(feature = \"std\")]\nfn f() {\n    std::a();\n}\n#[cfg(not(feature = \"std\"))]\n\
            fn g() -> ::std::io::X {}\n#[cfg(test)]\nmod tests {\n    use std::x;\n}\nuse core::std::x;";
        assert_eq!(faults(lower_floors_do_without_std, STATE, text), [1, 9, 12]);
        assert_eq!(faults(lower_floors_do_without_std, "src/tick.rs", "use std::fmt;"), [1]);
        assert_eq!(lower_floors_do_without_std(&[Source::new("src/join.rs", "std::x")]).seen(), 0);
    }

    #[test]
    fn what_is_for_tests_may_use_std() {
        let text = "#[cfg(any(test, fuzzing))]\nimpl<A, B> X<A, B> {\n    fn f() { std::x() }\n}\n\
            #[cfg(not(test))]\nfn f() { std::x() }";
        assert_eq!(faults(lower_floors_do_without_std, STATE, text), [6]);
        assert_eq!(
            faults(lower_floors_do_without_std, STATE, "#![cfg(test)]\nuse std::x;"),
            [0; 0]
        );
    }

    #[test]
    fn a_foreign_atomic_is_found() {
        let text = "use std::sync::{Arc, atomic::AtomicU8};\nuse core::sync::atomic;\n\
            fn f() { loom::model() }\nuse crate::sync::{AtomicU8, loom::x};\n#[cfg(loom)]\nmod x {}\n\
            use shuttle::sync;\n";
        assert_eq!(faults(atomics_come_from_sync, "src/park.rs", text), [1, 2, 3, 7]);
        assert_eq!(atomics_come_from_sync(&[Source::new("src/sync.rs", text)]).seen(), 0);
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(faults(files_are_short, "src/a.rs", &"\n".repeat(401)), [1]);
        assert_eq!(faults(files_are_short, "src/a.rs", &"\n".repeat(400)), [0; 0]);
    }

    #[test]
    fn a_long_function_is_found() {
        let of = |lines: usize| {
            format!(
                "#[x]\nfn f<A>()\nwhere A: B {{\n{}}}\nfn g();\nfn h() {{}}",
                "a;\n".repeat(lines - 3)
            )
        };
        assert_eq!(faults(functions_are_short, "tests/a.rs", &of(41)), [2]);
        assert_eq!(faults(functions_are_short, "tests/a.rs", &of(40)), [0; 0]);
    }

    #[test]
    fn an_empty_name_is_found() {
        let rule = module_names_say_something;
        assert_eq!(faults(rule, "src/task/util.rs", ""), [1]);
        assert_eq!(faults(rule, "tests/common/mod.rs", ""), [1]);
        assert_eq!(faults(rule, "src/a.rs", "fn f() {}\npub(crate) mod types {}\nmod x;"), [2]);
    }
}
