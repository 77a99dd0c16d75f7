//! What stands in the way of compiling a model, as plain data: the importer, quantisation and the planner report in it, so that
//! all of it can be said at once.

use std::fmt;

use serde::Serialize;

/// The most problems that are listed; more are counted.
pub const MAX_PROBLEMS: usize = 100;

/// One thing that has to change before the model can be compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The node that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The node's ONNX operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// The attribute that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    pub reason: String,
    /// What to do, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl Problem {
    /// One that is about no node.
    pub fn new(reason: impl Into<String>, suggestion: Option<String>) -> Self {
        Self { reason: reason.into(), suggestion, ..Self::default() }
    }

    /// An error's message, which ends in what to do after the last semicolon, about a node if it is one's.
    pub fn from_message(message: &str, node: Option<&str>) -> Self {
        let (reason, suggestion) = match message.rsplit_once("; ") {
            Some((reason, suggestion)) => (reason, Some(suggestion.to_string())),
            None => (message, None),
        };
        // the node is said on its own
        let stripped = node.and_then(|node| reason.strip_prefix(&format!("node \"{node}\"")));
        let reason = stripped.map_or(reason, |reason| reason.trim_start_matches([':', ',', ' ']));
        Self { node: node.map(String::from), ..Self::new(reason, suggestion) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.node, &self.operator) {
            (Some(node), Some(operator)) => write!(f, "node \"{node}\" ({operator}): ")?,
            (Some(node), None) => write!(f, "node \"{node}\": ")?,
            _ => {}
        }
        f.write_str(&self.reason)?;
        self.suggestion.iter().try_for_each(|suggestion| write!(f, "; {suggestion}"))
    }
}

/// Problems as they are found: the first [`MAX_PROBLEMS`], and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Problems {
    pub listed: Vec<Problem>,
    pub count: usize,
}

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        self.count += 1;
        if self.listed.len() < MAX_PROBLEMS {
            self.listed.push(problem);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Extend<Problem> for Problems {
    fn extend<T: IntoIterator<Item = Problem>>(&mut self, problems: T) {
        problems.into_iter().for_each(|problem| self.push(problem));
    }
}

impl fmt::Display for Problems {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.listed {
            write!(f, "\n  {problem}")?;
        }
        match self.count - self.listed.len() {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_apart() {
        let problem = Problem::from_message("node \"n\", element 3: it overflows; narrow the domain", Some("n"));
        let suggestion = Some("narrow the domain".to_string());
        let expected = Problem { node: Some("n".into()), ..Problem::new("element 3: it overflows", suggestion) };
        assert_eq!(problem, expected);
        assert_eq!(problem.to_string(), "node \"n\": element 3: it overflows; narrow the domain");
        assert_eq!(Problem::from_message("no file", None), Problem::new("no file", None));
    }

    #[test]
    fn long_lists_are_counted() {
        let mut problems = Problems::default();
        problems.extend((0..MAX_PROBLEMS + 5).map(|i| Problem::new(format!("number {i}"), None)));
        assert_eq!((problems.listed.len(), problems.count), (MAX_PROBLEMS, MAX_PROBLEMS + 5));
        assert!(problems.to_string().ends_with("number 99\n  and 5 more"));
    }
}
