//! The switch, driven without a socket.

mod fixture;

mod binding;
mod bounds;
mod congestion;
mod content;
mod dialling;
mod endings;
mod hold;
mod ids;
mod limits;
mod log;
mod mime;
mod namespaces;
mod nicknames;
mod notices;
mod order;
mod overlap;
mod pieces;
mod private;
mod refused;
mod regular;
mod reports;
mod streams;
mod types;
