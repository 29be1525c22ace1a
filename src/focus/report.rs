//! What becomes of a REFER, told to whoever sent it (RFC 3515 §2.4.4): "100 Trying" at once, and the outcome at the end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Focus;
use super::asked::Asked;
use super::calls::Tag;
use super::face::Alarm;
use crate::call::Dialog;
use crate::sip::{HeaderName, Method};

/// One report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ReportId(pub(super) u64);

/// For how long a report may be awaited: longer than anything that is reported on takes (RFC 3515 §3.4).
const REPORT_MAX: Duration = Duration::from_secs(180);

/// An implicit subscription: two NOTIFYs, one after the other.
#[derive(Debug)]
pub(super) struct Report {
    leg: Leg,
    /// The value of Event: the package, and what tells several in one dialog apart.
    event: String,
    contact: String,
    sent_by: String,
    /// What is to be told next.
    next: Option<(u16, String)>,
    /// A NOTIFY waits for its answer.
    in_flight: bool,
    /// The last thing was told.
    over: bool,
    expires: Instant,
}

/// The dialog that the NOTIFYs are sent in.
#[derive(Debug)]
enum Leg {
    /// That of a call.
    Call(Tag),
    /// One that the REFER has made, or that its call has left.
    Own(Box<Dialog>),
}

/// All of them.
pub(super) type Reports = HashMap<ReportId, Report>;

/// Where a REFER has come from.
#[derive(Debug)]
pub(super) enum Origin {
    /// A call, and whether it has sent one before (RFC 3515 §2.4.6).
    Call { tag: Tag, number: Option<u32> },
    /// Outside of any.
    Own(Box<Dialog>),
}

impl Focus {
    /// A REFER was accepted: says that something is being done about it.
    pub(super) fn open_report(&mut self, origin: Origin, contact: String, now: Instant) -> ReportId {
        let id = ReportId(self.random());
        let (leg, event, sent_by) = match origin {
            Origin::Call { tag, number } => {
                let sent_by = self.calls.get(tag).map(|call| call.sent_by.clone()).unwrap_or_default();
                let event = number.map_or_else(|| "refer".to_owned(), |number| format!("refer;id={number}"));
                (Leg::Call(tag), event, sent_by)
            }
            Origin::Own(dialog) => {
                let sent_by = self.sent_by(dialog.hop());
                (Leg::Own(dialog), "refer".to_owned(), sent_by)
            }
        };
        let next = Some((100, "Trying".to_owned()));
        let expires = now + REPORT_MAX;
        let report = Report { leg, event, contact, sent_by, next, in_flight: false, over: false, expires };
        self.reports.insert(id, report);
        self.alarms.set(Alarm::Report(id), expires);
        self.tell_report(id, now);
        id
    }

    /// The outcome. It goes out when the NOTIFY before it was answered, so that it cannot overtake that.
    pub(super) fn report_last(&mut self, id: ReportId, status: u16, phrase: &str, now: Instant) {
        let Some(report) = self.reports.get_mut(&id) else { return };
        report.next = Some((status, phrase.to_owned()));
        report.over = true;
        self.tell_report(id, now);
    }

    fn tell_report(&mut self, id: ReportId, now: Instant) {
        let branch = self.branch();
        let Some(report) = self.reports.get_mut(&id).filter(|report| !report.in_flight) else { return };
        let Some((status, phrase)) = report.next.take() else { return };
        let dialog = match &mut report.leg {
            Leg::Own(dialog) => Some(&mut **dialog),
            Leg::Call(tag) => self.calls.get_mut(*tag).map(|call| &mut call.dialog),
        };
        let Some(dialog) = dialog else {
            self.forget_report(id);
            return;
        };
        report.in_flight = true;
        let (ask, hop) = dialog.request(Method::Notify, &report.sent_by, &branch);
        // RFC 3515 §2.4.7.
        let state = match report.over {
            true => "terminated;reason=noresource".to_owned(),
            false => format!("active;expires={}", report.expires.saturating_duration_since(now).as_secs()),
        };
        let ask = ask
            .header(HeaderName::Event, report.event.clone())
            .header(HeaderName::SubscriptionState, state)
            .header(HeaderName::Contact, report.contact.clone())
            .header(HeaderName::Supported, self.supported())
            .header(HeaderName::UserAgent, self.settings.software.clone());
        let notify = ask.body("message/sipfrag;version=2.0", format!("SIP/2.0 {status} {phrase}\r\n"));
        self.ask(notify, hop, Asked::Report(id));
    }

    /// A NOTIFY was answered: the next one goes out, or all is told. One that is refused is the last (RFC 6665 §4.2.2).
    pub(super) fn report_answered(&mut self, id: ReportId, status: u16, now: Instant) {
        let Some(report) = self.reports.get_mut(&id) else { return };
        report.in_flight = false;
        if !(200..300).contains(&status) || (report.over && report.next.is_none()) {
            return self.forget_report(id);
        }
        self.tell_report(id, now);
    }

    /// Nobody is told any more. What the REFER has asked for goes on (RFC 3515 §2.4.4).
    pub(super) fn forget_report(&mut self, id: ReportId) {
        self.reports.remove(&id);
        self.alarms.clear(&Alarm::Report(id));
    }

    /// A call has ended; what it has asked for is told in what is left of its dialog.
    pub(super) fn leave_to_reports(&mut self, tag: Tag, dialog: &Dialog) {
        for report in self.reports.values_mut() {
            if matches!(report.leg, Leg::Call(of) if of == tag) {
                report.leg = Leg::Own(Box::new(dialog.clone()));
            }
        }
    }
}
