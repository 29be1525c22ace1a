//! The scenarios: what each puts on a server, and its arguments.

pub mod calls;
pub mod churn;
pub mod fanout;
pub mod idle;
pub mod join_storm;
pub mod large;
pub mod slow;
pub mod sweep;
pub mod talk;
