//! A source file as the rules see it: tokens, a tree of brackets, items, and what is compiled for tests only.

use std::ops::{Range, RangeInclusive};

use crate::lexer::{Kind, Token, tokens};

/// A function: the index of its `fn`, its name, and the index of its last token.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) at: usize,
    pub(crate) name: String,
    pub(crate) end: usize,
}

/// One file. Indices are positions among its tokens that are code; comments are kept apart.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the package, with forward slashes.
    pub(crate) path: String,
    /// How many lines the file has.
    pub(crate) lines: usize,
    /// Is all of it compiled for tests only?
    pub(crate) only_tests: bool,
    comments: Vec<Token>,
    code: Vec<Token>,
    enclosing: Vec<Option<usize>>,
    twin: Vec<usize>,
    tests: Vec<Range<usize>>,
}

impl Source {
    /// Reads `text` as the file at `path`.
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let (code, comments): (Vec<_>, Vec<_>) = tokens(text).into_iter().partition(Token::is_code);
        let (enclosing, twin) = brackets(&code);
        let (path, lines) = (path.to_string(), text.lines().count());
        let (only_tests, tests) = (false, Vec::new());
        let mut source = Source { path, lines, only_tests, comments, code, enclosing, twin, tests };
        source.only_tests = source.has_inner_test_cfg();
        source.tests = source.test_ranges();
        source
    }

    /// How many tokens of code there are.
    pub(crate) fn len(&self) -> usize {
        self.code.len()
    }

    /// The text of a token; nothing beyond either end.
    pub(crate) fn text(&self, at: usize) -> &str {
        self.code.get(at).map_or("", |token| &token.text)
    }

    /// The text of the token before `at`.
    pub(crate) fn before(&self, at: usize) -> &str {
        at.checked_sub(1).map_or("", |at| self.text(at))
    }

    /// Is there a word at `at`?
    pub(crate) fn is_word(&self, at: usize) -> bool {
        self.code.get(at).is_some_and(|token| token.kind == Kind::Word)
    }

    /// The line on which a token begins.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.code.get(at).map_or(self.lines, |token| token.line)
    }

    /// The bracket that a token stands in.
    pub(crate) fn enclosing(&self, at: usize) -> Option<usize> {
        self.enclosing.get(at).copied().flatten()
    }

    /// The other bracket of the pair; itself for what is no bracket.
    pub(crate) fn twin(&self, at: usize) -> usize {
        self.twin.get(at).copied().unwrap_or(at)
    }

    /// Where `words` stand one after the other.
    pub(crate) fn find<'s>(&'s self, words: &'s [&'s str]) -> impl Iterator<Item = usize> + 's {
        (0..self.len())
            .filter(move |at| words.iter().enumerate().all(|(n, word)| self.text(at + n) == *word))
    }

    /// Is one of the tokens of `range` this word?
    pub(crate) fn has(&self, range: Range<usize>, word: &str) -> bool {
        range.into_iter().any(|at| self.text(at) == word)
    }

    /// The first token of the statement, item or field that `at` belongs to, its attributes included.
    pub(crate) fn statement_start(&self, at: usize) -> usize {
        let mut at = at;
        while let Some(open) = self.enclosing(at).filter(|open| self.text(*open) != "{") {
            at = open;
        }
        while at > 0 && !matches!(self.text(at - 1), ";" | "," | "{" | "}") {
            let open = self.twin(at - 1);
            if self.before(open) == "!" && self.before(open.saturating_sub(1)) == "#" {
                break; // An inner attribute: it belongs to the whole.
            }
            at = open;
        }
        at
    }

    /// The last token of the statement, item or field that begins at `at`, its attributes included.
    pub(crate) fn statement_end(&self, at: usize) -> usize {
        let head = self.after_attributes(at);
        let commas = !self.is_item(head);
        let mut at = head;
        while at < self.len() && !matches!(self.text(at), "}" | ")" | "]") {
            match self.text(at) {
                "{" if self.text(self.twin(at) + 1) == ";" => return self.twin(at) + 1,
                "{" => return self.twin(at),
                ";" => return at,
                "," if commas => return at,
                _ => at = self.twin(at) + 1,
            }
        }
        at.saturating_sub(1)
    }

    /// Does an item begin here, and not a field, an arm or an expression?
    fn is_item(&self, at: usize) -> bool {
        let mut at = at;
        if self.text(at) == "pub" {
            at += 1;
            at = if self.text(at) == "(" { self.twin(at) + 1 } else { at };
        }
        let items = "fn impl struct enum union trait mod use const static type unsafe async extern";
        items.split(' ').any(|word| word == self.text(at))
    }

    /// The first token after the attributes that begin at `at`.
    pub(crate) fn after_attributes(&self, at: usize) -> usize {
        let mut at = at;
        while self.text(at) == "#" && self.text(at + 1) == "[" {
            at = self.twin(at + 1) + 1;
        }
        at
    }

    /// The outer attributes of the statement of `at`, as ranges of what is between their brackets.
    pub(crate) fn attributes(&self, at: usize) -> Vec<Range<usize>> {
        let start = self.statement_start(at);
        let mut found = Vec::new();
        let mut next = start;
        while self.text(next) == "#" && self.text(next + 1) == "[" {
            found.push(next + 2..self.twin(next + 1));
            next = self.twin(next + 1) + 1;
        }
        found
    }

    /// Every function that has a name, in order.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let named = self.find(&["fn"]).filter(|at| self.is_word(at + 1));
        named
            .map(|at| {
                let name = self.text(at + 1).to_string();
                Function { at, name, end: self.function_end(at) }
            })
            .collect()
    }

    fn function_end(&self, at: usize) -> usize {
        let mut at = at;
        while at < self.len() && !matches!(self.text(at), "{" | ";" | "}") {
            at = self.twin(at) + 1;
        }
        self.twin(at)
    }

    /// The innermost function around `at`.
    pub(crate) fn function_of(&self, at: usize) -> Option<Function> {
        self.functions().into_iter().rfind(|f| (f.at..=f.end).contains(&at))
    }

    /// The documentation of the item that `at` belongs to: its comments and `doc` attributes.
    pub(crate) fn docs(&self, at: usize) -> String {
        let start = self.statement_start(at);
        let from = start.checked_sub(1).map_or(0, |last| self.code[last].last_line);
        let written =
            self.comments_in(from..=self.line(at)).filter(|comment| comment.kind == Kind::OuterDoc);
        let mut docs: Vec<&str> = written.map(|comment| comment.text.as_str()).collect();
        for attribute in self.attributes(at).into_iter().filter(|a| self.text(a.start) == "doc") {
            docs.extend(attribute.map(|at| self.text(at)));
        }
        docs.join("\n")
    }

    /// The comments of any sort that lie on `lines`, or partly.
    pub(crate) fn comments_in(
        &self,
        lines: RangeInclusive<usize>,
    ) -> impl Iterator<Item = &Token> + '_ {
        let (first, last) = lines.into_inner();
        self.comments.iter().filter(move |c| c.line <= last && c.last_line >= first)
    }

    /// Does a comment that is not documentation hold `tag`, on these lines?
    pub(crate) fn is_tagged(&self, lines: RangeInclusive<usize>, tag: &str) -> bool {
        self.comments_in(lines).any(|c| c.kind == Kind::Comment && c.text.contains(tag))
    }

    /// Is `tag` in a comment on `line`, or directly above it with only comments and attributes between?
    pub(crate) fn is_tagged_above(&self, line: usize, tag: &str) -> bool {
        let mut above = line;
        while above > 1 && self.is_comment_or_attribute(above - 1) {
            above -= 1;
        }
        self.is_tagged(above..=line, tag)
    }

    fn is_comment_or_attribute(&self, line: usize) -> bool {
        let mut on_line = (0..self.len())
            .filter(|at| (self.code[*at].line..=self.code[*at].last_line).contains(&line));
        match on_line.next() {
            None => self.comments_in(line..=line).next().is_some(),
            Some(first) => {
                self.is_in_attribute(first) && on_line.all(|at| self.is_in_attribute(at))
            }
        }
    }

    /// Is the token part of an outer attribute?
    pub(crate) fn is_in_attribute(&self, at: usize) -> bool {
        let mut at = Some(at);
        while let Some(here) = at {
            let hash = self.text(here) == "#" && self.text(here + 1) == "[";
            if hash || self.text(here) == "[" && self.before(here) == "#" {
                return true;
            }
            at = if self.twin(here) < here { Some(self.twin(here)) } else { self.enclosing(here) };
        }
        false
    }

    /// Is the token at `at` compiled for tests only?
    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.only_tests || self.tests.iter().any(|range| range.contains(&at))
    }

    /// What stands under a `cfg(test)`.
    fn test_ranges(&self) -> Vec<Range<usize>> {
        let cfgs =
            self.find(&["#", "["]).filter(|at| self.is_cfg(at + 2..self.twin(at + 1), &["test"]));
        cfgs.map(|at| at..self.statement_end(at) + 1).collect()
    }

    /// Is an attribute, between its brackets, a `cfg` that names `words`, and not as the inside of a `not`?
    pub(crate) fn is_cfg(&self, attribute: Range<usize>, words: &[&str]) -> bool {
        let named =
            |at: usize| words.iter().enumerate().all(|(n, word)| self.text(at + n) == *word);
        let negated = |at: usize| self.enclosing(at).is_some_and(|open| self.before(open) == "not");
        self.text(attribute.start) == "cfg"
            && attribute.into_iter().any(|at| named(at) && !negated(at))
    }

    fn has_inner_test_cfg(&self) -> bool {
        self.find(&["#", "!", "["]).any(|at| {
            self.enclosing(at).is_none() && self.is_cfg(at + 3..self.twin(at + 2), &["test"])
        })
    }

    /// The comments, documentation included, in order.
    pub(crate) fn comments(&self) -> &[Token] {
        &self.comments
    }
}

/// For each token the bracket it stands in, and for each bracket the one that matches it.
fn brackets(code: &[Token]) -> (Vec<Option<usize>>, Vec<usize>) {
    let mut open: Vec<usize> = Vec::new();
    let mut enclosing = Vec::new();
    let mut twin: Vec<usize> = (0..code.len()).collect();
    for (at, token) in code.iter().enumerate() {
        let mark = if token.kind == Kind::Mark { token.text.as_str() } else { "" };
        if let ("}" | ")" | "]", Some(first)) = (mark, open.last().copied()) {
            open.pop();
            twin.swap(first, at);
        }
        enclosing.push(open.last().copied());
        if matches!(mark, "{" | "(" | "[") {
            open.push(at);
        }
    }
    (enclosing, twin)
}

/// The modules that `source` declares for tests only, as the paths of their files without `.rs`.
pub(crate) fn test_modules(source: &Source) -> Vec<String> {
    let declared = source.find(&["mod"]).filter(|at| source.text(at + 2) == ";");
    declared.filter(|at| source.is_test(*at)).map(|at| file_of(source, at)).collect()
}

/// The file of the module whose `mod` is at `at`: that of its `path` attribute, or the usual one.
fn file_of(source: &Source, at: usize) -> String {
    let here = source.path.trim_end_matches(".rs");
    let (folder, name) = here.rsplit_once('/').unwrap_or(("", here));
    for attribute in source.attributes(at) {
        if source.text(attribute.start) == "path" {
            let path = source.text(attribute.end - 1).trim_matches('"').trim_end_matches(".rs");
            return format!("{folder}/{path}");
        }
    }
    let inside = if matches!(name, "lib" | "main" | "mod") { folder } else { here };
    format!("{inside}/{}", source.text(at + 1))
}
