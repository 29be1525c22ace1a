//! The namespaces of header names (RFC 3862 §3.4).

use smallvec::SmallVec;

use super::header::{is_name_octet, split_address, unquoted};
use super::{CpimError, Header};

/// The namespace of the headers of RFC 3862 §4.
const CPIM: &[u8] = b"urn:ietf:params:cpim-headers:";

/// What the NS headers of a message declare up to some line: which names are those of RFC 3862.
#[derive(Debug, Clone)]
pub struct Namespaces<'a> {
    /// Whether names without a prefix are from another namespace.
    default_is_foreign: bool,
    /// The prefixes of [`CPIM`].
    prefixes: SmallVec<[&'a [u8]; 2]>,
    prefixes_max: usize,
}

impl<'a> Namespaces<'a> {
    /// Only the default: names without a prefix are CPIM's own. At most `prefixes_max` prefixes may be declared for its namespace.
    pub fn new(prefixes_max: usize) -> Self {
        Self { default_is_foreign: false, prefixes: SmallVec::new(), prefixes_max }
    }

    /// Resolves the name of the next header. Returns it without its prefix if it is from CPIM's own namespace.
    ///
    /// NS without a prefix is NS whatever the default namespace is, like `xmlns` in XML, on which §3.4 is modelled.
    ///
    /// # Errors
    /// Returns [`CpimError::Namespace`] if the header is a malformed NS, and [`CpimError::TooManyPrefixes`] if it declares one too
    /// many.
    pub fn resolve(&mut self, header: &Header<'a>) -> Result<Option<&'a str>, CpimError> {
        let name = match header.name.split_once('.') {
            None => (!self.default_is_foreign || header.name == "NS").then_some(header.name),
            Some((prefix, local)) => self.prefixes.contains(&prefix.as_bytes()).then_some(local),
        };
        if name == Some("NS") {
            self.declare(header.value)?;
        }
        Ok(name)
    }

    fn declare(&mut self, value: &'a [u8]) -> Result<(), CpimError> {
        // Unlike an address it always has angle brackets.
        let bracketed = split_address(value).filter(|_| value.ends_with(b">"));
        let (prefix, uri) = bracketed.ok_or(CpimError::Namespace)?;
        let prefix = prefix.trim_ascii();
        let prefix = unquoted(prefix).unwrap_or(prefix);
        // The scheme and the namespace of a URN are compared without regard to case (RFC 8141 §3.1).
        let is_cpim = uri.eq_ignore_ascii_case(CPIM);
        if prefix.is_empty() {
            self.default_is_foreign = !is_cpim;
            return Ok(());
        }
        if !prefix.iter().all(|&b| is_name_octet(b) && b != b'.') {
            return Err(CpimError::Namespace);
        }
        self.prefixes.retain(|known| *known != prefix);
        if is_cpim {
            if self.prefixes.len() >= self.prefixes_max {
                return Err(CpimError::TooManyPrefixes);
            }
            self.prefixes.push(prefix);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CPIM_PREFIXES_MAX;

    /// The names of the headers that are CPIM's own.
    fn names(block: &str) -> Result<Vec<&str>, CpimError> {
        names_within(block, CPIM_PREFIXES_MAX)
    }

    fn names_within(block: &str, prefixes_max: usize) -> Result<Vec<&str>, CpimError> {
        let mut namespaces = Namespaces::new(prefixes_max);
        let mut found = Vec::new();
        for line in block.lines() {
            let header = Header::parse(line.as_bytes()).ok_or(CpimError::Header)?;
            found.extend(namespaces.resolve(&header)?);
        }
        Ok(found)
    }

    #[test]
    fn a_prefix_means_its_namespace_from_its_declaration_on() {
        let block = "c.To: x\nNS: c <urn:ietf:params:cpim-headers:>\nc.To: x\nTo: x\nd.To: x\nc.c.To: x\nC.To: x";
        assert_eq!(names(block), Ok(vec!["NS", "To", "To", "c.To"]));
        let again = "NS: c <urn:ietf:params:cpim-headers:>\nc.NS: d <URN:ietf:params:cpim-headers:>\nd.From: x\n\
                     NS: c <mid:x@y>\nc.To: x\nd.cc: x";
        assert_eq!(names(again), Ok(vec!["NS", "NS", "From", "NS", "cc"]));
    }

    #[test]
    fn the_default_namespace_can_be_changed_and_restored() {
        let block = "From: x\nNS: <mid:x@y>\nFrom: x\nNS: c <urn:ietf:params:cpim-headers:>\nc.From: x\n\
                     NS: <urn:ietf:params:cpim-headers:>\nTo: x";
        assert_eq!(names(block), Ok(vec!["From", "NS", "NS", "From", "NS", "To"]));
    }

    #[test]
    fn a_malformed_declaration_is_an_error() {
        for value in ["", "c", "c urn:x", "<>", "a b <mid:x@y>", "a.b <mid:x@y>", "c <mid:x@y> d", "c: <mid:x@y>"] {
            assert_eq!(names(&format!("NS: {value}")), Err(CpimError::Namespace), "{value}");
        }
        assert_eq!(names("NS: \"c\" <urn:ietf:params:cpim-headers:>\nc.To: x"), Ok(vec!["NS", "To"]));
    }

    #[test]
    fn prefixes_are_limited() {
        let block = |count: usize| -> String {
            (0..count).map(|n| format!("NS: p{n} <urn:ietf:params:cpim-headers:>\nNS: q{n} <mid:x@y>\n")).collect()
        };
        for max in [CPIM_PREFIXES_MAX, 2] {
            assert!(names_within(&block(max), max).is_ok());
            assert_eq!(names_within(&block(max + 1), max), Err(CpimError::TooManyPrefixes));
        }
    }
}
