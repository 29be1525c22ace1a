//! Escaping text in XML.

use std::borrow::Cow;

/// A text for use between tags or in an attribute in double quotes: markup is escaped, and characters that XML 1.0 does not allow (§2.2)
/// are replaced. Line ends and tabs are written as references, since a reader would turn them into spaces (§3.3.3).
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| !needs_escape(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            c if needs_escape(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn needs_escape(c: char) -> bool {
    matches!(c, '&' | '<' | '>' | '"' | '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_within_its_element() {
        assert!(matches!(escaped("Dopey Donkey \u{1f600} 'x'"), Cow::Borrowed(_)));
        assert_eq!(escaped("</user> & \"<\""), "&lt;/user&gt; &amp; &quot;&lt;&quot;");
        assert_eq!(escaped("a\tb\r\nc\u{0}\u{1b}\u{ffff}"), "a&#9;b&#13;&#10;c\u{fffd}\u{fffd}\u{fffd}");
    }
}
