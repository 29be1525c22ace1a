//! Name resolution for calls that the focus makes.

use std::net::IpAddr;

use tokio::sync::mpsc;

/// The query's number and the addresses of the name; none if it has none.
pub type Resolved = (u64, Vec<IpAddr>);

/// Resolves a name in a task of its own and sends the addresses to `resolved`. Returns `false` if `LOOKUPS_MAX` queries are in
/// progress. Must be called within a `LocalSet`.
pub fn resolve(query: u64, name: String, resolved: &mpsc::Sender<Resolved>) -> bool {
    let Ok(permit) = resolved.clone().try_reserve_owned() else { return false };
    tokio::task::spawn_local(async move {
        let addresses = tokio::net::lookup_host((name, 0)).await;
        let addresses = addresses.map(|all| all.map(|address| address.ip()).collect()).unwrap_or_default();
        permit.send((query, addresses));
    });
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LOOKUPS_MAX;

    #[tokio::test]
    async fn the_number_of_queries_in_progress_is_limited() {
        let (resolved, mut answers) = mpsc::channel(LOOKUPS_MAX);
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                // No task starts before this one waits.
                for query in 0..LOOKUPS_MAX as u64 {
                    assert!(resolve(query, "127.0.0.1".to_owned(), &resolved));
                }
                assert!(!resolve(0, "127.0.0.1".to_owned(), &resolved));
                assert!(answers.recv().await.is_some());
                assert!(resolve(0, "127.0.0.1".to_owned(), &resolved), "one query has ended");
            })
            .await;
    }
}
