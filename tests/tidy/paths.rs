//! The paths a file names, `use` trees spelt out, and the modules they lead to.

use crate::source::Source;

/// `a::b::c`, wherever it stands.
#[derive(Debug)]
pub(crate) struct Path {
    /// Index of its first token; for a branch of a tree, of the tree.
    pub(crate) at: usize,
    /// The line of its last segment.
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
}

impl Path {
    /// Does it begin with these segments?
    pub(crate) fn starts_with(&self, segments: &[&str]) -> bool {
        self.segments.len() >= segments.len()
            && segments.iter().zip(&self.segments).all(|(a, b)| a == b)
    }
}

/// Every path of two or more segments in `source`.
pub(crate) fn paths(source: &Source) -> Vec<Path> {
    let mut found = Vec::new();
    for at in (0..source.len()).filter(|at| is_root(source, *at)) {
        let path = Path { at, line: source.line(at), segments: Vec::new() };
        follow(source, at, path, &mut found);
    }
    found
}

/// Does a path begin at `at`, and not go on there?
fn is_root(source: &Source, at: usize) -> bool {
    let can_end = |at: usize| source.is_word(at) && !is_keyword(source.text(at));
    let goes_on =
        source.before(at) == "::" && at >= 2 && (source.text(at - 2) == ">" || can_end(at - 2));
    let in_tree = source.enclosing(at).is_some_and(|open| source.before(open) == "::");
    can_end(at) && source.text(at + 1) == "::" && !goes_on && !in_tree
}

/// Is it a keyword that may stand before a path, and is no segment of one?
fn is_keyword(word: &str) -> bool {
    let keywords = "use dyn impl for as in mut ref const return break else match if while where";
    keywords.split(' ').any(|keyword| keyword == word)
}

/// Adds what `path` becomes from `at` on: one path, or one for each branch.
fn follow(source: &Source, at: usize, mut path: Path, found: &mut Vec<Path>) {
    if source.text(at) == "{" {
        for branch in branches(source, at) {
            let (line, segments) = (source.line(branch), path.segments.clone());
            follow(source, branch, Path { at: path.at, line, segments }, found);
        }
        return;
    }
    if source.is_word(at) || source.text(at) == "*" {
        path.segments.push(source.text(at).to_string());
        path.line = source.line(at);
        if source.text(at + 1) == "::" {
            return follow(source, at + 2, path, found);
        }
    }
    found.push(path);
}

/// Where the branches of the tree whose brace is at `open` begin.
fn branches(source: &Source, open: usize) -> impl Iterator<Item = usize> + '_ {
    let close = source.twin(open);
    let starts = (open + 1..close).filter(move |at| {
        source.enclosing(*at) == Some(open) && matches!(source.before(*at), "{" | ",")
    });
    starts.filter(|at| !matches!(source.text(*at), "," | "}"))
}

/// The module that the file at `path` is, from the crate's root: `src/task/state.rs` is `task`, `state`.
pub(crate) fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(String::from).collect();
    if module.last().is_some_and(|name| matches!(name.as_str(), "lib" | "mod")) {
        module.pop();
    }
    module
}

/// What a path that begins with `crate`, `self` or `super` names, from the crate's root.
pub(crate) fn resolve(source: &Source, path: &Path) -> Option<Vec<String>> {
    let mut base = match path.segments[0].as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module_at(source, path.at),
        _ => return None,
    };
    let mut rest = path.segments.as_slice();
    while let Some(first) = rest.first() {
        match first.as_str() {
            "crate" | "self" => {}
            "super" => drop(base.pop()),
            _ => break,
        }
        rest = &rest[1..];
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The module of `at`: that of the file, and the inline ones around.
fn module_at(source: &Source, at: usize) -> Vec<String> {
    let mut inline = Vec::new();
    let mut open = source.enclosing(at);
    while let Some(here) = open {
        if here >= 2 && source.text(here - 2) == "mod" {
            inline.push(source.text(here - 1).to_string());
        }
        open = source.enclosing(here);
    }
    let mut module = module_of(&source.path);
    module.extend(inline.into_iter().rev());
    module
}

#[cfg(test)]
mod tests {
    use super::{paths, resolve};
    use crate::source::Source;

    fn named(text: &str) -> Vec<String> {
        let source = Source::new("src/scheduler/wheel.rs", text);
        paths(&source).iter().map(|path| path.segments.join("::")).collect()
    }

    fn resolved(text: &str) -> Vec<String> {
        let source = Source::new("src/scheduler/wheel.rs", text);
        paths(&source).iter().filter_map(|p| resolve(&source, p)).map(|p| p.join("::")).collect()
    }

    #[test]
    fn a_use_tree_names_each_of_its_branches() {
        assert_eq!(
            named("use a::{b, c::{d, e as f,}, g::*};"),
            ["a::b", "a::c::d", "a::c::e", "a::g::*"]
        );
    }

    #[test]
    fn a_path_may_stand_anywhere() {
        let text = "fn f(x: ::std::io::Error) -> ::core::A { a::b::<c::D>::e(<F as g::H>::i) }";
        assert_eq!(named(text), ["std::io::Error", "core::A", "a::b", "c::D", "g::H"]);
    }

    #[test]
    fn a_path_is_reported_on_the_line_of_its_branch() {
        let source = Source::new("src/a.rs", "use a::{\n    b,\n    c::D,\n};");
        assert_eq!(paths(&source).iter().map(|path| path.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn super_is_resolved_through_files_and_inline_modules() {
        assert_eq!(resolved("use super::super::handle::H;"), ["handle::H"]);
        assert_eq!(resolved("use super::{super::handle, ready};"), ["handle", "scheduler::ready"]);
        assert_eq!(resolved("mod t { use super::*; }"), ["scheduler::wheel::*"]);
        assert_eq!(
            resolved("use self::level::L; use crate::tick::Tick;"),
            ["scheduler::wheel::level::L", "tick::Tick"]
        );
    }
}
