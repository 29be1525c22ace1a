//! The dialogs there are: of calls, and of subscriptions that have one of their own.

use std::sync::Arc;

use crate::call::Dialog;
use crate::focus::context::Context;
use crate::focus::store::call::Call;
use crate::focus::store::subscription::SubscriptionDialog;
use crate::focus::tag::Tag;
use parlor_proto::sip::Request;

pub fn new_tag(cx: &mut Context<'_>) -> Tag {
    loop {
        let tag = Tag(cx.core.random());
        let taken = cx.calls.contains(tag) || cx.outgoing.contains(tag);
        if !taken && cx.subscriptions.dialog_mut(tag).is_none() {
            return tag;
        }
    }
}

/// Whether a request belongs to a dialog of ours.
pub fn is_in_dialog(cx: &Context<'_>, request: &Request) -> bool {
    cx.calls.owner(request).or_else(|| cx.subscriptions.owner(request)).is_some()
}

/// The dialog of a call or a subscription, our Contact in it, and the host and port of our Via.
pub fn parts_of<'a>(cx: &'a mut Context<'_>, tag: Tag) -> Option<(&'a mut Dialog, &'a str, &'a str)> {
    if let Some(Call { dialog, contact, sent_by, .. }) = cx.calls.get_mut(tag) {
        return Some((dialog, contact, sent_by));
    }
    let SubscriptionDialog { dialog, contact, sent_by, .. } = cx.subscriptions.dialog_mut(tag)?;
    Some((dialog, contact, sent_by))
}

/// Our Contact in a dialog.
pub fn contact_in(cx: &mut Context<'_>, tag: Tag) -> Option<String> {
    parts_of(cx, tag).map(|(_, contact, _)| contact.to_owned())
}

pub fn dialog_mut<'a>(cx: &'a mut Context<'_>, tag: Tag) -> Option<&'a mut Dialog> {
    parts_of(cx, tag).map(|(dialog, ..)| dialog)
}

/// The name of a call's room.
pub fn room_of(cx: &Context<'_>, tag: Tag) -> Arc<str> {
    let room = cx.calls.get(tag).and_then(|call| cx.rooms.get(call.room));
    room.map(|room| room.name.clone()).unwrap_or_default()
}
