//! The headers that describe a body.

use super::{Field, MimeError, Value, fields};

/// The headers that may be there once, in the order of `ContentHeaders::bodies`.
const NAMES: [&str; 5] =
    ["Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID", "Content-Length"];

/// The headers that describe a body, each at most once (RFC 2045 §3, RFC 2183, RFC 3261 §20.11 to 20.15). Borrows from the headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContentHeaders<'a> {
    bodies: [Option<&'a [u8]>; NAMES.len()],
    /// Whether a Content-Encoding names a coding other than identity. Its rows are one list (RFC 3261 §20.12).
    is_encoded: bool,
}

impl<'a> ContentHeaders<'a> {
    /// Parses a block of header fields. Other headers are ignored.
    ///
    /// # Errors
    /// Returns [`MimeError::Line`] if a line is not a header, and [`MimeError::Repeated`] if a header that describes the body is there
    /// twice.
    pub fn parse(block: &'a [u8]) -> Result<Self, MimeError> {
        let mut headers = Self::default();
        headers.parse_more(block)?;
        Ok(headers)
    }

    /// Parses another block of header fields of the same body.
    ///
    /// # Errors
    /// Returns an error as [`Self::parse`] does.
    pub fn parse_more(&mut self, block: &'a [u8]) -> Result<(), MimeError> {
        fields(block).try_for_each(|field| self.insert(field?))
    }

    /// Adds one header, whose body may be folded. Ignores a header that does not describe the body.
    ///
    /// # Errors
    /// Returns [`MimeError::Repeated`] if there is one of that name already.
    pub fn insert(&mut self, field: Field<'a>) -> Result<(), MimeError> {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name.as_bytes());
        if let Some(at) = NAMES.iter().position(|name| is(name)) {
            return self.bodies[at].replace(field.body).map_or(Ok(()), |_| Err(MimeError::Repeated));
        }
        if is("Content-Encoding") {
            self.is_encoded |= !names_only(field.body, &["identity"]);
        }
        Ok(())
    }

    /// The Content-Type as received, folds included; `None` if there is none.
    #[must_use]
    pub fn content_type(&self) -> Option<&'a [u8]> {
        self.bodies[0]
    }

    /// The media type with its parameters; `None` if there is no Content-Type.
    ///
    /// # Errors
    /// Returns [`MimeError::Value`] if the Content-Type is malformed.
    pub fn media_type(&self) -> Result<Option<Value<'a>>, MimeError> {
        self.bodies[0].map(|body| Value::media_type(body).ok_or(MimeError::Value)).transpose()
    }

    /// The Content-Disposition with its parameters; `None` if there is none, or an empty one.
    ///
    /// # Errors
    /// Returns [`MimeError::Value`] if the Content-Disposition is malformed.
    pub fn disposition(&self) -> Result<Option<Value<'a>>, MimeError> {
        let body = self.bodies[2].filter(|body| !body.is_empty());
        body.map(|body| Value::token(body).ok_or(MimeError::Value)).transpose()
    }

    /// Whether the body can be used without decoding: no Content-Encoding but identity, and no Content-Transfer-Encoding but 7bit,
    /// 8bit or binary (RFC 2045 §6.2). An empty one, as sipsimple writes it, counts as none.
    #[must_use]
    pub fn is_unencoded(&self) -> bool {
        let transferred = self.bodies[1].is_none_or(|body| names_only(body, &["7bit", "8bit", "binary"]));
        transferred && !self.is_encoded
    }
}

/// Whether a list of tokens has no other token than these.
fn names_only(list: &[u8], allowed: &[&str]) -> bool {
    list.split(|&b| b == b',').all(|one| {
        one.trim_ascii().is_empty()
            || Value::token(one).is_some_and(|value| allowed.iter().any(|allowed| value.is(allowed)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_header_may_be_there_once() {
        for name in NAMES {
            let once = format!("{name}:\r\n 1\r\nX: 2\r\nX: 3\r\n");
            assert!(ContentHeaders::parse(once.as_bytes()).is_ok(), "{name}");
            let twice = format!("{once}{} : 4\r\n", name.to_uppercase());
            assert_eq!(ContentHeaders::parse(twice.as_bytes()), Err(MimeError::Repeated), "{name}");
        }
    }

    #[test]
    fn encodings_are_recognized() {
        for (block, plain) in [
            ("", true),
            ("Content-Transfer-Encoding: \n", true),
            ("Content-Transfer-Encoding: 8BIT\r\n", true),
            ("Content-Transfer-Encoding:\r\n binary (unchanged)\r\n", true),
            ("Content-Transfer-Encoding:\r\n base64\r\n", false),
            ("Content-Transfer-Encoding: (8bit) quoted-printable\r\n", false),
            ("Content-Transfer-Encoding: 8bit base64\r\n", false),
            ("Content-Encoding: identity\r\n", true),
            ("Content-Encoding: identity,\r\n gzip\r\n", false),
            ("Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", false),
        ] {
            assert_eq!(ContentHeaders::parse(block.as_bytes()).unwrap().is_unencoded(), plain, "{block:?}");
        }
    }

    #[test]
    fn values_are_read() {
        let headers = ContentHeaders::parse(b"content-type:\r\n a/b\r\nContent-Disposition:\n x;\n y=z\n").unwrap();
        assert!(headers.media_type().unwrap().unwrap().is("A/B"));
        let disposition = headers.disposition().unwrap().unwrap();
        assert!(disposition.is("X") && disposition.parameter_is("y", "Z").unwrap());
        let broken = ContentHeaders::parse(b"Content-Type: a\r\nContent-Disposition: ;x\r\n").unwrap();
        assert_eq!(broken.media_type(), Err(MimeError::Value));
        assert_eq!(broken.disposition(), Err(MimeError::Value));
        assert_eq!(ContentHeaders::default().media_type(), Ok(None));
    }
}
