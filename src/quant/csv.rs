//! Tables: a line of feature names, then a sample per line. Fields are separated by commas and may be quoted.

use super::error::DataError;

/// The largest integer up to which `f64` holds every integer.
const MAX_EXACT: f64 = (1u64 << 53) as f64;

/// A sample: the names of the columns and their values.
type Sample = Vec<(String, Vec<f64>)>;

/// The samples of a table.
pub(super) fn samples(file: &str, text: &[u8]) -> Result<Vec<Sample>, DataError> {
    let format = |reason: String| DataError::Format { file: file.into(), reason };
    let text = std::str::from_utf8(text).map_err(|_| format("it is not UTF-8 text".into()))?;
    let records = records(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(format)?;
    let Some(((_, names), samples)) = records.split_first() else {
        return Err(DataError::Empty { file: file.into() });
    };
    let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    if sorted.first() == Some(&"") {
        return Err(format("a column of the first line has no name".into()));
    }
    if let Some(pair) = sorted.windows(2).find(|w| w[0] == w[1]) {
        return Err(DataError::DuplicateFeature { file: file.into(), feature: pair[0].into() });
    }
    let sample = |(line, fields): &(usize, Vec<String>)| {
        if fields.len() != names.len() {
            return Err(format(format!("line {line} has {} fields, the first has {}", fields.len(), names.len())));
        }
        let value = |(name, field): (&&str, &String)| {
            let location = || format!("line {line}, column \"{name}\"");
            let refuse = || DataError::NotANumber { file: file.into(), location: location(), found: quoted(field) };
            Ok((name.to_string(), vec![number(field.trim()).ok_or_else(refuse)?]))
        };
        names.iter().zip(fields).map(value).collect()
    };
    samples.iter().map(sample).collect()
}

fn quoted(field: &str) -> String {
    let short: String = field.chars().take(40).collect();
    format!("\"{short}\"")
}

/// A finite number; a written integer must be exact.
fn number(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let integer = text.trim_start_matches(['+', '-']).bytes().all(|b| b.is_ascii_digit());
    let exact = match text.parse::<i128>() {
        Ok(integer) => integer.unsigned_abs() <= MAX_EXACT as u128,
        Err(_) => !integer,
    };
    Some(value).filter(|v| exact && v.is_finite())
}

/// The fields of every line, with its number; empty lines at the end are left out.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut records = vec![];
    let (mut line, mut started) = (1, 1);
    let mut fields = vec![];
    let mut rest = text;
    let body = text.trim_end_matches(['\r', '\n']).len();
    while text.len() - rest.len() < body {
        let (field, after) = match rest.strip_prefix('"') {
            Some(inside) => quoted_field(inside).ok_or_else(|| format!("a quote of line {line} is not closed"))?,
            None => {
                let end = rest.find([',', '\n']).unwrap_or(rest.len());
                let field =
                    if rest[end..].starts_with(',') { &rest[..end] } else { rest[..end].trim_end_matches('\r') };
                if field.contains('"') {
                    return Err(format!("line {line} has a quote within a field"));
                }
                (field.to_string(), &rest[end..])
            }
        };
        line += field.matches('\n').count();
        fields.push(field);
        let ended = after.strip_prefix("\r\n").or_else(|| after.strip_prefix('\n'));
        match (after.strip_prefix(','), ended) {
            (Some(next), _) => {
                rest = next;
                // A comma at the very end is followed by an empty field.
                if text.len() - rest.len() >= body {
                    fields.push(String::new());
                }
            }
            (None, Some(next)) => {
                records.push((started, std::mem::take(&mut fields)));
                line += 1;
                started = line;
                rest = next;
            }
            (None, None) if after.trim_end_matches('\r').is_empty() => rest = "",
            (None, None) => return Err(format!("line {line} goes on after a closing quote")),
        }
    }
    if !fields.is_empty() {
        records.push((started, fields));
    }
    Ok(records)
}

/// What a quoted field holds, and what follows it; two quotes stand for one.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let (mut field, mut rest) = (String::new(), text);
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Vec<f64>> {
        let samples = samples("x.csv", text.as_bytes()).unwrap();
        samples.into_iter().map(|s| s.into_iter().flat_map(|(_, values)| values).collect()).collect()
    }

    fn error(text: &str) -> String {
        samples("x.csv", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn lines_are_samples() {
        for text in ["a,b\n1,2\n3,4.5", "a,b\r\n1,2\r\n3,4.5\r\n", "\u{feff}\"a\",b\n\"1\", 2\n3,\"4.5\"\n\n"] {
            assert_eq!(read(text), [[1.0, 2.0], [3.0, 4.5]], "{text:?}");
        }
        let named = samples("x.csv", b"\"a \"\"b\"\", c\",d\n1,-2e3\n").unwrap();
        assert_eq!(named, [[("a \"b\", c".to_string(), vec![1.0]), ("d".to_string(), vec![-2000.0])]]);
        assert!(read("a,b\n").is_empty());
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(error("a,b\n1,2\n3,x"), "x.csv: line 3, column \"b\" is \"x\"; finite numbers are needed");
        for value in
            ["", "nan", "inf", "1e999", "9007199254740993", "-99999999999999999999999999999999999999999", "0x1"]
        {
            assert!(error(&format!("a,b\n1,{value}\n")).contains("line 2, column \"b\""), "{value}");
        }
        assert_eq!(error("a,b\n1,2\n3\n"), "x.csv: line 3 has 1 fields, the first has 2");
        assert_eq!(error("a,b\n1,2,\n"), "x.csv: line 2 has 3 fields, the first has 2");
        assert_eq!(error("a,b\n\n1,2"), "x.csv: line 2 has 1 fields, the first has 2");
        assert_eq!(error("a,a\n1,2"), "x.csv declares the feature \"a\" twice");
        assert_eq!(error("a,\n1,2"), "x.csv: a column of the first line has no name");
        assert_eq!(error(""), "x.csv holds no samples");
        assert_eq!(error("a\n\"1"), "x.csv: a quote of line 2 is not closed");
        assert_eq!(error("a\n1\"2\""), "x.csv: line 2 has a quote within a field");
        assert_eq!(error("a\n\"1\"2"), "x.csv: line 2 goes on after a closing quote");
        assert!(samples("x.csv", &[0xff]).unwrap_err().to_string().contains("UTF-8"));
    }
}
