//! The switch, driven without a socket.

mod fixture;

mod regular;

pub(crate) use fixture::{Fixture, Options};
