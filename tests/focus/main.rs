//! The focus with fake peers and fake shards: no sockets, and a clock that the tests turn.

mod addressing;
mod awareness;
mod bodies;
mod changing;
mod crossing;
mod ending;
mod identity;
mod joining;
mod limits;
mod lists;
mod media;
mod media_lines;
mod nicknames;
mod notifying;
mod outgoing_calls;
mod outgoing_calls_over_tls;
mod overload;
mod refer;
mod refusals;
mod rooms;
#[path = "../support/schema.rs"]
mod schema;
mod session_timer;
mod storm;
mod subscribers;
mod subscribing;
mod trying_again;
mod unsubscribing;
mod update;
mod watcher;
mod world;
