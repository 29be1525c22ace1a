//! Calls: dialogs (RFC 3261 §12) and who a caller is.
//!
//! Parts that a [`crate::focus`] is made of, and a client too: [`Dialog`] knows both sides.

mod dialog;
mod digest;
mod failures;
mod identity;
mod known;
mod nonces;
mod pattern;
mod privacy;
mod session_timer;
mod subscription;
mod users;

pub use dialog::{Dialog, DialogError, asks_for_sips};
pub use digest::{AuthError, Authenticator, RequestSource};
pub use identity::{Caller, Identity, IdentityError, asserted, identify};
pub use pattern::matches_any;
pub use privacy::Privacy;
pub use session_timer::{INTERVAL_MIN, IntervalTooSmall, SessionTimer, TIMER_TAG, min_se};
pub use subscription::{Due, EndOfSubscription, EventName, Outcome, Subscription};
pub use users::{Secret, Users};

#[cfg(test)]
mod tests;
