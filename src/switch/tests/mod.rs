//! The switch, driven without a socket.

mod fixture;

mod binding;
mod congestion;
mod nicknames;
mod private;
mod regular;
mod reports;
mod streams;
