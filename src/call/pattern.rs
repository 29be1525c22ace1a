//! URI patterns of who may join a room.

use parlor_proto::uri::Aor;

/// Whether one of the patterns covers an address: `sip:*@example.com`, `sip:alice@*`, `tel:+49*`, `*`. A star stands for any
/// run of characters. sip, sips and im are one, as they are in an [`Aor`]; hosts are compared without regard to case.
pub fn matches_any<'a>(patterns: impl IntoIterator<Item = &'a str>, who: &Aor) -> bool {
    patterns.into_iter().any(|pattern| matches(pattern, who))
}

fn matches(pattern: &str, who: &Aor) -> bool {
    let scheme = |name: &str| pattern.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
    let bare = ["sip:", "sips:", "im:"].iter().find(|name| scheme(name)).map_or(pattern, |name| &pattern[name.len()..]);
    // Only the host is without case; the user part is as it stands (RFC 3261 §19.1.4).
    let pattern = match bare.rsplit_once('@') {
        Some((user, host)) => format!("{user}@{}", host.to_ascii_lowercase()),
        None => bare.to_owned(),
    };
    let pattern = pattern.strip_suffix(":5060").unwrap_or(&pattern);
    glob(pattern.as_bytes(), who.as_str().as_bytes())
}

/// Whether `text` is `pattern` with each star replaced by something, by going back to the last star only.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, uri: &str) -> bool {
        matches_any([pattern], &Aor::parse(uri.as_bytes()).unwrap())
    }

    #[test]
    fn a_star_stands_for_any_run() {
        assert!(covers("sip:*@example.com", "sip:alice@Example.com;x=y"));
        assert!(covers("sip:*@EXAMPLE.com", "sips:bob@example.com"));
        assert!(covers("sip:al*ce@*.example.*", "sip:alice@a.b.example.net"));
        assert!(covers("*", "tel:+1-2") && covers("*", "sip:a@b"));
        assert!(covers("tel:+49*", "tel:+49-30-123") && !covers("tel:+49*", "tel:+1"));
        assert!(covers("sip:alice@example.com:5060", "sip:alice@example.com"));
        assert!(!covers("sip:*@example.com", "sip:alice@example.com.evil.net"));
        assert!(!covers("sip:*@example.com", "sip:alice@example.com:5070"));
        assert!(!covers("sip:alice@example.com", "sip:Alice@example.com"));
        assert!(!covers("sip:*@example.com", "sip:example.com"));
        assert!(!covers("", "sip:a@b") && !matches_any([], &Aor::parse(b"sip:a@b").unwrap()));
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let text = format!("sip:{}@b", "a".repeat(5000));
        assert!(!covers(&format!("{}x", "*a".repeat(200)), &text));
    }
}
