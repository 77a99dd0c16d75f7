//! What all pictures share: SVG that is readable on light and dark ground, with text that cannot be markup.

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 17px; font-weight: 600 }
.faint { fill: #6e7781 }
.figure { text-anchor: end; font-variant-numeric: tabular-nums }
.grid { stroke: #8c959f; stroke-opacity: 0.35 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .faint { fill: #8d96a0 } }";

/// The beginning of a document of this size; `</svg>` ends it.
pub fn open(width: u64, height: u64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{}\">\n<style>\n{STYLE}\n</style>\n",
        escape(title)
    )
}

/// Text for an element or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The text between the tags of a document, and a check that the tags nest.
#[cfg(test)]
pub(crate) fn text(document: &str) -> String {
    let (mut text, mut open) = (String::new(), vec![]);
    for piece in document.split('<').skip(1) {
        let (tag, rest) = piece.split_once('>').unwrap();
        let name = tag.split_whitespace().next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{document}");
        } else if !tag.ends_with('/') && !matches!(name, "!doctype" | "meta") {
            open.push(name);
        }
        text.push_str(rest);
        text.push(' ');
    }
    assert_eq!(open, Vec::<&str>::new());
    text
}
