//! Each rule of the semantics is checked by a test that names it.
//!
//! A test names a rule, say M4, by a part of its name (`m4_a_past_deadline_yields_once`) or by a word in the first
//! line of its documentation or of the comment that begins its body.

use crate::lexer::Kind;
use crate::source::{Function, Source};
use crate::verdict::Verdict;

/// The rules that must have a test: a letter, and the numbers under it.
const RULES: [(&str, &[u8]); 12] = [
    ("S", &[1, 2, 3]),
    ("P", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("W", &[1, 2, 3, 4, 5, 6]),
    ("T", &[1, 2, 3, 4, 5, 6, 7]),
    ("J", &[1, 2, 3, 4, 5, 6]),
    ("C", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("X", &[1, 2, 3]),
    ("H", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("M", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13]),
    ("G", &[1, 2]),
    ("O", &[1, 2]),
    ("N", &[1, 2, 3, 4, 5, 6, 7]),
];

/// Every rule is named by a test of `tests/it` or `tests/io`, or by a model of `tests/loom`.
pub(crate) fn rules_are_tested(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    let tests: Vec<String> = sources.iter().filter(checks_semantics).flat_map(claims).collect();
    for (letter, numbers) in RULES {
        for number in numbers {
            let rule = format!("{letter}{number}");
            let kept = tests.iter().any(|claim| names(claim, &rule));
            verdict.look("tests/it", 1, kept, format!("no test names {rule}"));
        }
    }
    verdict
}

fn checks_semantics(source: &&Source) -> bool {
    let path = source.path.as_str();
    let folders = ["tests/it/", "tests/io/", "tests/loom/"];
    folders.iter().any(|folder| path.starts_with(folder)) || path == "tests/loom.rs"
}

/// What each test of the file says of itself: its name and the first line of its documentation or body.
fn claims(source: &Source) -> Vec<String> {
    let tests = source.functions().into_iter().filter(|function| is_test(source, function));
    tests.map(|test| format!("{} {}", test.name, first_lines(source, &test))).collect()
}

fn is_test(source: &Source, function: &Function) -> bool {
    source.attributes(function.at).into_iter().any(|attribute| {
        let last = attribute.clone().take_while(|at| source.text(*at) != "(").last();
        last.is_some_and(|at| source.text(at) == "test")
    })
}

/// The first line of documentation above, and of the comment that begins the body.
fn first_lines(source: &Source, test: &Function) -> String {
    let docs = source.docs(test.at);
    let body = source.line(source.twin(test.end)) + 1;
    let comment =
        source.comments_in(body..=body).find(|c| c.kind == Kind::Comment && c.line == body);
    let inside = comment.map_or("", |comment| comment.text.lines().next().unwrap_or(""));
    format!("{} {inside}", docs.lines().next().unwrap_or(""))
}

/// Is `rule` one of the words of `claim`, whatever its case?
fn names(claim: &str, rule: &str) -> bool {
    let mut words = claim.split(|c: char| !c.is_alphanumeric());
    words.any(|word| word.eq_ignore_ascii_case(rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules that nothing names, were `text` the file at `path`.
    fn missing(path: &str, text: &str) -> Vec<String> {
        let verdict = rules_are_tested(&[Source::new(path, text)]);
        verdict.faults().iter().map(|(_, _, what)| what.replace("no test names ", "")).collect()
    }

    fn all() -> usize {
        RULES.iter().map(|(_, numbers)| numbers.len()).sum()
    }

    fn is_missing(rule: &str, text: &str) -> bool {
        missing("tests/it/seed.rs", text).iter().any(|name| name == rule)
    }

    #[test]
    fn a_rule_without_a_test_is_found() {
        assert_eq!(missing("tests/it/main.rs", "").len(), all());
        assert!(is_missing("M4", "#[test]\nfn m_4_m44_of() {\n    a();\n    // M4\n}"));
        assert!(is_missing("M4", "/// M4: a helper is no test.\nfn m4() {}"));
        assert!(is_missing("M4", "/// One.\n/// M4: two.\n#[test]\nfn f() {}"));
        assert!(is_missing("M4", "#[cfg(test)]\nfn m4() {}\n// #[test] fn m4() {}"));
        assert_eq!(missing("tests/tidy.rs", "#[test]\nfn m4() {}").len(), all());
    }

    #[test]
    fn a_rule_may_be_named_in_several_ways() {
        for text in [
            "#[test]\nfn m4_and_m5_hold() {}",
            "/// Rules M4, M5.\n#[test]\nfn f() {}",
            "proptest! {\n    #[test]\n    fn f(x in 0..5) {\n        // M4/M5: both.\n        g();\n    }\n}",
            "#[should_panic]\n#[tokio::test(flavor = 1)]\nasync fn late_m4() {} #[test] fn m5() {}",
        ] {
            assert!(!is_missing("M4", text) && !is_missing("M5", text), "{text}");
            assert_eq!(missing("tests/loom.rs", text).len(), all() - 2, "{text}");
        }
    }
}
