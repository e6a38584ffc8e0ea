//! Each rule of `docs/semantics.md` is checked by a test that names it, and tests name no other rules.
//!
//! A test names a rule, say M4, by a part of its name (`m4_a_past_deadline_yields_once`) or by a word in the first
//! line of its documentation or of the comment that begins its body. A rule in the file is a list item that begins with
//! its number in bold.

use crate::lexer::Kind;
use crate::source::{Function, Source};
use crate::verdict::Verdict;

/// Where the rules are.
pub(crate) const RULES: &str = "docs/semantics.md";
/// The section of the rules that no test can show yet.
const NOT_BUILT: &str = "## Promised, not built yet";

/// A rule with its line.
struct Rule<'a> {
    name: &'a str,
    line: usize,
    is_built: bool,
}

/// What a test says of itself.
struct Claim {
    path: String,
    line: usize,
    name: String,
    first_lines: String,
}

/// Each rule in `text` is there once and is named by a test of `tests/it` or `tests/io`, or by a model of `tests/loom`;
/// those that are not built are named by none. No test cites a rule that is not in `text`.
pub(crate) fn rules_are_tested(text: &str, sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    let rules = rules(text);
    let claims: Vec<Claim> = sources.iter().filter(checks_semantics).flat_map(claims).collect();
    for (n, rule) in rules.iter().enumerate() {
        let is_new = rules[..n].iter().all(|other| other.name != rule.name);
        verdict.look(RULES, rule.line, is_new, format!("there are two rules {}", rule.name));
        let is_tested = claims.iter().any(|claim| claim.names(rule.name));
        let fault = if rule.is_built { "no test names" } else { "tested, but not as built:" };
        verdict.look(
            RULES,
            rule.line,
            is_tested == rule.is_built,
            format!("{fault} {}", rule.name),
        );
    }
    for claim in &claims {
        for cited in
            claim.citations().filter(|cited| rules.iter().any(|rule| rule.has_letter_of(cited)))
        {
            let is_rule = rules.iter().any(|rule| rule.name == cited);
            verdict.look(&claim.path, claim.line, is_rule, format!("{RULES} has no rule {cited}"));
        }
    }
    verdict
}

/// The rules of the file, in their order.
fn rules(text: &str) -> Vec<Rule<'_>> {
    let mut is_built = true;
    let mut rules = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.starts_with("## ") {
            is_built = text != NOT_BUILT;
        }
        let item = text.strip_prefix("- **").and_then(|item| item.split_once("** "));
        if let Some((name, _)) = item.filter(|(name, _)| is_number(name)) {
            rules.push(Rule { name, line, is_built });
        }
    }
    rules
}

/// Has `word` the form of a rule's number: a letter, and one or two digits?
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or("");
    matches!(digits.len(), 1 | 2) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl Rule<'_> {
    /// A word such as `I4` cites no rule where no rule has that letter.
    fn has_letter_of(&self, number: &str) -> bool {
        self.name[..1] == number[..1]
    }
}

impl Claim {
    /// Is `rule` one of the words, whatever its case?
    fn names(&self, rule: &str) -> bool {
        let mut words = words(&self.name).chain(words(&self.first_lines));
        words.any(|word| word.eq_ignore_ascii_case(rule))
    }

    /// What has the form of a rule's number, at the beginning of the name or anywhere in the lines.
    fn citations(&self) -> impl Iterator<Item = String> {
        let of_name =
            self.name.split('_').map(str::to_uppercase).take_while(|word| is_number(word));
        let of_lines = words(&self.first_lines).filter(|word| is_number(word)).map(str::to_owned);
        of_name.chain(of_lines)
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
}

fn checks_semantics(source: &&Source) -> bool {
    let path = source.path.as_str();
    let folders = ["tests/it/", "tests/io/", "tests/loom/"];
    folders.iter().any(|folder| path.starts_with(folder)) || path == "tests/loom.rs"
}

/// What each test of the file says of itself: its name and the first line of its documentation or body.
fn claims(source: &Source) -> Vec<Claim> {
    let tests = source.functions().into_iter().filter(|function| is_test(source, function));
    let claim = |test: Function| Claim {
        path: source.path.clone(),
        line: source.line(test.at),
        first_lines: first_lines(source, &test),
        name: test.name,
    };
    tests.map(claim).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# Rules\n\nM1 is none, nor is\n- M2, or\n- **I4 (loop only)** this.\n\n\
                        ## Time\n\n- **M4** One\n  paragraph: M7.\n- **M5** Another.\n- **X11** Last.\n\n\
                        ## Promised, not built yet\n\n- **M12** One day.\n";
    const ALL: [&str; 3] = ["no test names M4", "no test names M5", "no test names X11"];

    /// The faults, were `text` the file at `path`.
    fn faults(path: &str, text: &str) -> Vec<String> {
        let verdict = rules_are_tested(FILE, &[Source::new(path, text)]);
        verdict.faults().iter().map(|(_, _, what)| what.clone()).collect()
    }

    fn is_missing(rule: &str, text: &str) -> bool {
        faults("tests/it/seed.rs", text).contains(&format!("no test names {rule}"))
    }

    #[test]
    fn a_rule_without_a_test_is_found() {
        assert_eq!(faults("tests/it/main.rs", ""), ALL);
        assert!(is_missing("M4", "#[test]\nfn m_4_m44_of() {\n    a();\n    // M4\n}"));
        assert!(is_missing("M4", "/// M4: a helper is no test.\nfn m4() {}"));
        assert!(is_missing("M4", "/// One.\n/// M4: two.\n#[test]\nfn f() {}"));
        assert!(is_missing("M4", "#[cfg(test)]\nfn m4() {}\n// #[test] fn m4() {}"));
        assert_eq!(faults("tests/tidy.rs", "#[test]\nfn m4() {}"), ALL);
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
            assert_eq!(faults("tests/loom.rs", text), ALL[2..], "{text}");
        }
    }

    #[test]
    fn a_fault_in_a_rule_has_its_line() {
        let twice = format!("{FILE}\n## Time again\n\n- **M4** Other words.\n");
        let verdict = rules_are_tested(&twice, &[]);
        let lines: Vec<_> =
            verdict.faults().iter().map(|(path, line, _)| (path.as_str(), *line)).collect();
        assert_eq!(lines, [(RULES, 9), (RULES, 11), (RULES, 12), (RULES, 20), (RULES, 20)]);
    }

    #[test]
    fn a_rule_that_is_tested_is_built() {
        let text = "/// M4, M5, X11, M12.\n#[test]\nfn f() {}";
        assert_eq!(faults("tests/it/seed.rs", text), ["tested, but not as built: M12"]);
    }

    #[test]
    fn a_rule_that_is_none_is_found() {
        let all = "/// M4, M5, X11.\n#[test]\nfn f() {}\n";
        for (text, fault) in [
            ("#[test]\nfn m4_m6_hold() {}", "M6"),
            ("/// M4: as X1 has it.\n#[test]\nfn f() {}", "X1"),
            ("#[test]\nfn f() {\n    // M44 at once.\n}", "M44"),
        ] {
            let fault = format!("{RULES} has no rule {fault}");
            assert_eq!(faults("tests/it/seed.rs", &format!("{all}{text}")), [fault], "{text}");
        }
        // No citations: letters of no rule, other forms of words, and words later in a name.
        for text in [
            "/// I4, an x86 and M400: nothing of M4.\n#[test]\nfn f() {}",
            "#[test]\nfn an_m6_bolt_and_x86() {}\n#[test]\nfn m() {}",
        ] {
            assert_eq!(faults("tests/it/seed.rs", &format!("{all}{text}")), [""; 0], "{text}");
        }
    }
}
