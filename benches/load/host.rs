//! The program that the bench is a command of.

use std::collections::BTreeMap;
use std::fmt::Display;

/// What the bench takes from the program that it is a command of.
///
/// The servers that the bench starts are further processes of the same executable, which therefore has to understand
/// `serve --config /dev/stdin --end-with-parent --cores LIST`, `bench floor …` and `bench peer …`.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// The name and version of the server, such as `Parlor 0.1.0`.
    pub server_version: &'static str,
    /// The settings in force, by key, of the shards of a server that is started with these flags. `io` is the back end in use, also
    /// where the configured one is not available.
    pub shard_settings: fn(flags: &[String]) -> BTreeMap<String, String>,
    /// Writes a text to standard output. Returns whether it was written; if not, the error has been reported.
    pub print: fn(text: &str) -> bool,
    /// Writes a line of diagnosis to standard error.
    pub complain: fn(text: &dyn Display),
}
