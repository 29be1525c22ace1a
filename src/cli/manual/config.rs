//! parlor.toml(5), generated from the config reference.

use roff::{Roff, bold, roman};

use crate::config::REFERENCE;

/// The page in roff.
pub fn page() -> String {
    let mut roff = Roff::new();
    roff.control("TH", ["parlor.toml", "5", "", concat!("parlor ", env!("CARGO_PKG_VERSION")), ""]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("parlor.toml - configuration of the parlor server")]);
    roff.control("SH", ["DESCRIPTION"]);
    for line in INTRODUCTION.lines() {
        roff.text([roman(line)]);
    }
    REFERENCE.lines().for_each(|line| entry(&mut roff, line));
    roff.control("SH", ["EXAMPLES"]);
    roff.text([roman("A public server:")]);
    roff.control("nf", []);
    for line in EXAMPLE.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("parlor-serve(1), parlor-check(1)")]);
    roff.render()
}

const INTRODUCTION: &str = "\
A TOML file, passed to parlor serve and parlor check with --config. Every key is optional and shown with its default, except that the
users, the room and the files are examples. Unknown keys are errors. Sizes are octets or \"64KiB\", durations \"500ms\", \"60s\" or
\"9m\".";

const EXAMPLE: &str = "\
[sip]
listen = [\"tls:0.0.0.0:5061\"]
domains = [\"chat.example.com\"]
[sip.auth]
users_file = \"users.toml\"
[msrp]
listen = \"0.0.0.0\"
tls_port = 3855
advertise = \"chat.example.com\"
[tls]
certificate = \"cert.pem\"
private_key = \"key.pem\"";

/// Adds a line of the reference: a table as a section, a key as an entry with its comment.
fn entry(roff: &mut Roff, line: &str) {
    let (code, comment) = split(line);
    if code.is_empty() && comment.is_empty() {
        return;
    }
    if code.starts_with('[') {
        roff.control("SH", [code]);
        if !comment.is_empty() {
            roff.text([roman(comment)]);
        }
        return;
    }
    roff.control("TP", []);
    // A line that is a comment as a whole shows another form of an entry.
    let (code, comment) =
        if code.is_empty() { comment.split_once("  ").unwrap_or((comment, "")) } else { (code, comment) };
    roff.text([bold(code)]);
    roff.text([roman(comment)]);
}

/// Splits a line of TOML into code and comment.
fn split(line: &str) -> (&str, &str) {
    let mut quoted = false;
    let at = line.find(|c| {
        quoted ^= c == '"';
        c == '#' && !quoted
    });
    let (code, comment) = line.split_at(at.unwrap_or(line.len()));
    (code.trim(), comment.trim_start_matches('#').trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_in_quotes_is_no_comment() {
        assert_eq!(split("a = \"#1\"  # the first"), ("a = \"#1\"", "the first"));
        assert_eq!(split("[tls]"), ("[tls]", ""));
        assert_eq!(split("# b = 1  otherwise"), ("", "b = 1  otherwise"));
    }

    #[test]
    fn every_line_of_the_reference_is_in_the_page() {
        let page = page().replace("\\-", "-").replace("\\(aq", "'").replace("\\*(Aq", "'");
        for line in REFERENCE.lines() {
            let (code, comment) = split(line);
            for part in [code, comment.split("  ").next().unwrap_or_default()] {
                assert!(page.contains(&part.replace('\\', "\\\\")), "{part}");
            }
        }
    }
}
