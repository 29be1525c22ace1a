//! Structured values: a media type or a token, with parameters (RFC 2045 §5.1, RFC 2183 §2). White space, folds and comments are
//! allowed between any two elements (RFC 5322 §3.2.2).

use std::borrow::Cow;

use super::MimeError;

/// A value such as `text/plain; charset=utf-8`, borrowed from its header.
///
/// ```
/// use parlor_proto::mime::Value;
///
/// let value = Value::media_type(b"multipart/mixed; boundary=\"a b\"").unwrap();
/// assert!(value.is("Multipart/Mixed") && value.is_multipart());
/// assert_eq!(value.parameter("boundary").unwrap().as_deref(), Some(&b"a b"[..]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value<'a> {
    text: Cow<'a, str>,
    /// From the first semicolon on.
    parameters: &'a [u8],
}

impl<'a> Value<'a> {
    /// Parses a media type with its parameters. Returns `None` if there is no type with a subtype, or if anything but parameters
    /// follows.
    #[must_use]
    pub fn media_type(body: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor { text: body, at: 0 };
        cursor.skip_between()?;
        let start = cursor.at;
        let kind = cursor.token()?;
        cursor.skip_between()?;
        cursor.take(b'/')?;
        cursor.skip_between()?;
        let subtype = cursor.token()?;
        let whole = &body[start..cursor.at];
        let word = match whole.len() == kind.len() + 1 + subtype.len() {
            true => Cow::Borrowed(std::str::from_utf8(whole).ok()?),
            false => Cow::Owned(String::from_utf8([kind, b"/", subtype].concat()).ok()?),
        };
        cursor.parameters().map(|parameters| Self { text: word, parameters })
    }

    /// Parses a token with its parameters, such as a disposition. Returns `None` if there is no token, or if anything but parameters
    /// follows.
    #[must_use]
    pub fn token(body: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor { text: body, at: 0 };
        cursor.skip_between()?;
        let word = Cow::Borrowed(std::str::from_utf8(cursor.token()?).ok()?);
        cursor.parameters().map(|parameters| Self { text: word, parameters })
    }

    /// The type with its subtype, or the token, without parameters, white space and comments. Case as received.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// [`Self::as_str`] with the lifetime of the header: borrowed unless there was something in between.
    #[must_use]
    pub fn into_text(self) -> Cow<'a, str> {
        self.text
    }

    /// Whether the type or token is this one, without regard to case.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.text.eq_ignore_ascii_case(text)
    }

    /// Whether this is a multipart type (RFC 2046 §5.1).
    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.text.split_once('/').is_some_and(|(kind, _)| kind.eq_ignore_ascii_case("multipart"))
    }

    /// The value of a parameter without quotes and escapes; `None` if there is no parameter of that name.
    ///
    /// # Errors
    /// Returns [`MimeError::Repeated`] if there are two of that name, and [`MimeError::Value`] if the parameters are malformed.
    pub fn parameter(&self, name: &str) -> Result<Option<Cow<'a, [u8]>>, MimeError> {
        let mut cursor = Cursor { text: self.parameters, at: 0 };
        let mut found = None;
        while let Some((known, value)) = cursor.next_parameter().ok_or(MimeError::Value)? {
            if known.eq_ignore_ascii_case(name.as_bytes()) && found.replace(value).is_some() {
                return Err(MimeError::Repeated);
            }
        }
        Ok(found)
    }

    /// Whether a parameter has this value, without regard to case.
    ///
    /// # Errors
    /// Returns an error as [`Self::parameter`] does.
    pub fn parameter_is(&self, name: &str, wanted: &str) -> Result<bool, MimeError> {
        Ok(self.parameter(name)?.is_some_and(|value| value.eq_ignore_ascii_case(wanted.as_bytes())))
    }
}

/// A name, and a value without quotes and escapes.
type Parameter<'a> = (&'a [u8], Cow<'a, [u8]>);

/// A position in a value: `at <= text.len()`.
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek() == Some(wanted)).then(|| self.at += 1)
    }

    fn take_while(&mut self, is_part: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let len = rest.iter().position(|&b| !is_part(b)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn token(&mut self) -> Option<&'a [u8]> {
        let token = self.take_while(is_token_octet);
        (!token.is_empty()).then_some(token)
    }

    /// Skips white space, folds and comments; `None` if a comment does not end, or if a CR or LF is not part of a fold.
    fn skip_between(&mut self) -> Option<()> {
        loop {
            match (self.peek(), &self.text[(self.at + 1).min(self.text.len())..]) {
                (Some(b' ' | b'\t'), _) | (Some(b'\n'), [b' ' | b'\t', ..]) => self.at += 1,
                (Some(b'\r'), [b'\n', b' ' | b'\t', ..]) => self.at += 2,
                (Some(b'('), _) => self.skip_comment()?,
                (Some(b'\r' | b'\n'), _) => return None,
                _ => return Some(()),
            }
        }
    }

    fn skip_comment(&mut self) -> Option<()> {
        let mut depth = 0u32;
        loop {
            match self.peek()? {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'\\' => self.at += 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// The rest, if it is parameters or nothing.
    fn parameters(mut self) -> Option<&'a [u8]> {
        self.skip_between()?;
        matches!(self.peek(), None | Some(b';')).then(|| &self.text[self.at..])
    }

    /// The next parameter; `Some(None)` at the end, `None` if it is malformed. Skips empty ones.
    fn next_parameter(&mut self) -> Option<Option<Parameter<'a>>> {
        loop {
            self.skip_between()?;
            match self.peek() {
                None => return Some(None),
                Some(b';') => self.at += 1,
                Some(_) => break,
            }
        }
        let name = self.token()?;
        self.skip_between()?;
        let value = match self.take(b'=') {
            Some(()) => self.parameter_value()?,
            None => Cow::Borrowed(&b""[..]),
        };
        self.skip_between()?;
        matches!(self.peek(), None | Some(b';')).then_some(Some((name, value)))
    }

    /// A quoted string, or what is before the next semicolon or space: many write boundaries with octets that are not allowed in a token.
    fn parameter_value(&mut self) -> Option<Cow<'a, [u8]>> {
        self.skip_between()?;
        if self.take(b'"').is_none() {
            return Some(Cow::Borrowed(self.take_while(|b| b.is_ascii_graphic() && !matches!(b, b';' | b'"' | b'('))));
        }
        let plain = self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n'));
        if self.take(b'"').is_some() {
            return Some(Cow::Borrowed(plain));
        }
        let mut value = plain.to_vec();
        loop {
            match self.peek()? {
                b'"' => break self.at += 1,
                b'\\' => {
                    self.at += 1;
                    value.push(self.peek()?);
                }
                b'\r' | b'\n' => {}
                other => value.push(other),
            }
            self.at += 1;
        }
        Some(Cow::Owned(value))
    }
}

/// An octet of a token (RFC 2045 §5.1).
fn is_token_octet(b: u8) -> bool {
    b.is_ascii_graphic()
        && !matches!(
            b,
            b'(' | b')' | b'<' | b'>' | b'@' | b',' | b';' | b':' | b'\\' | b'"' | b'/' | b'[' | b']' | b'?' | b'='
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media_type(body: &str) -> Option<String> {
        Value::media_type(body.as_bytes()).map(|value| value.as_str().to_owned())
    }

    #[test]
    fn a_media_type_is_read_through_folds_and_comments() {
        for body in [
            "text/plain",
            "text/plain;charset=utf-8",
            " text/plain ; x",
            "\r\n text/plain",
            "\n\ttext/plain;\n x=y",
            "text/plain (image/png)",
            "(image/png) text/plain",
            "(a (nested) \\) one)text(/)/( )plain( )",
            "text /\r\n plain",
            "text/plain;;",
        ] {
            assert_eq!(media_type(body).as_deref(), Some("text/plain"), "{body:?}");
        }
        assert!(matches!(Value::media_type(b" text/plain;x").unwrap().into_text(), Cow::Borrowed(_)));
    }

    #[test]
    fn anything_else_is_not_a_media_type() {
        for body in [
            "",
            " ",
            "text",
            "text/",
            "/plain",
            "text/plain image/png",
            "text/plain, image/png",
            "text/plain\rimage/png",
            "text/plain\nimage/png",
            "text//plain",
            "text/plain (",
            "text/pl\u{e4}in",
            "\"text\"/plain",
            "text/plain\0",
            "(text/plain)",
        ] {
            assert_eq!(media_type(body), None, "{body:?}");
        }
    }

    #[test]
    fn parameters_are_found_and_repeated_ones_are_an_error() {
        let boundary = |parameters: &str| {
            let body = format!("multipart/mixed{parameters}");
            let value = Value::media_type(body.as_bytes()).unwrap();
            let found = value.parameter("boundary");
            found.map(|found| found.map(|found| String::from_utf8(found.into_owned()).unwrap()))
        };
        let one = |value: &str| Ok(Some(value.to_owned()));
        assert_eq!(boundary(";boundary=b"), one("b"));
        assert_eq!(boundary("; x=\";boundary=no\" ; Boundary = (no) \"b 1\" (c)"), one("b 1"));
        assert_eq!(boundary(";\r\n boundary=----=_Part_0"), one("----=_Part_0"));
        assert_eq!(boundary(";boundary=\"a\\\"\\b\r\n c\";x"), one("a\"b c"));
        assert_eq!(boundary("(;boundary=no)"), Ok(None));
        assert_eq!(boundary(";boundary"), one(""));
        assert_eq!(boundary(";boundary=a;BOUNDARY=a"), Err(MimeError::Repeated));
        for broken in [";boundary=\"a", ";boundary=\"a\"b", ";boundary=a b", ";=a", ";boundary=a (", ";boundary=\"a\\"]
        {
            assert_eq!(boundary(broken), Err(MimeError::Value), "{broken}");
        }
    }

    #[test]
    fn a_token_is_alone_or_with_parameters() {
        for (body, word) in [
            ("8bit", Some("8bit")),
            ("\r\n (c) session(c); handling=required", Some("session")),
            ("", None),
            ("a b", None),
            ("a/b", None),
        ] {
            assert_eq!(
                Value::token(body.as_bytes()).map(|value| value.as_str().to_owned()).as_deref(),
                word,
                "{body:?}"
            );
        }
    }

    #[test]
    fn no_octets_panic() {
        let octets = b"a/;=\"\\() \t\r\n\xe4";
        let mut text = Vec::new();
        for n in 0..200_000u64 {
            text.clear();
            let mut left = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            while left > 0 {
                text.push(octets[(left % octets.len() as u64) as usize]);
                left /= octets.len() as u64 * 7;
            }
            for value in [Value::media_type(&text), Value::token(&text)].into_iter().flatten() {
                let _ = value.parameter("a");
            }
        }
    }
}
