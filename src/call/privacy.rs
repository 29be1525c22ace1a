//! The privacy that a caller requests (RFC 3323 §4.2, RFC 3325 §9.3).

use parlor_proto::sip::{HeaderName, Headers, text_rows};

/// The values of the Privacy header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Privacy {
    /// The other members must not see the caller's identity: `id`, `user` or `header`. `session` needs no action, because the
    /// switch relays all messages and members do not see each other's addresses. Nor does `history`: requests are not forwarded.
    pub anonymous: bool,
    /// Unknown values of a header with `critical`: the request fails (RFC 3323 §5).
    pub unmet: Vec<String>,
}

impl Privacy {
    /// Reads the header. `none` forbids every other value and asks for nothing.
    #[must_use]
    pub fn of(headers: &Headers) -> Self {
        let rows = text_rows(headers, &HeaderName::Privacy);
        let values =
            || rows.iter().flat_map(|row| row.split([';', ','])).map(str::trim).filter(|value| !value.is_empty());
        let has = |name: &str| values().any(|value| value.eq_ignore_ascii_case(name));
        if has("none") {
            return Self::default();
        }
        let known = |value: &str| {
            ["id", "user", "header", "session", "history", "critical"]
                .iter()
                .any(|name| value.eq_ignore_ascii_case(name))
        };
        let unknown = values().filter(|value| !known(value)).map(str::to_owned);
        Self {
            anonymous: has("id") || has("user") || has("header"),
            unmet: if has("critical") { unknown.collect() } else { Vec::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::headers;

    fn privacy(value: &str) -> Privacy {
        Privacy::of(&headers(&[(HeaderName::Privacy, value)]))
    }

    #[test]
    fn what_is_asked_for_is_read() {
        for value in ["id", "user", "header", "ID", "session;id", "id;critical", "header;user;session"] {
            assert_eq!(privacy(value), Privacy { anonymous: true, unmet: vec![] }, "{value}");
        }
        for value in ["none", "session", "history", "critical", "none;id", "", "later"] {
            assert_eq!(privacy(value), Privacy::default(), "{value}");
        }
        assert_eq!(privacy("id;later;critical").unmet, ["later"]);
        assert_eq!(Privacy::of(&Headers::new()), Privacy::default());
    }
}
