//! The config reference, which docs/operating.md and parlor.toml(5) show.

/// A config with every key at its default and a comment. Users, the room and the files are examples.
pub const REFERENCE: &str = include_str!("reference.toml");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Config;

    /// The tables of the reference, with their keys and inner tables.
    fn documented() -> Vec<(String, BTreeSet<String>)> {
        let mut tables: Vec<(String, BTreeSet<String>)> = vec![(String::new(), BTreeSet::new())];
        for line in REFERENCE.lines() {
            if let Some((name, _)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                let (outer, inner) = name.rsplit_once('.').unwrap_or(("", name));
                if let Some((_, keys)) = tables.iter_mut().find(|(name, _)| name == outer) {
                    keys.insert(inner.to_owned());
                } else {
                    tables[0].1.insert(outer.to_owned());
                    tables.push((outer.to_owned(), [inner.to_owned()].into()));
                }
                if tables.iter().all(|(table, _)| table != name) {
                    tables.push((name.to_owned(), BTreeSet::new()));
                }
            } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
                tables.last_mut().unwrap().1.insert(key.to_owned());
            }
        }
        tables
    }

    /// The keys that the reader knows in a table, from its error for an unknown key.
    fn read_in(table: &str) -> BTreeSet<String> {
        let unknown = "q".repeat(40);
        let head = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let errors = Config::parse("test", &format!("{head}{unknown} = 1\n")).unwrap_err();
        let error = errors.errors.iter().find(|error| error.message.contains(&unknown)).unwrap();
        let known = error.help.strip_prefix("known keys: ").unwrap();
        known.split(", ").map(str::to_owned).collect()
    }

    #[test]
    fn the_reference_has_exactly_the_known_keys() {
        let documented = documented();
        let of = |table: &str| documented.iter().find(|(name, _)| name == table).unwrap().1.clone();
        for (table, keys) in &documented {
            match table.as_str() {
                // User names.
                "sip.auth.users" => {}
                "rooms.lobby" => assert_eq!(&of("rooms.defaults") | keys, read_in(table)),
                // Also rooms by name.
                "rooms" => assert_eq!(keys, &(&read_in(table) | &["lobby".to_owned()].into())),
                _ => assert_eq!(keys, &read_in(table), "[{table}]"),
            }
        }
        assert!(documented.len() > 8, "{documented:?}");
    }

    #[test]
    fn the_reference_has_the_defaults() {
        let mut config =
            Config::parse("reference.toml", REFERENCE).unwrap_or_else(|errors| panic!("{}", errors.render()));
        assert_eq!(config.sip.auth.take().map(|auth| auth.users.len()), Some(2));
        assert!(config.tls.take().is_some());
        assert_eq!(config.rooms.named.remove("lobby").and_then(|room| room.subject), Some("Welcome".into()));
        assert_eq!(config, Config::default());
    }

    #[test]
    fn the_guide_contains_the_reference() {
        let guide = include_str!("../../docs/operating.md");
        assert!(
            guide.contains(&format!("```toml\n{REFERENCE}```\n")),
            "docs/operating.md must contain src/config/reference.toml verbatim"
        );
    }
}
