//! A table of the config. Readers take its keys out one by one; those that are left are unknown.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::ConfigError;

/// The value, or what is expected in place of it.
pub type Read<T> = Result<T, String>;

/// A table with its path, and the errors of the whole config.
pub struct Section<'e, 'i> {
    /// `sip`, `rooms.defaults`; empty for the file as a whole.
    name: String,
    table: DeTable<'i>,
    /// The keys that were read, which unknown keys are compared with.
    known: Vec<String>,
    errors: &'e mut Vec<ConfigError>,
}

impl<'e, 'i> Section<'e, 'i> {
    /// The whole file; `None` if it is not TOML.
    pub fn root(text: &'i str, errors: &'e mut Vec<ConfigError>) -> Option<Self> {
        match DeTable::parse(text) {
            Ok(table) => Some(Self { name: String::new(), table: table.into_inner(), known: Vec::new(), errors }),
            Err(error) => {
                let message = format!("not TOML: {}", error.message());
                let span = error.span().map(|span| visible(text, span));
                errors.push(ConfigError { message, help: "see https://toml.io for the syntax".into(), span });
                None
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.into() } else { format!("{}.{key}", self.name) }
    }

    fn take(&mut self, key: &str) -> Option<Spanned<DeValue<'i>>> {
        self.known.push(key.into());
        let found = self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(name, _)| name.clone())?;
        self.table.remove(&found)
    }

    fn push_error(&mut self, message: String, help: String, span: Range<usize>) {
        self.errors.push(ConfigError { message, help, span: Some(span) });
    }

    /// Reads a value, if the key exists.
    pub fn value<T>(&mut self, key: &str, into: &mut T, read: impl FnOnce(&DeValue<'i>) -> Read<T>) {
        let Some(value) = self.take(key) else { return };
        match read(value.get_ref()) {
            Ok(value) => *into = value,
            Err(help) => self.push_error(format!("invalid value for `{}`", self.path_of(key)), help, value.span()),
        }
    }

    /// Reads a list of strings, if the key exists and all items are valid.
    pub fn list<T>(&mut self, key: &str, into: &mut Vec<T>, read: impl Fn(&str) -> Read<T>) {
        let Some(value) = self.take(key) else { return };
        let path = self.path_of(key);
        let DeValue::Array(items) = value.get_ref() else {
            return self.push_error(
                format!("invalid value for `{path}`"),
                format!("expected a list: {key} = [\"…\", \"…\"]"),
                value.span(),
            );
        };
        let mut read_items = Vec::with_capacity(items.len());
        for item in items.iter() {
            let text = item.get_ref().as_str().ok_or_else(|| "expected a string in quotes".to_owned());
            match text.and_then(&read) {
                Ok(value) => read_items.push(value),
                Err(help) => self.push_error(format!("invalid item in `{path}`"), help, item.span()),
            }
        }
        if read_items.len() == items.len() {
            *into = read_items;
        }
    }

    /// Reads a table, if it exists.
    pub fn table(&mut self, key: &str, read: impl FnOnce(Section<'_, 'i>)) {
        let Some(value) = self.take(key) else { return };
        let name = self.path_of(key);
        let span = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            return self.push_error(format!("invalid value for `{name}`"), format!("expected a table: [{name}]"), span);
        };
        read(Section { name, table, known: Vec::new(), errors: self.errors });
    }

    /// Takes all keys that are left, with their values and the positions of the keys.
    pub fn remaining(&mut self) -> Vec<(String, DeValue<'i>, Range<usize>)> {
        let all = std::mem::take(&mut self.table);
        all.into_iter().map(|(key, value)| (key.get_ref().to_string(), value.into_inner(), key.span())).collect()
    }

    /// Reads all tables that are left, by name.
    pub fn remaining_tables(&mut self, mut read: impl FnMut(&str, Section<'_, 'i>)) {
        let tables = self.table.iter().filter(|(_, value)| value.get_ref().is_table());
        let names: Vec<String> = tables.map(|(name, _)| name.get_ref().to_string()).collect();
        for name in names {
            self.table(&name, |section| read(&name, section));
            // The name of a room is no suggestion for an unknown key.
            self.known.pop();
        }
    }

    /// Reports keys of later versions.
    pub fn later_version(&mut self, keys: &[&str]) {
        for key in keys {
            let found = self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(name, _)| name.clone());
            let Some(found) = found else { continue };
            self.table.remove(&found);
            let message = format!("{} is not supported by this version", self.path_of(key));
            self.push_error(message, "remove it".into(), found.span());
        }
    }

    /// Reports an error at a position.
    pub fn refuse(&mut self, message: &str, help: &str, span: Option<Range<usize>>) {
        self.errors.push(ConfigError { message: message.into(), help: help.into(), span });
    }

    /// The position of the value of a key in an inner table.
    pub fn span_within(&self, table: &str, key: &str) -> Option<Range<usize>> {
        let (_, found) = self.table.iter().find(|(name, _)| name.get_ref() == table)?;
        let DeValue::Table(inner) = found.get_ref() else { return None };
        inner.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value.span())
    }

    /// The position of the value of a key.
    pub fn span_of(&self, key: &str) -> Option<Range<usize>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value.span())
    }

    /// Reports the keys that are left as unknown.
    pub fn finish(mut self) {
        let left: Vec<_> = self.table.keys().map(|key| (key.get_ref().to_string(), key.span())).collect();
        for (key, span) in left {
            let help = match nearest(&key, &self.known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known keys: {}", self.known.join(", ")),
            };
            self.push_error(format!("unknown key `{}`", self.path_of(&key)), help, span);
        }
    }
}

/// A position that is not empty, as the parser's is at the end of the file.
fn visible(text: &str, span: Range<usize>) -> Range<usize> {
    if !span.is_empty() || text.is_empty() {
        return span;
    }
    let start = text[..span.start.min(text.len())].trim_end().char_indices().next_back().map_or(0, |(at, _)| at);
    start..start + text[start..].chars().next().map_or(0, char::len_utf8)
}

/// The known key with the smallest edit distance, if it is small.
fn nearest<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    let max = key.chars().count().max(3) / 3 + 1;
    let scored = known.iter().map(|name| (edit_distance(key, name), name.as_str()));
    scored.min().filter(|(edits, _)| *edits <= max).map(|(_, name)| name)
}

/// The edit distance in characters (Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distances() {
        assert_eq!(edit_distance("listen", "listen"), 0);
        assert_eq!(edit_distance("lisen", "listen"), 1);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }

    #[test]
    fn only_similar_keys_are_suggested() {
        let known = ["listen".to_owned(), "port".to_owned()];
        assert_eq!(nearest("lisen", &known), Some("listen"));
        assert_eq!(nearest("prot", &known), Some("port"));
        assert_eq!(nearest("certificate", &known), None);
    }

    #[test]
    fn an_empty_span_is_moved_to_a_character() {
        assert_eq!(visible("a = \n", 4..4), 2..3);
        assert_eq!(visible("a = é", 6..6), 4..6);
        assert_eq!(visible("", 0..0), 0..0);
        assert_eq!(visible("abc", 1..2), 1..2);
    }
}
