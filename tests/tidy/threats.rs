//! Each row of the tables of `docs/assurance.md` names a test, and each test that it names exists; the table of the
//! models names models and faults that exist; the instructions in `benches/counts.md` are those that were counted.

use crate::source::{Function, Source};
use crate::verdict::Verdict;

/// Where the tables are.
pub(crate) const NOTES: &str = "docs/assurance.md";
/// Where the costs of each operation are.
pub(crate) const COSTS: &str = "benches/counts.md";
/// The sections that the tables are in.
const SECTIONS: [&str; 6] = [
    "## What hostile code can do",
    "## Faults from outside",
    "## Counters and their ends",
    "## Faults found here",
    "## Bounds",
    "## Faults of other executors",
];
/// Where the table of the models is, in the head of the file.
const MODELS: &str = "tests/loom.rs";

/// Every section in `notes` has its table, and every row names a test in its last column, and only tests that there are.
pub(crate) fn threats_are_shown(notes: &str, sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    let tests: Vec<String> = sources.iter().flat_map(tests).collect();
    for section in SECTIONS {
        let has_rows = rows(notes, section).next().is_some();
        verdict.look(NOTES, 1, has_rows, format!("no table under \"{section}\""));
    }
    for (line, row) in SECTIONS.into_iter().flat_map(|section| rows(notes, section)) {
        let named = named(row, 1);
        verdict.look(NOTES, line, !named.is_empty(), "a row without a test");
        for name in named {
            let kept = tests.iter().any(|test| test == name);
            verdict.look(NOTES, line, kept, format!("there is no test {name}"));
        }
    }
    verdict
}

/// Every model has a row in the table of `head`, and every row a model and a fault of it that there is, among `faults`,
/// which are names with their models; and the `notes` say how many there are.
pub(crate) fn models_are_listed(
    head: &str,
    notes: &str,
    faults: &[(String, String)],
    sources: &[Source],
) -> Verdict {
    let mut verdict = Verdict::default();
    let models = sources.iter().filter(|source| source.path.starts_with("tests/loom/"));
    let models: Vec<String> = models.flat_map(tests).collect();
    for count in [format!("| {} models |", models.len()), format!("| {} patches |", faults.len())] {
        verdict.look(NOTES, 1, notes.contains(&count), format!("it should say {count}"));
    }
    let table =
        (1..).zip(head.lines()).filter_map(|(at, line)| Some((at, line.strip_prefix("//! |")?)));
    let table: Vec<_> = table.skip(2).collect();
    for (line, row) in &table {
        look_at_row(&mut verdict, *line, row, faults, &models);
    }
    for model in models {
        let name = format!("`{}`", model.trim_start_matches("loom::"));
        let kept = table.iter().any(|(_, row)| row.contains(&name));
        verdict.look(MODELS, 1, kept, format!("no row for {name}"));
    }
    verdict
}

/// The row of each operation in `costs` ends with its number of instructions in `counts`.
pub(crate) fn counts_are_shown(counts: &str, costs: &str) -> Verdict {
    let mut verdict = Verdict::default();
    for (line, text) in (1..).zip(counts.lines()).skip(1) {
        let (name, count) = text.split_once(' ').unwrap_or((text, ""));
        let (begin, end) = (format!("| `{name}` "), format!(" | {} |", count.trim()));
        let kept = costs.lines().any(|row| row.starts_with(&begin) && row.ends_with(&end));
        verdict.look("benches/counts.txt", line, kept, format!("{COSTS} does not say so"));
    }
    verdict
}

/// A row of the table of the models names a model and a fault, and only such that there are.
fn look_at_row(
    verdict: &mut Verdict,
    line: usize,
    row: &str,
    faults: &[(String, String)],
    models: &[String],
) {
    let (of, with) = (named(row, 2), named(row, 1));
    verdict.look(
        MODELS,
        line,
        !of.is_empty() && !with.is_empty(),
        "a row without a model or a fault",
    );
    for name in &of {
        let kept = models.iter().any(|model| model.strip_prefix("loom::") == Some(*name));
        verdict.look(MODELS, line, kept, format!("there is no model {name}"));
    }
    for name in with {
        let kept =
            faults.iter().any(|(fault, model)| fault == name && of.contains(&model.as_str()));
        verdict.look(MODELS, line, kept, format!("there is no fault {name} of this model"));
    }
}

/// What a row names in its last column but so many, counted from 1.
fn named(row: &str, from_last: usize) -> Vec<&str> {
    let column = row.trim_end_matches('|').rsplit('|').nth(from_last - 1).unwrap_or("");
    column.split('`').skip(1).step_by(2).collect()
}

/// The rows of a section's table, below its head, each with its line.
fn rows<'a>(notes: &'a str, section: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let lines = (1..).zip(notes.lines()).skip_while(move |(_, line)| *line != section).skip(1);
    let lines = lines.take_while(|(_, line)| !line.starts_with("## "));
    lines.map(|(at, line)| (at, line.trim())).filter(|(_, line)| line.starts_with('|')).skip(2)
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
        let faults = verdict.faults().iter().filter(|(_, line, _)| *line > 1);
        faults.map(|(_, line, _)| *line).collect()
    }

    #[test]
    fn a_section_without_a_table_is_found() {
        let notes = format!("{HEAD}| a | `one` |\n\n## Bounds\n\nNone.\n");
        let verdict = threats_are_shown(&notes, &[Source::new("tests/one.rs", "")]);
        let missing = verdict.faults().iter().filter(|(_, line, _)| *line == 1);
        assert_eq!(missing.count(), SECTIONS.len() - 1);
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
    fn a_model_without_a_row_and_a_row_without_a_model_are_found() {
        let wakes =
            Source::new("tests/loom/wakes.rs", "#[test]\nfn one() {}\n#[test]\nfn two() {}");
        let head = "//! | p | m | f |\n//! |---|---|---|\n//! | a | `wakes::one` | `x` |\n\
                    //! | b | `wakes::three` | `x` |\n//! | c | `wakes::one` | `y` |\n//! | d | | `x` |\n";
        let notes = "| 2 models | 7 patches |";
        let fault = ("x".to_owned(), "wakes::one".to_owned());
        let verdict = models_are_listed(head, notes, &[fault], &[wakes]);
        let faults: Vec<_> = verdict.faults().iter().map(|(_, line, _)| *line).collect();
        assert_eq!(faults, [1, 4, 4, 5, 6, 6, 1]);
    }

    #[test]
    fn a_count_that_is_not_shown_is_found() {
        let notes = "| `a` this | 0 | 12 |\n| `b` that | 12 | 0 |";
        let verdict = counts_are_shown("head\na    12\nb    12\nc 0\n", notes);
        assert_eq!(verdict.faults().iter().map(|(_, line, _)| *line).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn tests_of_both_kinds_are_known() {
        assert_eq!(faults("| a | `turns::idle::one`, `task::tests::three` |"), [0; 0]);
    }
}
