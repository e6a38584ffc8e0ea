//! Rules of what only a comment can prove: `unsafe`, and the orderings of atomics.

use crate::layout::in_src;
use crate::source::Source;
use crate::verdict::Verdict;

const ORDERINGS: [&str; 5] = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
/// How far above an atomic operation its ORDERING comment may begin.
const ORDERING_REACH: usize = 12;

/// `unsafe`, and the leave to use it, stay on the task floor.
pub(crate) fn unsafe_stays_on_the_task_floor(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    for source in sources.iter().filter(in_src) {
        let home = source.path == "src/task.rs" || source.path.starts_with("src/task/");
        verdict.look(&source.path, 1, true, "");
        for at in source.find(&["unsafe"]).chain(allowances(source)) {
            verdict.look(&source.path, source.line(at), home, source.text(at));
        }
    }
    verdict
}

/// Where the lint `unsafe_code` is allowed, or made less than an error.
fn allowances(source: &Source) -> impl Iterator<Item = usize> + '_ {
    source.find(&["unsafe_code"]).filter(|at| {
        let open = source.enclosing(*at).unwrap_or(0);
        matches!(source.before(open), "allow" | "expect" | "warn")
    })
}

/// Every unsafe block, impl and extern block has a SAFETY comment on it or directly above it or its statement.
pub(crate) fn unsafe_is_justified(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    for source in sources {
        for at in source.find(&["unsafe"]).filter(|at| uses_promise(source, *at)) {
            let lines = [at, source.statement_start(at)].map(|at| source.line(at));
            let kept = lines.iter().any(|line| source.is_tagged_above(*line, "SAFETY:"));
            verdict.look(&source.path, lines[0], kept, "unsafe without a SAFETY comment");
        }
    }
    verdict
}

/// Is this `unsafe` a block, an impl or an extern block, and not a function or its type?
fn uses_promise(source: &Source, at: usize) -> bool {
    let extern_block = source.text(at + 1) == "extern" && source.text(at + 3) == "{";
    matches!(source.text(at + 1), "{" | "impl") || extern_block
}

/// Every unsafe function says in a `# Safety` section what it demands, unless it implements a trait's.
pub(crate) fn unsafe_functions_state_their_demands(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    for source in sources {
        for function in source.functions() {
            let head = source.after_attributes(source.statement_start(function.at));
            if source.has(head..function.at, "unsafe") {
                let documented = source.docs(function.at).contains("# Safety");
                let kept = documented || implements_a_trait(source, function.at);
                let fault = format!("`{}` has no `# Safety` section", function.name);
                verdict.look(&source.path, source.line(function.at), kept, fault);
            }
        }
    }
    verdict
}

/// Does the function stand in an `impl Trait for Type`?
fn implements_a_trait(source: &Source, at: usize) -> bool {
    let around = source.enclosing(at).unwrap_or(0);
    source.find(&["impl"]).any(|head| {
        let body = (head..around).find(|at| source.text(*at) == "{");
        let mut fors = (head..around).filter(|at| source.text(*at) == "for");
        head < around && body.is_none() && fors.any(|at| source.text(at + 1) != "<")
    })
}

/// Every ordering that the library passes on is argued for in an ORDERING comment just above, in the same function.
pub(crate) fn orderings_are_argued(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    for source in sources.iter().filter(in_src) {
        let used = |at: &usize| is_ordering(source, *at) && !source.is_test(*at);
        for at in (0..source.len()).filter(used) {
            let line = source.line(at);
            let begin = source.function_of(at).map_or(1, |f| source.line(f.at));
            let reach = begin.max(line.saturating_sub(ORDERING_REACH))..=line;
            let kept = source.is_tagged(reach, "ORDERING:");
            let fault = format!("{} without an ORDERING comment", source.text(at));
            verdict.look(&source.path, line, kept, fault);
        }
    }
    verdict
}

/// Is this the name of an ordering, in use: after `Ordering::`, or alone as an argument?
fn is_ordering(source: &Source, at: usize) -> bool {
    let qualified = source.before(at) == "::" && at >= 2 && source.text(at - 2) == "Ordering";
    let alone = matches!(source.before(at), "(" | ",") && matches!(source.text(at + 1), ")" | ",");
    let imported = || source.has(source.statement_start(at)..at, "use");
    ORDERINGS.contains(&source.text(at)) && (qualified || alone) && !imported()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::faults;

    const CELL: &str = "src/task/cell.rs";

    #[test]
    fn unsafe_outside_the_task_floor_is_found() {
        let text = "//! unsafe\n#![allow(dead_code, unsafe_code)]\nunsafe impl Send for X {}\n\
            fn f() {\n    unsafe { g(\"unsafe\") }\n}\nunsafe fn h() {}\n#[expect(unsafe_code)]\nmod x;";
        let mut found = faults(unsafe_stays_on_the_task_floor, "src/park.rs", text);
        found.sort_unstable();
        assert_eq!(found, [2, 3, 5, 7, 8]);
        assert_eq!(faults(unsafe_stays_on_the_task_floor, CELL, text), [0; 0]);
        assert_eq!(faults(unsafe_stays_on_the_task_floor, "src/tasks.rs", "unsafe {}"), [1]);
        let deny = "#![deny(unsafe_code)] // unsafe\n";
        assert_eq!(faults(unsafe_stays_on_the_task_floor, "src/lib.rs", deny), [0; 0]);
    }

    #[test]
    fn unsafe_without_a_reason_is_found() {
        for bad in [
            "fn f() {\n    unsafe { g() }\n}",
            "fn f() {\n    // SAFETY: too far.\n\n    unsafe { g() }\n}",
            "fn f() {\n    // SAFETY: of another.\n    a();\n    unsafe { g() }\n}",
            "/// SAFETY: this is documentation.\nunsafe impl Send for X {}",
            "fn f() {\n    g(\"// SAFETY: in a string\", unsafe { g() })\n}",
            "// SAFETY: of the outer one.\nfn f() {\n    let x = || {\n        unsafe { g() }\n    };\n}",
        ] {
            assert_eq!(faults(unsafe_is_justified, CELL, bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn unsafe_with_a_reason_is_left_alone() {
        for good in [
            "fn f() {\n    // SAFETY: a reason\n    // of two lines.\n    unsafe { g() }\n}",
            "fn f() {\n    // SAFETY: of the statement.\n    let x =\n        a(b, unsafe { g() });\n}",
            "// SAFETY: above the attribute.\n#[allow(\n    unsafe_code\n)]\nunsafe impl Send for X {}",
            "fn f() {\n    unsafe { g() } // SAFETY: on the line.\n}",
            "fn f() {\n    match x {\n        // SAFETY: of the arm.\n        A => unsafe { g() },\n    }\n}",
            "fn f() {\n    /* SAFETY: a block. */\n    #[x]\n    let x: unsafe fn() = unsafe { g() };\n}",
        ] {
            assert_eq!(faults(unsafe_is_justified, CELL, good), [0; 0], "{good}");
        }
    }

    #[test]
    fn an_unsafe_function_without_demands_is_found() {
        let text = "/// # Safety\n///\n/// Live.\n#[inline]\npub(crate) unsafe fn f() {}\n\
            /// Does.\nunsafe extern \"C\" fn g() {}\nunsafe impl<'a> A for B {\n    unsafe fn h() {}\n}\n\
            impl B {\n    unsafe fn i(x: unsafe fn()) {}\n}\nimpl F<dyn for<'a> G> {\n    unsafe fn j() {}\n}\n";
        assert_eq!(faults(unsafe_functions_state_their_demands, CELL, text), [7, 12, 15]);
    }

    #[test]
    fn an_ordering_without_an_argument_is_found() {
        let far = "\n".repeat(13);
        let text = format!(
            "use x::{{Acquire, Release}};\nfn f() {{\n    // ORDERING: Acquire, with g.\n    a.swap(1,\n\
             Ordering::AcqRel, Acquire);\n}}\nfn g() {{\n    b.load(Ordering::SeqCst);\n{far}b.load(Relaxed)\n}}\n\
             fn h() {{ cmp::Ordering::Less; Release {{}} }}\n#[cfg(test)]\nmod t {{ fn f() {{ a(Relaxed) }} }}"
        );
        assert_eq!(faults(orderings_are_argued, CELL, &text), [8, 22]);
    }

    #[test]
    fn an_argument_counts_in_its_function_only() {
        let text = "fn f() {\n    // ORDERING: x.\n}\nfn g() {\n    a.load(Relaxed)\n}";
        assert_eq!(faults(orderings_are_argued, CELL, text), [5]);
    }
}
