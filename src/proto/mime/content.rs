//! The headers that decide what becomes of a body.

use super::{Field, MimeError, Value, fields};

/// The names of those that may stand once, in the order of [`ContentHeaders::bodies`].
const NAMES: [&str; 5] =
    ["Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID", "Content-Length"];

/// What the headers of a body say, each at most once (RFC 2045 §3, RFC 2183, RFC 3261 §20.11 to 20.15). Borrows from the headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContentHeaders<'a> {
    bodies: [Option<&'a [u8]>; NAMES.len()],
    /// A Content-Encoding names a coding other than identity. Its rows are one list (RFC 3261 §20.12).
    is_encoded: bool,
}

impl<'a> ContentHeaders<'a> {
    /// Reads a block of header fields.
    ///
    /// # Errors
    /// [`MimeError::Line`] and [`MimeError::Repeated`].
    pub fn read(block: &'a [u8]) -> Result<Self, MimeError> {
        let mut headers = Self::default();
        headers.read_more(block)?;
        Ok(headers)
    }

    /// Reads a block of header fields on top of what is there.
    ///
    /// # Errors
    /// [`MimeError::Line`] and [`MimeError::Repeated`].
    pub fn read_more(&mut self, block: &'a [u8]) -> Result<(), MimeError> {
        fields(block).try_for_each(|field| self.insert(field?))
    }

    /// Takes one more header; what decides nothing is passed over. Folds may still be in its body.
    ///
    /// # Errors
    /// [`MimeError::Repeated`] where one of that name is there.
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

    /// The Content-Type as it was written, folds included; `None` where there is none.
    #[must_use]
    pub fn content_type(&self) -> Option<&'a [u8]> {
        self.bodies[0]
    }

    /// The media type with its parameters; `None` where there is no Content-Type.
    ///
    /// # Errors
    /// [`MimeError::Value`] where there is one that cannot be read.
    pub fn media_type(&self) -> Result<Option<Value<'a>>, MimeError> {
        self.bodies[0].map(|body| Value::media_type(body).ok_or(MimeError::Value)).transpose()
    }

    /// The Content-Disposition with its parameters; `None` where there is none, or an empty one.
    ///
    /// # Errors
    /// [`MimeError::Value`] where it cannot be read.
    pub fn disposition(&self) -> Result<Option<Value<'a>>, MimeError> {
        let body = self.bodies[2].filter(|body| !body.is_empty());
        body.map(|body| Value::token(body).ok_or(MimeError::Value)).transpose()
    }

    /// Whether the octets of the body are those of its type: no Content-Encoding but identity, and no Content-Transfer-Encoding
    /// that changes any (RFC 2045 §6.2); an empty one, as sipsimple writes it, changes none.
    #[must_use]
    pub fn is_unencoded(&self) -> bool {
        let transferred = self.bodies[1].is_none_or(|body| names_only(body, &["7bit", "8bit", "binary"]));
        transferred && !self.is_encoded
    }
}

/// Whether a list of tokens has none but these.
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
    fn each_header_that_decides_may_stand_once() {
        for name in NAMES {
            let once = format!("{name}:\r\n 1\r\nX: 2\r\nX: 3\r\n");
            assert!(ContentHeaders::read(once.as_bytes()).is_ok(), "{name}");
            let twice = format!("{once}{} : 4\r\n", name.to_uppercase());
            assert_eq!(ContentHeaders::read(twice.as_bytes()), Err(MimeError::Repeated), "{name}");
        }
    }

    #[test]
    fn what_changes_the_octets_is_seen() {
        for (block, plain) in [
            ("", true),
            ("Content-Transfer-Encoding: \n", true),
            ("Content-Transfer-Encoding: 8BIT\r\n", true),
            ("Content-Transfer-Encoding:\r\n binary (as it is)\r\n", true),
            ("Content-Transfer-Encoding:\r\n base64\r\n", false),
            ("Content-Transfer-Encoding: (8bit) quoted-printable\r\n", false),
            ("Content-Transfer-Encoding: 8bit base64\r\n", false),
            ("Content-Encoding: identity\r\n", true),
            ("Content-Encoding: identity,\r\n gzip\r\n", false),
            ("Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", false),
        ] {
            assert_eq!(ContentHeaders::read(block.as_bytes()).unwrap().is_unencoded(), plain, "{block:?}");
        }
    }

    #[test]
    fn values_are_read_where_they_stand() {
        let headers = ContentHeaders::read(b"content-type:\r\n a/b\r\nContent-Disposition:\n x;\n y=z\n").unwrap();
        assert!(headers.media_type().unwrap().unwrap().is("A/B"));
        let disposition = headers.disposition().unwrap().unwrap();
        assert!(disposition.is("X") && disposition.parameter_is("y", "Z").unwrap());
        let broken = ContentHeaders::read(b"Content-Type: a\r\nContent-Disposition: ;x\r\n").unwrap();
        assert_eq!(broken.media_type(), Err(MimeError::Value));
        assert_eq!(broken.disposition(), Err(MimeError::Value));
        assert_eq!(ContentHeaders::default().media_type(), Ok(None));
    }
}
