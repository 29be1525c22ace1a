//! Calls: dialogs (RFC 3261 §12), who a caller is, and when something is to happen.
//!
//! Parts that a [`crate::focus`] is made of, and a client too: [`Dialog`] knows both sides.

mod alarms;
mod dialog;
mod identity;
mod pattern;
mod subscription;

pub use alarms::Alarms;
pub use dialog::{Dialog, DialogError};
pub use identity::{IdentityError, identify};
pub use pattern::matches_any;
pub use subscription::{Due, EndOfSubscription, EventName, Standing, Subscription};
