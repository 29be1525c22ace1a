//! One user of a roster, as documents show it (RFC 4575 §5.6).

use std::cell::OnceCell;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::focus::tag::Tag;
use parlor_proto::conference_info::{Endpoint, JoiningMethod, MediaStatus, User, write_user};

/// The number of a change.
pub type ChangeNumber = u64;

/// One session of a user.
#[derive(Debug)]
pub struct Device {
    pub call: Tag,
    pub display_name: Option<Arc<str>>,
    pub joining_method: JoiningMethod,
    pub joined_at: Option<String>,
    pub brought_by: Option<String>,
    pub media: MediaStatus,
}

/// A device with what the roster adds.
#[derive(Debug)]
pub struct Entry {
    pub device: Device,
    /// Its key among the user's: a number, which reveals nothing of the client's address.
    pub number: u64,
    pub nickname: Option<(ChangeNumber, Arc<str>)>,
}

/// One user in a room, with its devices.
#[derive(Debug)]
pub struct Participant {
    pub uri: Arc<str>,
    pub role: &'static str,
    pub devices: SmallVec<[Entry; 1]>,
    pub changed: ChangeNumber,
    /// As it stands in documents, once one was written.
    pub written: OnceCell<Box<str>>,
}

impl Participant {
    /// Without a device yet.
    pub fn new(uri: Arc<str>, role: &'static str) -> Self {
        Self { uri, role, devices: SmallVec::new(), changed: 0, written: OnceCell::new() }
    }

    /// The user's latest nickname is shown, whichever device has it.
    fn nickname(&self) -> Option<&str> {
        let given = self.devices.iter().filter_map(|entry| entry.nickname.as_ref());
        given.max_by_key(|(change, _)| *change).map(|(_, nickname)| &**nickname)
    }

    pub fn written(&self) -> &str {
        self.written.get_or_init(|| self.write().into())
    }

    fn write(&self) -> String {
        let entities: Vec<String> =
            self.devices.iter().map(|entry| format!("{};endpoint={}", self.uri, entry.number)).collect();
        let endpoints = self.devices.iter().zip(&entities).map(|(entry, entity)| entry.endpoint(entity)).collect();
        let display_text = self.devices.iter().find_map(|entry| entry.device.display_name.as_deref());
        let roles = [self.role];
        let user = User { entity: &self.uri, nickname: self.nickname(), display_text, roles: &roles, endpoints };
        let mut written = String::new();
        write_user(&mut written, &user);
        written
    }
}

impl Entry {
    fn endpoint<'a>(&'a self, entity: &'a str) -> Endpoint<'a> {
        Endpoint {
            entity,
            joining_method: self.device.joining_method,
            joined_at: self.device.joined_at.as_deref(),
            brought_by: self.device.brought_by.as_deref(),
            media: self.device.media,
        }
    }
}
