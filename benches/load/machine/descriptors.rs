//! Descriptors: a bench of many connections needs as many, on both sides.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process needs beside its connections.
const OTHERS: u64 = 64;

/// Raises this process's limit as far as it may, which the servers that it starts inherit, and checks that it is enough for
/// so many connections.
///
/// # Errors
/// Returns an error if the limit is too low.
pub fn reserve(connections: usize) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let _ = setrlimit(Resource::Nofile, raised);
    let (needed, allowed) = (connections as u64 + OTHERS, getrlimit(Resource::Nofile).current);
    match allowed {
        Some(allowed) if allowed < needed => Err(io::Error::other(format!(
            "this load needs {needed} descriptors, and `ulimit -Hn` says {allowed}: raise it, or ask for fewer members"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn too_many_are_refused_in_numbers() {
        assert!(super::reserve(1).is_ok());
        if let Err(error) = super::reserve(usize::MAX / 4) {
            assert!(error.to_string().contains("ulimit"), "{error}");
        }
    }
}
