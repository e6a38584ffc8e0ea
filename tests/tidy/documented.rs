//! Rules of what is written down, and of what must not be left behind.

use std::collections::HashSet;

use crate::layout::in_src;
use crate::lexer::Kind;
use crate::source::Source;
use crate::verdict::Verdict;

/// Keywords that may stand between `pub` and the keyword of an item.
const QUALIFIERS: &str = "async const unsafe extern";
/// Keywords of the items that need documentation.
const ITEMS: &str = "fn struct enum union trait type static macro";
/// Macros of unfinished work.
const UNFINISHED: &str = "todo unimplemented dbg";
/// Macros that a library leaves to its user.
const PRINTING: &str = "print println eprint eprintln";
/// Words that put something off.
const PUT_OFF: [&str; 3] = ["TODO", "FIXME", "XXX"];

fn is_one_of(list: &str, word: &str) -> bool {
    list.split(' ').any(|name| name == word)
}

/// The public item whose `pub` is at `at`: its keyword; of a constant or a field its name.
fn public_item(source: &Source, at: usize) -> Option<usize> {
    let mut next = at + 1;
    while is_one_of(QUALIFIERS, source.text(next)) || source.text(next).starts_with('"') {
        next += 1;
    }
    let module = source.text(next) == "mod" && source.text(next + 2) == "{";
    let named = source.is_word(next) && source.text(next + 1) == ":";
    (is_one_of(ITEMS, source.text(next)) || module || named).then_some(next)
}

/// The public items of the library that are not for tests only.
fn public_items(source: &Source) -> Vec<usize> {
    let public = source.find(&["pub"]).filter(|at| !source.is_test(*at));
    public.filter_map(|at| public_item(source, at)).collect()
}

/// Every public item and field of the library has documentation.
pub(crate) fn public_items_are_documented(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    for source in sources.iter().filter(in_src) {
        for at in public_items(source) {
            let name =
                format!("`{} {}` has no documentation", source.text(at), source.text(at + 1));
            verdict.look(&source.path, source.line(at), !source.docs(at).is_empty(), name);
        }
    }
    verdict
}

/// Every public future, and every public function that is `async` or returns an `impl Future`, has a section
/// `# Cancel safety`.
pub(crate) fn futures_state_their_cancel_safety(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    let futures: HashSet<String> = sources.iter().filter(in_src).flat_map(future_types).collect();
    for source in sources.iter().filter(in_src) {
        for at in public_items(source) {
            let name = source.text(at + 1);
            let is_future = match source.text(at) {
                "struct" | "enum" => futures.contains(name),
                "fn" => is_async(source, at) || returns_a_future(source, at),
                _ => false,
            };
            if is_future {
                let kept = source.docs(at).contains("# Cancel safety");
                let fault = format!("`{name}` has no `# Cancel safety` section");
                verdict.look(&source.path, source.line(at), kept, fault);
            }
        }
    }
    verdict
}

/// The types that the file implements `Future` for.
fn future_types(source: &Source) -> Vec<String> {
    let mut types = Vec::new();
    for at in source.find(&["Future", "for"]) {
        let mut last = at + 2;
        while source.text(last + 1) == "::" {
            last += 2;
        }
        types.push(source.text(last).to_string());
    }
    types
}

fn is_async(source: &Source, at: usize) -> bool {
    source.has(source.after_attributes(source.statement_start(at))..at, "async")
}

/// Does the function at `at` return an `impl` of something with a `Future` in it?
fn returns_a_future(source: &Source, at: usize) -> bool {
    let (mut end, mut arrow) = (at, None);
    while end < source.len() && !matches!(source.text(end), "{" | ";" | "where") {
        arrow = if source.text(end) == "->" { Some(end) } else { arrow };
        end = source.twin(end) + 1;
    }
    arrow.is_some_and(|from| source.has(from..end, "impl") && source.has(from..end, "Future"))
}

/// Every file of the library begins with documentation of its module.
pub(crate) fn files_begin_with_their_story(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    for source in sources.iter().filter(in_src) {
        let first = source.comments().first();
        let inner = first.is_some_and(|c| c.kind == Kind::InnerDoc && c.line == 1);
        verdict.look(&source.path, 1, inner, "does not begin with `//!`");
    }
    verdict
}

/// No unfinished work, no ignored test, nothing put off without the number of an issue.
pub(crate) fn nothing_is_unfinished(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    for source in sources {
        verdict.look(&source.path, 1, true, "");
        for at in 0..source.len() {
            let unfinished = is_one_of(UNFINISHED, source.text(at)) && source.text(at + 1) == "!";
            verdict.look(&source.path, source.line(at), !unfinished, source.text(at));
        }
        for at in source.find(&["ignore"]) {
            let kept = !source.is_in_attribute(at);
            verdict.look(&source.path, source.line(at), kept, "an ignored test");
        }
        for comment in source.comments() {
            let kept = !puts_off(&comment.text);
            verdict.look(&source.path, comment.line, kept, "put off without an issue's number");
        }
    }
    verdict
}

/// Does a comment put something off, without `#` and a number?
fn puts_off(comment: &str) -> bool {
    let mut words = comment.split(|c: char| !c.is_alphanumeric());
    let numbered =
        comment.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    words.any(|word| PUT_OFF.contains(&word)) && !numbered
}

/// The library prints nothing.
pub(crate) fn the_library_prints_nothing(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    for source in sources.iter().filter(in_src) {
        verdict.look(&source.path, 1, true, "");
        for at in source.find(&["!"]).filter(|at| is_one_of(PRINTING, source.before(*at))) {
            verdict.look(&source.path, source.line(at), source.is_test(at), source.before(at));
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::faults;

    const FILE: &str = "src/join.rs";

    #[test]
    fn a_public_item_without_documentation_is_found() {
        for item in [
            "pub fn f();",
            "pub async fn f() {}",
            "pub const unsafe extern \"C\" fn f() {}",
            "pub struct S<A, B>(A, B);",
            "pub enum E {}",
            "pub unsafe trait T {}",
            "pub type A = B;",
            "pub const C: u8 = 1;",
            "pub static C: u8 = 1;",
            "pub mod m { }",
            "x! { pub struct S { } }",
        ] {
            let bad =
                format!("//! Of the file.\nuse a::b;\n#[must_use]\n// No documentation.\n{item}");
            assert_eq!(faults(public_items_are_documented, FILE, &bad), [5], "{item}");
            let good = item.replacen("pub", "#[inline]\n/// Does.\n#[must_use]\npub", 1);
            assert_eq!(faults(public_items_are_documented, FILE, &good), [0; 0], "{item}");
        }
    }

    #[test]
    fn a_public_field_without_documentation_is_found() {
        let text = "/// Is.\npub struct S {\n    /// Is.\n    pub a: A<B, C>,\n    pub b: u8,\n    c: u8,\n}\n\
            #[doc = \"Is.\"]\npub struct T { /** Is. */ pub a: u8 }";
        assert_eq!(faults(public_items_are_documented, FILE, text), [5]);
    }

    #[test]
    fn what_is_not_public_needs_no_documentation() {
        let text = "/// Is.\npub struct S;\npub use a::B;\npub mod b;\npub(crate) fn f() {}\nfn g() {}\n\
            #[cfg(test)]\nmod tests {\n    pub fn h() {}\n}\n// pub fn i() {}\n";
        assert_eq!(faults(public_items_are_documented, FILE, text), [0; 0]);
    }

    #[test]
    fn a_future_silent_on_cancel_safety_is_found() {
        let rule = futures_state_their_cancel_safety;
        let docs = "/// Is.\n///\n/// # Cancel safety\n///\n/// Strict.\n";
        for item in [
            "pub struct S<T>(T);\nimpl<A, T: B<A>> core::future::Future for super::S<T> {}",
            "impl Future for S { }\npub enum S {}",
            "impl S { pub async fn f() {} }",
            "pub fn f(g: impl Fn() -> u8) -> impl Future<Output = ()> + '_ where A: B {}",
        ] {
            assert_eq!(faults(rule, FILE, item).len(), 1, "{item}");
            let good = item.replacen("pub", &format!("{docs}#[must_use]\npub"), 1);
            assert_eq!(faults(rule, FILE, &good), [0; 0], "{item}");
        }
    }

    #[test]
    fn what_is_no_public_future_needs_no_cancel_safety() {
        let text = "struct S; impl Future for S {} pub struct T; async fn f() {} pub fn g(x: impl Future) -> T {}";
        assert_eq!(futures_state_their_cancel_safety(&[Source::new(FILE, text)]).seen(), 0);
    }

    #[test]
    fn a_file_without_a_story_is_found() {
        for bad in ["", "use a;\n//! Late.\n", "// No.\n//! Late.\n", "/// Of the item.\nfn f() {}"]
        {
            assert_eq!(faults(files_begin_with_their_story, FILE, bad), [1], "{bad}");
        }
        assert_eq!(faults(files_begin_with_their_story, FILE, "//! Is.\nuse a;"), [0; 0]);
    }

    #[test]
    fn unfinished_work_is_found() {
        let text = "// TODO: later\n/* see #12, XXX */\nfn f() { todo!() }\n#[test]\n#[ignore = \"slow\"]\n\
            fn g() { dbg!(1); unimplemented!() }\n/// FIXME # 3\n#[cfg_attr(loom, ignore)]\nfn h() {}\n\
            // TODO(#7): later; TODOS\nfn ignore() { f(\"todo!() TODO\"); ignore(todo) }\n";
        let mut found = faults(nothing_is_unfinished, "tests/it/a.rs", text);
        found.sort_unstable();
        assert_eq!(found, [1, 3, 5, 6, 6, 7, 8]);
    }

    #[test]
    fn a_library_that_prints_is_found() {
        let text = "/// println!()\nfn f() { println!(); std::eprint!(\"\") }\n\
            #[cfg(test)]\nmod t { fn f() { println!() } }";
        assert_eq!(faults(the_library_prints_nothing, FILE, text), [2, 2]);
    }
}
