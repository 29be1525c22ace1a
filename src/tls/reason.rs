//! The text of TLS errors.

use std::fmt::{Display, Write};

/// How the library formats errors of other types.
const WRAPPED: &str = "Other(OtherError(";

/// The text of an error. The name of a wrapped error, as in `Other(OtherError(CaUsedAsEndEntity))`, becomes words.
#[must_use]
pub fn reason(error: &impl Display) -> String {
    let text = error.to_string();
    let Some((before, rest)) = text.split_once(WRAPPED) else { return text };
    let (name, after) = rest.split_once("))").unwrap_or((rest, ""));
    format!("{before}{}{after}", words(name))
}

/// `CaUsedAsEndEntity` as `ca used as end entity`. Other text is unchanged.
fn words(name: &str) -> String {
    if !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len() + 8);
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push(' ');
        }
        let _ = write!(out, "{}", c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_names_become_words() {
        for (text, plain) in [
            (
                "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
                "invalid peer certificate: ca used as end entity",
            ),
            ("invalid peer certificate: UnknownIssuer", "invalid peer certificate: UnknownIssuer"),
            ("Other(OtherError(a b (c)))", "a b (c)"),
            ("Other(OtherError(Cut", "cut"),
            ("connection reset", "connection reset"),
        ] {
            assert_eq!(reason(&text), plain, "{text}");
        }
    }

    #[test]
    fn an_error_of_rustls_is_unwrapped() {
        let error = rustls::Error::InvalidCertificate(rustls::CertificateError::Other(rustls::OtherError(
            std::sync::Arc::new(std::io::Error::other("CaUsedAsEndEntity")),
        )));
        let text = reason(&error);
        assert!(!text.contains("Other("), "{text}");
    }
}
