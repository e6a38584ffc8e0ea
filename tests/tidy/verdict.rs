//! What a rule returns, and how it fails.

use crate::source::Source;

/// How much a rule looked at, and where it was broken.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    seen: usize,
    faults: Vec<(String, usize, String)>,
}

impl Verdict {
    /// Counts one thing looked at, and the fault at `line` of `path` unless it is `kept`.
    pub(crate) fn look(&mut self, path: &str, line: usize, kept: bool, fault: impl Into<String>) {
        self.seen += 1;
        if !kept {
            self.faults.push((path.to_string(), line, fault.into()));
        }
    }

    /// How much was looked at.
    pub(crate) fn seen(&self) -> usize {
        self.seen
    }

    /// Path, line and description of each fault.
    pub(crate) fn faults(&self) -> &[(String, usize, String)] {
        &self.faults
    }

    /// Panics with every fault; also if nothing was looked at, for a check that ran nothing has failed.
    #[track_caller]
    pub(crate) fn demand(&self) {
        assert!(self.seen > 0, "the rule looked at nothing");
        let faults: Vec<String> =
            self.faults.iter().map(|(path, line, what)| format!("{path}:{line}: {what}")).collect();
        let (count, seen) = (faults.len(), self.seen);
        assert!(faults.is_empty(), "{count} faults in {seen} places:\n{}", faults.join("\n"));
    }
}

/// A rule over the sources of the package.
pub(crate) type Rule = fn(&[Source]) -> Verdict;

/// The lines that `rule` finds fault with in `text`, were it the file at `path`.
pub(crate) fn faults(rule: Rule, path: &str, text: &str) -> Vec<usize> {
    let verdict = rule(&[Source::new(path, text)]);
    assert!(verdict.seen > 0, "the rule looked at nothing in {text:?}");
    verdict.faults.into_iter().map(|(_, line, _)| line).collect()
}
