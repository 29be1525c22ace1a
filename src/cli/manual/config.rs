//! parlor.toml(5), made of the reference of the config, which the tests of the config hold against what is read.

use roff::{Roff, bold, roman};

use crate::config::REFERENCE;

/// The page.
pub(super) fn page() -> String {
    let mut roff = Roff::new();
    roff.control("TH", ["parlor.toml", "5", "", concat!("parlor ", env!("CARGO_PKG_VERSION")), ""]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("parlor.toml - config of the parlor server")]);
    roff.control("SH", ["DESCRIPTION"]);
    for line in INTRODUCTION.lines() {
        roff.text([roman(line)]);
    }
    REFERENCE.lines().for_each(|line| entry(&mut roff, line));
    roff.control("SH", ["EXAMPLES"]);
    roff.text([roman("A server for others than this machine:")]);
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
TOML, given to parlor serve and parlor check by --config. Every key may be left out; below each stands with its default, the
users, the room and the files aside, which are examples. Unknown keys are errors. Sizes are octets or \"64KiB\", durations
\"500ms\", \"60s\" or \"9m\".";

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

/// A line of the reference: a table is a section, a key an entry with what its comment says.
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
    // What is commented out as a whole is another way to write an entry.
    let (code, comment) =
        if code.is_empty() { comment.split_once("  ").unwrap_or((comment, "")) } else { (code, comment) };
    roff.text([bold(code)]);
    roff.text([roman(comment)]);
}

/// What a line of TOML says, and its comment.
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
    fn comments_are_told_from_what_is_quoted() {
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
