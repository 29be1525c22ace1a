//! Just enough of Rust's syntax to see what a file names: words, paths with their groups expanded, and what is only there for
//! tests.

/// One token: a word, `::`, or a single other character.
type Token = String;

/// What a file names outside of its tests.
pub struct Source {
    tokens: Vec<Token>,
    /// Names of `#[cfg(test)] mod NAME;`, whose files are tests altogether.
    pub test_modules: Vec<String>,
}

impl Source {
    pub fn read(text: &str) -> Self {
        let (tokens, test_modules) = without_tests(&tokens(text));
        Self { tokens, test_modules }
    }

    /// Every path, groups expanded: `use a::{b, c::d}` gives `a::b` and `a::c::d`. A word alone is a path of one.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let (mut paths, mut at) = (Vec::new(), 0);
        while at < self.tokens.len() {
            let starts = is_word(&self.tokens[at]) && (at == 0 || !matches!(&*self.tokens[at - 1], "::" | "."));
            at = if starts { read_path(&self.tokens, at, &[], &mut paths) } else { at + 1 };
        }
        paths
    }

    /// The paths of `pub use`, however visible.
    pub fn reexports(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        for (at, token) in self.tokens.iter().enumerate().skip(1) {
            let before = &self.tokens[..at];
            let visible = match before.last().map(String::as_str) {
                Some("pub") => true,
                Some(")") => before
                    .iter()
                    .rposition(|token| token == "(")
                    .is_some_and(|open| open > 0 && before[open - 1] == "pub"),
                _ => false,
            };
            if token == "use" && visible {
                read_path(&self.tokens, at + 1, &[], &mut paths);
            }
        }
        paths
    }

    /// Names of called methods and macros: `.elapsed(` is `elapsed`, `println!` is `println!`.
    pub fn calls(&self) -> Vec<String> {
        let windows = self.tokens.windows(3);
        windows
            .filter_map(|w| match (&*w[0], &*w[1], &*w[2]) {
                (".", name, "(" | "::") if is_word(name) => Some(name.to_owned()),
                (name, "!", _) if is_word(name) => Some(format!("{name}!")),
                _ => None,
            })
            .collect()
    }
}

/// Whether a word stands anywhere in the code, tests included, comments and strings not.
pub fn has_word(text: &str, word: &str) -> bool {
    tokens(text).iter().any(|token| token == word)
}

/// The words of a text, comments and strings aside.
pub fn words(text: &str) -> std::collections::HashSet<String> {
    tokens(text).into_iter().filter(|token| is_word(token)).collect()
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ if raw_string_len(rest) > 0 => raw_string_len(rest),
            '"' => string_len(rest),
            '\'' => quote_len(rest),
            _ if first.is_alphabetic() || first == '_' => word_len(rest),
            _ if first.is_ascii_digit() => word_len(rest),
            _ if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(len);
        let skipped = token.trim().is_empty() || token.len() > 1 && !is_word(token) && token != "::";
        if !skipped && !token.starts_with("r\"") && !token.starts_with("r#\"") {
            tokens.push(token.to_owned());
        }
        rest = after;
    }
    tokens
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

/// `r"…"` and `r#"…"#`, with or without `b` before; 0 for anything else.
fn raw_string_len(text: &str) -> usize {
    let start = text.strip_prefix('b').unwrap_or(text);
    let Some(after) = start.strip_prefix('r') else { return 0 };
    let hashes = after.len() - after.trim_start_matches('#').len();
    if !after[hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = hashes + 1;
    let found = after[body..].find(&end).map_or(after.len(), |at| body + at + end.len());
    text.len() - after.len() + found
}

/// A character literal as a whole, or the tick of a lifetime.
fn quote_len(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => text[2..].find('\'').map_or(1, |end| if end == 0 { 4 } else { end + 3 }),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// Drops every item that stands behind `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut test_modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        if tokens[at..].iter().take(MARK.len()).eq(MARK.iter()) {
            let item = &tokens[at + MARK.len()..];
            let len = item_len(item);
            if let [.., name, end] = &item[..len]
                && end == ";"
                && item.iter().any(|token| token == "mod")
            {
                test_modules.push(name.clone());
            }
            at += MARK.len() + len;
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    (kept, test_modules)
}

/// Tokens of an item: up to a `;` outside of brackets, or to the end of its block.
fn item_len(item: &[Token]) -> usize {
    let imports = item.first().is_some_and(|token| token == "use");
    let mut depth = 0usize;
    for (at, token) in item.iter().enumerate() {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && (token == ";" || (token == "}" && !imports)) {
            return at + 1;
        }
    }
    item.len()
}

/// Reads the path that starts at `at`, and every path of its groups; the answer is where it ends.
fn read_path(tokens: &[Token], mut at: usize, prefix: &[String], out: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    while at < tokens.len() && is_word(&tokens[at]) {
        path.push(tokens[at].clone());
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "::") {
            break;
        }
        at += 1;
    }
    // Another name for the same thing.
    if tokens.get(at).is_some_and(|token| token == "as") && tokens.get(at + 1).is_some_and(|token| is_word(token)) {
        at += 2;
    }
    if tokens.get(at).is_some_and(|token| token == "{") && tokens[at - 1] == "::" {
        return read_group(tokens, at + 1, &path, out);
    }
    out.push(path);
    at
}

fn read_group(tokens: &[Token], mut at: usize, prefix: &[String], out: &mut Vec<Vec<String>>) -> usize {
    while at < tokens.len() && tokens[at] != "}" {
        at = if is_word(&tokens[at]) { read_path(tokens, at, prefix, out) } else { at + 1 };
    }
    at + 1
}
