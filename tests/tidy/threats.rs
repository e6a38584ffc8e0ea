//! The table of threats in the design notes names a test in each of its rows, and each test that it names is one.

use crate::source::{Function, Source};
use crate::verdict::Verdict;

/// Where the table is.
pub(crate) const NOTES: &str = "src/design.md";
/// The section that it is in.
const SECTION: &str = "## What hostile code can do";

/// Every row of the table in `notes` names a test in its last column, and only tests that there are.
pub(crate) fn threats_are_shown(notes: &str, sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    let tests: Vec<String> = sources.iter().flat_map(tests).collect();
    for (line, row) in rows(notes) {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or("");
        let named: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        verdict.look(NOTES, line, !named.is_empty(), "a row without a test");
        for name in named {
            let kept = tests.iter().any(|test| test == name);
            verdict.look(NOTES, line, kept, format!("there is no test {name}"));
        }
    }
    verdict
}

/// The rows of the section's table, below its head, each with its line.
fn rows(notes: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(notes.lines()).skip_while(|(_, line)| *line != SECTION).skip(1);
    let section = lines.take_while(|(_, line)| !line.starts_with("## "));
    section.map(|(at, line)| (at, line.trim())).filter(|(_, line)| line.starts_with('|')).skip(2)
}

/// The tests of a file as their binary calls them: `turns::idle::one` for one in `tests/it/turns/idle.rs`.
fn tests(source: &Source) -> Vec<String> {
    let path = source.path.trim_end_matches(".rs");
    let module = match path.split_once('/') {
        Some(("tests", inner)) => inner.trim_start_matches("it/"),
        Some(("src", inner)) => inner,
        _ => return Vec::new(),
    };
    let module = module.replace('/', "::");
    let tests = source.functions().into_iter().filter(|function| is_test(source, function));
    tests.map(|test| format!("{module}::{}", test.name)).collect()
}

fn is_test(source: &Source, function: &Function) -> bool {
    source.attributes(function.at).into_iter().any(|attribute| source.has(attribute, "test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOVE: &str = "# A\n\n| x | y |\n|---|---|\n| of another table | `none` |\n\n";
    const HEAD: &str = "## What hostile code can do\n\n| code | shown by |\n|---|---|\n";

    /// The lines with a fault, were `table` the rows of the table.
    fn faults(table: &str) -> Vec<usize> {
        let idle = Source::new("tests/it/turns/idle.rs", "#[test]\nfn one() {}\nfn two() {}");
        let state = Source::new("src/task/tests.rs", "#[test]\nfn three() {}");
        let notes = format!("{ABOVE}{HEAD}{table}\n## Next\n| `four` |\n");
        let verdict = threats_are_shown(&notes, &[idle, state]);
        verdict.faults().iter().map(|(_, line, _)| *line).collect()
    }

    #[test]
    fn a_row_without_a_test_is_found() {
        assert_eq!(faults("| a `turns::idle::one` | none |\n| b | `turns::idle::one` |"), [11]);
    }

    #[test]
    fn a_test_that_is_none_is_found() {
        assert_eq!(faults("| a | `turns::idle::two` |\n| b | `idle::one`, `one` |"), [11, 12, 12]);
    }

    #[test]
    fn tests_of_both_kinds_are_known() {
        assert_eq!(faults("| a | `turns::idle::one`, `task::tests::three` |"), [0; 0]);
    }
}
