//! Why a request is refused.

use std::borrow::Cow;

use crate::call::{DialogError, Privacy};
use crate::focus::tag::Tag;
use parlor_proto::sdp::MediaError;
use parlor_proto::sip::{
    BodyError, HeaderName, ListError, Method, Request, address_text, addresses, quoted, reason_phrase,
};
use parlor_proto::uri::Aor;

/// A status, a phrase that says more than the usual one, and headers that say what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub phrase: Option<Cow<'static, str>>,
    pub headers: Vec<(HeaderName, String)>,
    /// The key of the config that says so, for the log.
    rule: Option<&'static str>,
}

impl Refusal {
    pub fn new(status: u16) -> Self {
        Self { status, phrase: None, headers: Vec::new(), rule: None }
    }

    pub fn because(mut self, phrase: impl Into<Cow<'static, str>>) -> Self {
        self.phrase = Some(phrase.into());
        self
    }

    /// By which key of the config.
    pub fn by(mut self, rule: &'static str) -> Self {
        self.rule = Some(rule);
        self
    }

    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Logs why a user is not let in. What happens all the time, or to all users under overload, is logged at the level
    /// `debug`.
    pub fn log(&self, request: &Request) {
        let warning =
            self.headers.iter().find(|(name, _)| *name == HeaderName::Warning).map(|(_, value)| value.as_str());
        let why = warning.or(self.phrase.as_deref()).unwrap_or_else(|| reason_phrase(self.status));
        let (method, to, call, status) = (&request.method, address_text(&request.uri), Tag::of(request), self.status);
        let from = if call.is_none() { caller_to_show(request) } else { None };
        let call = call.map(tracing::field::display);
        let joins = matches!(method, Method::Invite | Method::Subscribe | Method::Refer | Method::Update);
        if joins && !matches!(status, 401 | 407 | 491 | 503) {
            tracing::info!(call, %method, to, from, status, why, rule = self.rule, "a request is refused");
        } else {
            tracing::debug!(call, %method, to, from, status, why, rule = self.rule, "a request is refused");
        }
    }

    /// 404 for an address at a host that is none of ours, mostly a mistake of the config: the key is in the response
    /// and in the log.
    pub fn not_our_domain(target: &Aor) -> Self {
        let why = format!("{} is none of the hosts in sip.domains", target.host().unwrap_or_default());
        Self::new(404).with(HeaderName::Warning, format!("399 parlor {}", quoted(&why)))
    }

    /// 503: come again in so many seconds (RFC 3261 §21.5.4).
    pub fn later(seconds: u32) -> Self {
        Self::new(503).with(HeaderName::RetryAfter, seconds.to_string())
    }
}

/// The From of a request, unless its sender wants privacy (RFC 3323).
fn caller_to_show(request: &Request) -> Option<String> {
    let from = addresses(&request.headers, &HeaderName::From)?.into_iter().next()?;
    (!Privacy::of(&request.headers).anonymous).then(|| address_text(&from.uri))
}

impl From<MediaError> for Refusal {
    /// 488 with a Warning that says what was wrong with the offer (RFC 3261 §20.43, §21.4.26).
    fn from(why: MediaError) -> Self {
        let code = match why {
            MediaError::NoMessageMedia | MediaError::FileTransfer => 304,
            MediaError::CpimNotAccepted | MediaError::TooManyTypes { .. } => 305,
            MediaError::TlsUnavailable | MediaError::TlsRequired => 302,
            MediaError::Path | MediaError::Setup | MediaError::Fingerprint | MediaError::PathMismatch => 399,
        };
        Self::new(488).with(HeaderName::Warning, format!("{code} parlor {}", quoted(&why.to_string())))
    }
}

impl From<DialogError> for Refusal {
    fn from(why: DialogError) -> Self {
        Self::new(400).because(match why {
            DialogError::Contact => "Bad Contact",
            DialogError::RecordRoute => "Bad Record-Route",
            DialogError::Header => "Bad Request",
        })
    }
}

impl From<ListError> for Refusal {
    fn from(why: ListError) -> Self {
        match why {
            ListError::Malformed => Self::new(400).because("Bad Recipient List"),
            ListError::TooLong => Self::new(413),
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(why: BodyError) -> Self {
        match why {
            BodyError::Unsupported => Self::new(415).with(HeaderName::Accept, "application/sdp"),
            BodyError::Coding => Self::new(415).with(HeaderName::AcceptEncoding, "identity"),
            BodyError::Malformed => Self::new(400).because("Bad Body"),
        }
    }
}
