//! The focus with fake peers and fake shards: no sockets, and a clock that the tests turn.

mod changing;
mod ending;
mod identity;
mod joining;
mod media;
mod nicknames;
mod overload;
mod refusals;
mod rooms;
#[path = "../support/schema.rs"]
mod schema;
mod storm;
mod subscribers;
mod subscribing;
mod watcher;
mod world;
