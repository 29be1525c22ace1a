//! Every key with its default and what it is for: what docs/operating.md shows, and parlor.toml(5).

/// A config of all keys: each has its default, the users, the room by name and the files aside, which are examples.
pub const REFERENCE: &str = include_str!("reference.toml");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Config;

    /// The tables of the reference, and what stands in each: keys and inner tables.
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

    /// What the reader asks a table for, as it says where it finds a key that nobody knows.
    fn read_in(table: &str) -> BTreeSet<String> {
        let unknown = "q".repeat(40);
        let head = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let errors = Config::parse("test", &format!("{head}{unknown} = 1\n")).unwrap_err();
        let error = errors.errors.iter().find(|error| error.message.contains(&unknown)).unwrap();
        let known = error.help.strip_prefix("known here: ").unwrap();
        known.split(", ").map(str::to_owned).collect()
    }

    #[test]
    fn every_key_is_there_and_no_other() {
        let documented = documented();
        let of = |table: &str| documented.iter().find(|(name, _)| name == table).unwrap().1.clone();
        for (table, keys) in &documented {
            match table.as_str() {
                // Names of users.
                "sip.auth.users" => {}
                "rooms.lobby" => assert_eq!(&of("rooms.defaults") | keys, read_in(table)),
                // Besides, rooms by name.
                "rooms" => assert_eq!(keys, &(&read_in(table) | &["lobby".to_owned()].into())),
                _ => assert_eq!(keys, &read_in(table), "[{table}]"),
            }
        }
        assert!(documented.len() > 8, "{documented:?}");
    }

    #[test]
    fn its_values_are_the_defaults() {
        let mut config =
            Config::parse("reference.toml", REFERENCE).unwrap_or_else(|errors| panic!("{}", errors.render()));
        assert_eq!(config.sip.auth.take().map(|auth| auth.users.len()), Some(2));
        assert!(config.tls.take().is_some());
        assert_eq!(config.rooms.named.remove("lobby").and_then(|room| room.subject), Some("Welcome".into()));
        assert_eq!(config, Config::default());
    }

    #[test]
    fn the_guide_shows_it() {
        let guide = include_str!("../../docs/operating.md");
        assert!(
            guide.contains(&format!("```toml\n{REFERENCE}```\n")),
            "docs/operating.md has src/config/reference.toml as it is"
        );
    }
}
