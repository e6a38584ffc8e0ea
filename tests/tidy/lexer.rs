//! A small lexer for Rust source: enough to tell code from comments, strings and character literals.
//!
//! It knows nested block comments, raw strings and identifiers, byte and C strings, and the difference between
//! a character literal and a lifetime. It does not know the grammar; `source` finds brackets and items.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or a keyword.
    Word,
    /// A lifetime or a label, with its tick.
    Lifetime,
    /// A number, without its sign.
    Number,
    /// A string literal of any sort, with its quotes.
    Text,
    /// A character or byte literal, with its quotes.
    Char,
    /// Punctuation: one character, or `::`, `->`, `=>`.
    Mark,
    /// A comment that is not documentation.
    Comment,
    /// Documentation of what follows.
    OuterDoc,
    /// Documentation of what it stands in.
    InnerDoc,
}

/// A piece of source and the lines, counted from 1, on which it begins and ends.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) last_line: usize,
}

impl Token {
    /// Is it code, and not a comment of some sort?
    pub(crate) fn is_code(&self) -> bool {
        !matches!(self.kind, Kind::Comment | Kind::OuterDoc | Kind::InnerDoc)
    }
}

/// Cuts `source` into tokens.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    Lexer { chars: source.chars().collect(), at: 0 }.run()
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    fn run(mut self) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut line = 1;
        while self.at < self.chars.len() {
            if self.peek(0).is_whitespace() {
                line += usize::from(self.peek(0) == '\n');
                self.at += 1;
                continue;
            }
            let (kind, length) = self.measure();
            let end = self.chars.len().min(self.at + length);
            let text: String = self.chars[self.at..end].iter().collect();
            let last_line = line + text.matches('\n').count();
            tokens.push(Token { kind, text, line, last_line });
            line = last_line;
            self.at = end;
        }
        tokens
    }

    /// The character `ahead` of here, or NUL after the end.
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    /// How far from `ahead` on `accept` holds, from here; at most to the end.
    fn while_true(&self, ahead: usize, accept: impl Fn(char) -> bool) -> usize {
        let rest = self.chars.iter().skip(self.at + ahead);
        ahead + rest.take_while(|c| accept(**c)).count()
    }

    /// The kind and the length of the token that begins here.
    fn measure(&self) -> (Kind, usize) {
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => self.line_comment(),
            ('/', '*') => self.block_comment(),
            ('"', _) => (Kind::Text, self.quoted(0, '"')),
            ('\'', _) => self.after_tick(),
            (':', ':') | ('-' | '=', '>') => (Kind::Mark, 2),
            (c, _) if c.is_ascii_digit() => self.number(),
            (c, _) if is_word(c) => self.word(),
            _ => (Kind::Mark, 1),
        }
    }

    fn line_comment(&self) -> (Kind, usize) {
        let kind = match (self.peek(2), self.peek(3)) {
            ('/', '/') => Kind::Comment,
            ('/', _) => Kind::OuterDoc,
            ('!', _) => Kind::InnerDoc,
            _ => Kind::Comment,
        };
        (kind, self.while_true(0, |c| c != '\n'))
    }

    fn block_comment(&self) -> (Kind, usize) {
        let kind = match (self.peek(2), self.peek(3)) {
            ('*', '*' | '/') => Kind::Comment,
            ('*', _) => Kind::OuterDoc,
            ('!', _) => Kind::InnerDoc,
            _ => Kind::Comment,
        };
        let (mut length, mut depth) = (2, 1);
        while depth > 0 && self.at + length < self.chars.len() {
            let step = match (self.peek(length), self.peek(length + 1)) {
                ('/', '*') => 1,
                ('*', '/') => -1,
                _ => 0,
            };
            depth += step;
            length += if step == 0 { 1 } else { 2 };
        }
        (kind, length)
    }

    /// The length of a literal whose opening quote is `ahead`, up to its unescaped closing quote.
    fn quoted(&self, ahead: usize, quote: char) -> usize {
        let mut length = ahead + 1;
        while self.at + length < self.chars.len() && self.peek(length) != quote {
            length += if self.peek(length) == '\\' { 2 } else { 1 };
        }
        length + 1
    }

    /// The length of a raw string whose quote is `ahead`, after `hashes` hashes.
    fn raw(&self, ahead: usize, hashes: usize) -> usize {
        let mut length = ahead + 1;
        while self.at + length < self.chars.len() {
            let closed = (1..=hashes).all(|n| self.peek(length + n) == '#');
            if self.peek(length) == '"' && closed {
                break;
            }
            length += 1;
        }
        length + 1 + hashes
    }

    /// A tick begins a character literal if it is closed after one character or an escape, else a lifetime.
    fn after_tick(&self) -> (Kind, usize) {
        if self.peek(1) == '\\' || self.peek(2) == '\'' {
            (Kind::Char, self.quoted(0, '\''))
        } else {
            (Kind::Lifetime, self.while_true(1, is_word))
        }
    }

    fn number(&self) -> (Kind, usize) {
        let whole = self.while_true(0, is_word);
        if self.peek(whole) == '.' && self.peek(whole + 1).is_ascii_digit() {
            return (Kind::Number, self.while_true(whole + 1, is_word));
        }
        (Kind::Number, whole)
    }

    /// A word, or the literal or raw identifier of which it is the prefix.
    fn word(&self) -> (Kind, usize) {
        let length = self.while_true(0, is_word);
        let prefix: String = self.chars[self.at..self.at + length].iter().collect();
        let hashes = self.while_true(length, |c| c == '#') - length;
        match (prefix.as_str(), self.peek(length + hashes)) {
            ("r" | "br" | "cr", '"') => (Kind::Text, self.raw(length + hashes, hashes)),
            ("b" | "c", '"') if hashes == 0 => (Kind::Text, self.quoted(length, '"')),
            ("b", '\'') if hashes == 0 => (Kind::Char, self.quoted(length, '\'')),
            ("r", c) if hashes == 1 && is_word(c) => (Kind::Word, self.while_true(2, is_word)),
            _ => (Kind::Word, length),
        }
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

mod tests {
    use super::{Kind, tokens};

    /// The text of the tokens of `source` that are of `kind`.
    fn of_kind(kind: Kind, source: &str) -> Vec<String> {
        tokens(source).into_iter().filter(|t| t.kind == kind).map(|t| t.text).collect()
    }

    #[test]
    fn strings_of_every_sort_hide_what_they_hold() {
        let source = r####"a("unsafe \" {", r"unsafe \", r#"unsafe " {"#, b"unsafe", br##"unsafe"#"##, c"unsafe") z"####;
        assert_eq!(of_kind(Kind::Word, source), ["a", "z"]);
        assert_eq!(of_kind(Kind::Text, source).len(), 6);
    }

    #[test]
    fn a_string_may_span_lines() {
        let found = tokens("\"one\ntwo\\\n\" next");
        assert_eq!((found[0].line, found[0].last_line, found[1].line), (1, 3, 3));
    }

    #[test]
    fn characters_are_not_lifetimes() {
        let source = r"'a' 'b '\'' '\\' '\u{1F600}' b'{' '_ 'static '{'";
        assert_eq!(of_kind(Kind::Lifetime, source), ["'b", "'_", "'static"]);
        assert_eq!(of_kind(Kind::Char, source).len(), 6);
        assert!(of_kind(Kind::Mark, source).is_empty());
    }

    #[test]
    fn lifetimes_in_a_list_are_lifetimes() {
        assert_eq!(of_kind(Kind::Lifetime, "f::<'a,'b>(x: &'a u8)"), ["'a", "'b", "'a"]);
    }

    #[test]
    fn block_comments_nest() {
        let found = tokens("a /* x /* y */ z */ b");
        assert_eq!(
            found.iter().map(|t| t.text.as_str()).collect::<Vec<_>>(),
            ["a", "/* x /* y */ z */", "b"]
        );
    }

    #[test]
    fn documentation_is_told_from_comments() {
        let source = "//! in\n/// out\n//// no\n// no\n/*! in */ /** out */ /*** no */ /**/";
        assert_eq!(of_kind(Kind::InnerDoc, source), ["//! in", "/*! in */"]);
        assert_eq!(of_kind(Kind::OuterDoc, source), ["/// out", "/** out */"]);
        assert_eq!(of_kind(Kind::Comment, source).len(), 4);
    }

    #[test]
    fn a_comment_in_a_string_is_no_comment_and_the_reverse() {
        assert!(of_kind(Kind::Comment, r#""http://x /* y""#).is_empty());
        assert!(of_kind(Kind::Text, "// \"x\n/* \" */ a").is_empty());
    }

    #[test]
    fn ranges_and_fields_of_numbers_are_not_decimals() {
        assert_eq!(
            of_kind(Kind::Number, "0..62 1.5 2.0e3 x.0 1_000u64"),
            ["0", "62", "1.5", "2.0e3", "0", "1_000u64"]
        );
    }

    #[test]
    fn raw_identifiers_are_words() {
        assert_eq!(of_kind(Kind::Word, "r#fn r#match br"), ["r#fn", "r#match", "br"]);
    }

    #[test]
    fn paths_and_arrows_are_one_mark() {
        assert_eq!(of_kind(Kind::Mark, "a::b -> c => d : e"), ["::", "->", "=>", ":"]);
    }

    #[test]
    fn what_is_never_closed_ends_with_the_file() {
        for source in ["/* /* */", "\"a", "r#\"a\"", "'\\", "b\"", "'"] {
            assert!(!tokens(source).is_empty(), "{source}");
        }
    }
}
