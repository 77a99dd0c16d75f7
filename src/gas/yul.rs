//! Reads the inline assembly of a contract's source: as much of Yul as verifiers are written in.

use revm::primitives::U256;

use super::EstimateError;

#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    Literal(U256),
    Name(String),
    Call(String, Vec<Expression>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// `let a, b := value`
    Declare(Vec<String>, Option<Expression>),
    /// `a, b := value`
    Assign(Vec<String>, Expression),
    Do(Expression),
    If(Expression, Vec<Statement>),
    For {
        before: Vec<Statement>,
        condition: Expression,
        after: Vec<Statement>,
        body: Vec<Statement>,
    },
    Function(Function),
    Block(Vec<Statement>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    pub name: String,
    pub parameters: Vec<String>,
    pub results: Vec<String>,
    pub body: Vec<Statement>,
}

/// The assembly blocks of a piece of Solidity, in its order.
pub fn assembly_blocks(source: &str) -> Result<Vec<Vec<Statement>>, EstimateError> {
    let tokens = tokens(source);
    let mut blocks = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some(start) = rest.iter().position(|token| *token == "assembly") {
        rest = rest.get(start + 1..).unwrap_or_default();
        let Some(open) = rest.iter().position(|token| *token == "{") else { break };
        let mut parser = Parser { tokens: rest.get(open..).unwrap_or_default() };
        blocks.push(parser.block()?);
        rest = parser.tokens;
    }
    Ok(blocks)
}

/// Words, numbers, string literals and punctuation; comments are left out.
fn tokens(source: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = source.trim_start();
    while let Some(first) = rest.chars().next() {
        let end_of = |pattern: &str, from: usize| {
            rest.get(from..).and_then(|tail| tail.find(pattern)).map_or(rest.len(), |at| from + at + pattern.len())
        };
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
        let (length, comment) = match first {
            '/' if rest.starts_with("//") => (end_of("\n", 2), true),
            '/' if rest.starts_with("/*") => (end_of("*/", 2), true),
            '"' => (end_of("\"", 1), false),
            ':' if rest.starts_with(":=") => (2, false),
            '-' if rest.starts_with("->") => (2, false),
            c if word(c) => (rest.find(|c| !word(c)).unwrap_or(rest.len()), false),
            c => (c.len_utf8(), false),
        };
        let (token, tail) = rest.split_at(length);
        if !comment {
            tokens.push(token);
        }
        rest = tail.trim_start();
    }
    tokens
}

/// A number as Solidity and Yul write it.
pub fn number(token: &str) -> Option<U256> {
    token.starts_with(|c: char| c.is_ascii_digit()).then(|| token.replace('_', "").parse().ok()).flatten()
}

struct Parser<'a> {
    tokens: &'a [&'a str],
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &'a str {
        self.tokens.first().copied().unwrap_or("the end")
    }

    fn next(&mut self) -> &'a str {
        let token = self.peek();
        self.tokens = self.tokens.get(1..).unwrap_or_default();
        token
    }

    fn takes(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, wanted: &str) -> Result<(), EstimateError> {
        let found = self.next();
        if found == wanted { Ok(()) } else { Err(EstimateError::Syntax { wanted: wanted.into(), found: found.into() }) }
    }

    fn name(&mut self) -> Result<String, EstimateError> {
        let found = self.next();
        let named = found.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '$') && found != "the end";
        if named {
            Ok(found.into())
        } else {
            Err(EstimateError::Syntax { wanted: "a name".into(), found: found.into() })
        }
    }

    fn names(&mut self) -> Result<Vec<String>, EstimateError> {
        let mut names = vec![self.name()?];
        while self.takes(",") {
            names.push(self.name()?);
        }
        Ok(names)
    }

    fn block(&mut self) -> Result<Vec<Statement>, EstimateError> {
        self.expect("{")?;
        let mut statements = Vec::new();
        while !self.takes("}") {
            statements.push(self.statement()?);
        }
        Ok(statements)
    }

    fn statement(&mut self) -> Result<Statement, EstimateError> {
        match self.peek() {
            "{" => Ok(Statement::Block(self.block()?)),
            "let" => {
                self.next();
                let names = self.names()?;
                let value = if self.takes(":=") { Some(self.expression()?) } else { None };
                Ok(Statement::Declare(names, value))
            }
            "if" => {
                self.next();
                Ok(Statement::If(self.expression()?, self.block()?))
            }
            "for" => {
                self.next();
                let (before, condition) = (self.block()?, self.expression()?);
                Ok(Statement::For { before, condition, after: self.block()?, body: self.block()? })
            }
            "function" => {
                self.next();
                let name = self.name()?;
                self.expect("(")?;
                let parameters = if self.peek() == ")" { vec![] } else { self.names()? };
                self.expect(")")?;
                let results = if self.takes("->") { self.names()? } else { vec![] };
                Ok(Statement::Function(Function { name, parameters, results, body: self.block()? }))
            }
            word @ ("switch" | "break" | "continue" | "leave") => {
                Err(EstimateError::Unsupported { what: format!("`{word}`") })
            }
            _ => {
                let expression = self.expression()?;
                match expression {
                    Expression::Name(first) if matches!(self.peek(), "," | ":=") => {
                        let mut names = vec![first];
                        while self.takes(",") {
                            names.push(self.name()?);
                        }
                        self.expect(":=")?;
                        Ok(Statement::Assign(names, self.expression()?))
                    }
                    call @ Expression::Call(..) => Ok(Statement::Do(call)),
                    _ => Err(EstimateError::Syntax { wanted: "a statement".into(), found: self.peek().into() }),
                }
            }
        }
    }

    fn expression(&mut self) -> Result<Expression, EstimateError> {
        if let Some(value) = number(self.peek()) {
            self.next();
            return Ok(Expression::Literal(value));
        }
        let name = self.name()?;
        if !self.takes("(") {
            return Ok(Expression::Name(name));
        }
        let mut arguments = Vec::new();
        while !self.takes(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.expression()?);
        }
        Ok(Expression::Call(name, arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Expression {
        Expression::Name(text.into())
    }

    #[test]
    fn assembly_is_found_and_parsed() {
        let source = r#"
            function f() { // assembly { not this }
                uint256 assembly_ = 1;
                assembly ("memory-safe") {
                    let r := R /* { */
                    let a, b
                    a, b := g(0x10, 1_000)
                    for { } lt(a, 2) { a := add(a, 1) } { { pop(a) } }
                    if iszero(a) { revert(0, 0) }
                    function g(x, y) -> u, v { u := x }
                }
                assembly { mstore(0, r) }
            }"#;
        let blocks = assembly_blocks(source).unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!(blocks[0].len(), 6);
        assert_eq!(blocks[0][0], Statement::Declare(vec!["r".into()], Some(name("R"))));
        assert_eq!(blocks[0][1], Statement::Declare(vec!["a".into(), "b".into()], None));
        let numbers = [16, 1000].map(|value| Expression::Literal(U256::from(value)));
        let call = Expression::Call("g".into(), numbers.to_vec());
        assert_eq!(blocks[0][2], Statement::Assign(vec!["a".into(), "b".into()], call));
        assert!(matches!(&blocks[0][3], Statement::For { before, body, .. } if before.is_empty() && body.len() == 1));
        assert!(matches!(&blocks[0][5], Statement::Function(function) if function.results == ["u", "v"]));
        let store = Expression::Call("mstore".into(), vec![Expression::Literal(U256::ZERO), name("r")]);
        assert_eq!(blocks[1], [Statement::Do(store)]);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (source, words) in [
            ("assembly { let 1 }", "`1`"),
            ("assembly { switch x case 0 { } }", "`switch`"),
            ("assembly { x }", "a statement"),
            ("assembly { f(", "the end"),
            ("assembly { f(1 2) }", "`2`"),
            ("assembly {", "the end"),
        ] {
            let error = assembly_blocks(source).unwrap_err().to_string();
            assert!(error.contains(words), "{source}: {error}");
        }
    }
}
