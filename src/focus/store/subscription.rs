//! One subscription, and what it is to.

use std::sync::Arc;

use bytes::Bytes;

use crate::call::{Dialog, Subscription};
use crate::focus::store::participant::ChangeNumber;
use crate::focus::tag::Tag;
use crate::ids::RoomId;
use crate::shares::Share;
use parlor_proto::uri::Aor;

/// The event package of reports (RFC 3515 §3).
pub const REFER: &str = "refer";

/// The media type of reports.
pub const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// One subscription, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u64);

/// A subscription with what its package needs.
#[derive(Debug)]
pub struct SubscriptionEntry {
    /// Its dialog: a call's, or one of [`Subscriptions::dialog_mut`].
    pub tag: Tag,
    pub subscription: Subscription,
    pub package: Package,
    /// The subscriber has no stream for what is large.
    pub datagrams_only: bool,
    /// Its subscriber was in a call, which has ended: a drain does not wait for its last NOTIFY.
    pub call_ended: bool,
    pub queued: bool,
    /// What it takes of a common limit, and for which holder.
    pub share: Option<Share>,
}

impl SubscriptionEntry {
    /// How far it follows a roster, if it is to one.
    pub fn watch(&self) -> Option<&Watch> {
        self.package.watch()
    }

    pub fn watch_mut(&mut self) -> Option<&mut Watch> {
        match &mut self.package {
            Package::Conference(watch) => Some(watch),
            Package::Refer(_) => None,
        }
    }
}

/// What a subscription is to.
#[derive(Debug)]
pub enum Package {
    /// A room's roster (RFC 4575).
    Conference(Watch),
    /// What becomes of a REFER (RFC 3515 §2.4.4).
    Refer(Progress),
}

impl Package {
    pub fn watch(&self) -> Option<&Watch> {
        match self {
            Self::Conference(watch) => Some(watch),
            Self::Refer(_) => None,
        }
    }
}

/// How far a subscriber follows a roster.
#[derive(Debug)]
pub struct Watch {
    pub room: RoomId,
    /// The room's URI, the key of its documents.
    pub entity: Arc<str>,
    /// The subscribing user.
    pub user: Aor,
    pub position: Position,
    /// The place before the NOTIFY that is in flight.
    pub before: Position,
}

/// A place in a roster's changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Position {
    /// The last change that was sent.
    pub seen: ChangeNumber,
    /// The version of the last document; 0 before the first.
    pub version: u32,
}

/// The progress of a REFER.
#[derive(Debug)]
pub struct Progress {
    pub status: u16,
    pub phrase: String,
}

impl Progress {
    /// A status line, and nothing else of what was answered (RFC 3515 §2.4.5, §5.2).
    pub fn body(&self) -> Bytes {
        format!("SIP/2.0 {} {}\r\n", self.status, self.phrase).into()
    }
}

/// A dialog without a call: a SUBSCRIBE or a REFER began it, or its call has ended (RFC 6665 §4.5.2).
#[derive(Debug)]
pub struct SubscriptionDialog {
    pub dialog: Dialog,
    pub contact: String,
    pub sent_by: String,
    /// Whose it is, where that is known, and whether a trusted peer has said so.
    pub account: Option<Aor>,
    pub vouched: bool,
}
