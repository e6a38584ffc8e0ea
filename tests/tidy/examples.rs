//! The rule that what a user may call or name is shown at work.

use std::collections::HashMap;

use crate::layout::in_src;
use crate::source::Source;
use crate::verdict::Verdict;

/// Keywords that may stand between `pub` and the keyword of an item.
const QUALIFIERS: &str = "async const unsafe";
/// Keywords of the items that need an example.
const ITEMS: &str = "fn struct enum union trait type";
/// No part of the documented surface.
const EXEMPT: &str = "src/fuzzing.rs";

/// Every public function and type has an example. A method may be shown by a call in an example of its type,
/// or of another of the type's methods, instead.
pub(crate) fn what_is_public_is_shown(sources: &[Source]) -> Verdict {
    let surface = |source: &&Source| in_src(source) && source.path != EXEMPT;
    let mut shown: HashMap<String, String> = HashMap::new();
    for source in sources.iter().filter(surface) {
        for at in public_items(source) {
            let of = type_of(source, at).unwrap_or_else(|| source.text(at + 1).to_string());
            *shown.entry(of).or_default() += &example(&source.docs(at));
        }
    }
    let mut verdict = Verdict::default();
    for source in sources.iter().filter(surface) {
        for at in public_items(source) {
            let name = source.text(at + 1);
            let by_others = type_of(source, at).is_some_and(|of| calls(&shown[&of], name));
            let kept = by_others || !example(&source.docs(at)).is_empty();
            verdict.look(&source.path, source.line(at), kept, format!("`{name}` has no example"));
        }
    }
    verdict
}

/// The keywords of the public items that are not for tests only.
fn public_items(source: &Source) -> Vec<usize> {
    let is_one_of = |list: &str, at: usize| list.split(' ').any(|word| word == source.text(at));
    let public = source.find(&["pub"]).filter(|at| !source.is_test(*at));
    public
        .map(|mut at| {
            at += 1;
            while is_one_of(QUALIFIERS, at) && source.text(at + 1) != "{" {
                at += 1;
            }
            at
        })
        .filter(|at| is_one_of(ITEMS, *at))
        .collect()
}

/// The type that the function at `at` is a method of.
fn type_of(source: &Source, at: usize) -> Option<String> {
    let open = source.enclosing(at).filter(|_| source.text(at) == "fn")?;
    let mut at = source.after_attributes(source.statement_start(open));
    if source.text(at) != "impl" {
        return None;
    }
    let mut depth = 0;
    loop {
        at += 1;
        match source.text(at) {
            "<" => depth += 1,
            ">" => depth -= 1,
            _ if depth == 0 => return Some(source.text(at).to_string()),
            _ => {}
        }
    }
}

/// The code that is shown in a documentation.
fn example(docs: &str) -> String {
    let mut shown = String::new();
    let mut is_code = false;
    for line in docs.lines().map(|line| line.trim_start_matches([' ', '/'])) {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            shown.push_str(line);
            shown.push('\n');
        }
    }
    shown
}

/// Does this code call the method `name`?
fn calls(code: &str, name: &str) -> bool {
    let ends = ["(", "::<"];
    [".", "::"].iter().any(|dot| ends.iter().any(|end| code.contains(&format!("{dot}{name}{end}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::faults;

    #[test]
    fn what_is_not_shown_is_found() {
        let text = "/// A.\npub struct A;\n/// B.\n/// ```\n/// b();\n/// ```\npub const fn b() {}\n\
            pub(crate) fn c() {}\n#[cfg(test)]\npub fn d() {}\n/// `e()`\npub type E = u8;";
        assert_eq!(faults(what_is_public_is_shown, "src/a.rs", text), [2, 12]);
    }

    #[test]
    fn a_method_may_be_shown_by_its_type() {
        let text = "/// ```\n/// A::new().b::<u8>();\n/// // x.d() \n/// ```\npub struct A<T>(T);\n\
            impl<T: Into<u8>> A<T> {\n    pub fn new() {}\n    pub fn b<U>() {}\n    /// e()\n    pub fn c() {}\n}\n\
            impl B {\n    pub fn new() {}\n}";
        assert_eq!(faults(what_is_public_is_shown, "src/a.rs", text), [10, 13]);
    }
}
