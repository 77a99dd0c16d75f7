//! The numbered steps of a contract's source: `// 1. Statement`, `// 2. Transcript`, …

use std::ops::Range;

/// A step: from its comment to the next step's, or to the end of the block that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The comment's text, such as `1. Statement`, fit for a terminal.
    pub title: String,
    /// Bytes of the source.
    pub range: Range<usize>,
}

/// Longest title, in characters.
const MAX_TITLE: usize = 60;

/// All steps in the order of the source. A numbered comment deeper inside a step is part of it.
pub fn find(source: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    // the braces open at the comment of the step that is still open
    let mut open: Option<usize> = None;
    let mut depth = 0usize;
    for token in (Tokens { source, position: 0 }) {
        let mut close = |open: &mut Option<usize>, end: usize| {
            if let (Some(_), Some(step)) = (open.take(), steps.last_mut()) {
                step.range.end = end;
            }
        };
        match token {
            Token::Open => depth += 1,
            Token::Close(at) => {
                depth = depth.saturating_sub(1);
                if open.is_some_and(|level| depth < level) {
                    close(&mut open, at);
                }
            }
            Token::Comment(at, text) => {
                let Some(title) = title(text) else { continue };
                let plain = |c: char| if c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ' { c } else { '_' };
                if open.is_none_or(|level| depth == level) {
                    close(&mut open, at);
                    open = Some(depth);
                    let title = title.chars().take(MAX_TITLE).map(plain).collect();
                    steps.push(Step { title, range: at..source.len() });
                }
            }
        }
    }
    steps
}

/// `text` if it is a number, a full stop, a space and a title.
fn title(text: &str) -> Option<&str> {
    let text = text.trim();
    let (number, name) = text.split_once(". ")?;
    let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (numbered && !name.trim().is_empty()).then_some(text)
}

enum Token<'a> {
    Open,
    /// A closing brace at this byte.
    Close(usize),
    /// A line comment that starts at this byte, and what follows its slashes.
    Comment(usize, &'a str),
}

/// Braces and line comments, outside of block comments and string literals.
struct Tokens<'a> {
    source: &'a str,
    position: usize,
}

impl<'a> Tokens<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.position..).unwrap_or_default()
    }

    /// Goes on behind the next `end`, or at the end of the source.
    fn skip_past(&mut self, end: &str) {
        self.position = self.rest().find(end).map_or(self.source.len(), |found| self.position + found + end.len());
    }

    /// Goes on behind a string literal, whose opening quote has been read.
    fn skip_string(&mut self, quote: char) {
        let mut escaped = false;
        for (i, c) in self.rest().char_indices() {
            if (c == quote && !escaped) || c == '\n' {
                self.position += i + 1;
                return;
            }
            escaped = c == '\\' && !escaped;
        }
        self.position = self.source.len();
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let start = self.position;
            let rest = self.rest();
            let c = rest.chars().next()?;
            self.position += c.len_utf8();
            match c {
                '{' => return Some(Token::Open),
                '}' => return Some(Token::Close(start)),
                '"' | '\'' => self.skip_string(c),
                '/' if rest.starts_with("/*") => self.skip_past("*/"),
                '/' if rest.starts_with("//") => {
                    self.skip_past("\n");
                    let line = rest.lines().next().unwrap_or_default();
                    return Some(Token::Comment(start, line.get(2..).unwrap_or_default()));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(source: &str) -> Vec<(String, String)> {
        let text = |step: Step| (step.title, source[step.range].split_whitespace().collect::<Vec<_>>().join(" "));
        find(source).into_iter().map(text).collect()
    }

    #[test]
    fn steps_end_at_the_next_one_and_with_their_block() {
        let source = r#"
            contract C { // 3 things
                function f() {
                    a();
                    // 1. First
                    // a note
                    { b("} // 9. no"); }
                    // 2. Second: é
                    if (x) {
                        // 1. part of the second
                        c();
                    }
                }
                function g() { d(); }
            }"#;
        let expected = [
            ("1. First", "// 1. First // a note { b(\"} // 9. no\"); }"),
            ("2. Second: é", "// 2. Second: é if (x) { // 1. part of the second c(); }"),
        ];
        assert_eq!(titles(source), expected.map(|(title, text)| (title.to_string(), text.to_string())));
    }

    #[test]
    fn steps_may_be_functions_and_numbering_may_start_anew() {
        let source = "contract C {\n// 1. One\nfunction f() { a(); }\n// 2. Two\nfunction g() { /* } */ b(); }\n}\n\
                      contract D { function h() {\n// 1. Other\nc(); } }";
        let found: Vec<_> = titles(source).into_iter().map(|(_, text)| text).collect();
        let expected =
            ["// 1. One function f() { a(); }", "// 2. Two function g() { /* } */ b(); }", "// 1. Other c();"];
        assert_eq!(found, expected);
    }

    #[test]
    fn titles_are_fit_for_a_terminal() {
        let source = format!("// 1. a\u{1b}[2J\u{202e}\tb {}", "x".repeat(100));
        let found = find(&source);
        assert!(found[0].title.starts_with("1. a_[2J__b xxx"), "{found:?}");
        assert_eq!(found[0].title.chars().count(), MAX_TITLE);
    }

    #[test]
    fn other_comments_are_no_steps() {
        for text in ["", "//", "// 1.", "// 1. ", "// one. two", "// v1. x", "/// 1. NatSpec", "'// 1. x", "/* // 1. x"]
        {
            assert_eq!(titles(text), [], "{text:?}");
        }
    }
}
