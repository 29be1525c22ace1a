//! Building responses and requests, and checking the requests of peers.

use bytes::Bytes;
use sipx_sip::{Finding, Header, HeaderName, Headers, Method, Request, Response, StatusCode, Uri, validate_request};

use super::{request_uri, tag};

/// Builds a response. End with [`body`](Self::body) or [`empty`](Self::empty).
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until its message is taken"]
pub struct ResponseBuilder(Response);

impl ResponseBuilder {
    /// A response to `request`, with the headers that are copied from it (RFC 3261 §8.2.6.2). `to_tag` becomes the tag of To if the
    /// request has none and `status` is not 100. A `status` that is not one (100 to 699) becomes 500.
    pub fn new(request: &Request, status: u16, to_tag: &str) -> Self {
        Self::for_headers(&request.headers, status, to_tag)
    }

    /// [`Self::new`] for a request of which only the headers are known: see [`MalformedRequest`](super::MalformedRequest).
    pub fn for_headers(headers: &Headers, status: u16, to_tag: &str) -> Self {
        let code = StatusCode::new(status).or_else(|| StatusCode::new(500)).expect("500 is a status code");
        let mut response = Response::new(code, reason_phrase(code.code()));
        let untagged = status != 100 && tag(headers, &HeaderName::To).is_none();
        for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
            // Of a header that is there twice only the first is copied, except for Via: each hop has its own.
            let rows = if name == HeaderName::Via { usize::MAX } else { 1 };
            for header in headers.get_all(&name).take(rows) {
                let tagged = (untagged && name == HeaderName::To).then(|| with_tag(header, to_tag)).flatten();
                response.headers.push(tagged.unwrap_or_else(|| header.clone()));
            }
        }
        Self(response)
    }

    /// Replaces the usual reason phrase. A phrase with control characters is ignored.
    pub fn reason(mut self, reason: &str) -> Self {
        if !reason.bytes().any(|b| b.is_ascii_control()) {
            self.0.reason = Bytes::copy_from_slice(reason.as_bytes());
        }
        self
    }

    /// Adds a header. A value that would end its line is left out.
    pub fn header(mut self, name: HeaderName, value: impl Into<Bytes>) -> Self {
        push(&mut self.0.headers, name, value);
        self
    }

    /// Copies all rows of a header of the request, such as Record-Route (RFC 3261 §12.1.1).
    pub fn echo(mut self, request: &Request, name: &HeaderName) -> Self {
        for header in request.headers.get_all(name) {
            self.0.headers.push(header.clone());
        }
        self
    }

    /// The response with a body, its Content-Type and its Content-Length.
    #[must_use]
    pub fn body(self, media_type: &str, body: impl Into<Bytes>) -> Response {
        let mut response = self.header(HeaderName::ContentType, media_type.to_owned());
        let body = body.into();
        push(&mut response.0.headers, HeaderName::ContentLength, body.len().to_string());
        response.0.set_body(body);
        response.0
    }

    /// The response without a body, with a Content-Length of 0.
    #[must_use]
    pub fn empty(mut self) -> Response {
        push(&mut self.0.headers, HeaderName::ContentLength, "0");
        self.0
    }
}

/// Builds a request. End with [`body`](Self::body) or [`empty`](Self::empty).
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until its message is taken"]
pub struct RequestBuilder(Request);

impl RequestBuilder {
    /// A request with a Max-Forwards of 70 and no other header. Its Request-URI is [`request_uri`] of `target`.
    pub fn new(method: Method, target: Uri) -> Self {
        Self(Request::new(method, request_uri(target))).header(HeaderName::MaxForwards, "70")
    }

    /// Adds a header. A value that would end its line is left out.
    pub fn header(mut self, name: HeaderName, value: impl Into<Bytes>) -> Self {
        push(&mut self.0.headers, name, value);
        self
    }

    /// The request with a body, its Content-Type and its Content-Length.
    #[must_use]
    pub fn body(self, media_type: &str, body: impl Into<Bytes>) -> Request {
        let mut request = self.header(HeaderName::ContentType, media_type.to_owned());
        let body = body.into();
        push(&mut request.0.headers, HeaderName::ContentLength, body.len().to_string());
        request.0.set_body(body);
        request.0
    }

    /// The request without a body, with a Content-Length of 0.
    #[must_use]
    pub fn empty(mut self) -> Request {
        push(&mut self.0.headers, HeaderName::ContentLength, "0");
        self.0
    }
}

fn with_tag(to: &Header, tag: &str) -> Option<Header> {
    Header::build(HeaderName::To, [&to.value(), &b";tag="[..], tag.as_bytes()].concat()).ok()
}

fn push(headers: &mut Headers, name: HeaderName, value: impl Into<Bytes>) {
    if let Ok(header) = Header::build(name, value) {
        headers.push(header);
    }
}

/// The sequence number of the CSeq header; `None` if it is missing or malformed.
#[must_use]
pub fn cseq_number(headers: &Headers) -> Option<u32> {
    let value = headers.value(&HeaderName::CSeq)?;
    let (number, _method) = std::str::from_utf8(&value).ok()?.split_once([' ', '\t'])?;
    number.parse().ok()
}

/// Why a request is refused before its method is looked at. The sender is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It has no Via, so that no response can be routed back.
    #[error("a request without a Via")]
    Unanswerable,
    /// Refuse it with this status and reason phrase (RFC 3261 §21.4.1).
    #[error("{0} {1}")]
    Refused(u16, String),
}

/// Checks what every request must have (RFC 3261 §8.1.1). A missing Max-Forwards is accepted.
///
/// # Errors
/// Returns [`RequestError::Unanswerable`] if there is no Via, and [`RequestError::Refused`] with 505 if the version is another one, or
/// with 400 if a required header is missing, malformed or there twice.
pub fn check_request(request: &Request) -> Result<(), RequestError> {
    if request.headers.get(&HeaderName::Via).is_none() {
        return Err(RequestError::Unanswerable);
    }
    let findings = validate_request(request);
    let version = findings.iter().find(|finding| finding.status() == 505);
    let other = findings.iter().find(|finding| !finding.is_repairable());
    match version.or(other) {
        Some(finding) => Err(RequestError::Refused(finding.status(), phrase_of(finding))),
        None => Ok(()),
    }
}

fn phrase_of(finding: &Finding) -> String {
    match finding {
        Finding::MissingRequiredHeader(name) => format!("Missing {name}"),
        Finding::MalformedRequiredHeader(name) => format!("Malformed {name}"),
        Finding::RepeatedSingleValueHeader(name) => format!("More Than One {name}"),
        Finding::CSeqMethodMismatch => "Another Method In CSeq".into(),
        Finding::RequestUriHasHeaders => "Headers In Request-URI".into(),
        other => reason_phrase(other.status()).into(),
    }
}

/// The usual reason phrase of a status (RFC 3261 §21).
#[must_use]
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        433 => "Anonymity Disallowed",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        _ => "Refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{Message, parse_datagram};

    const GOOD: &str = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP g;branch=z9hG4bK2\r\n\
        From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 3 INVITE\r\nMax-Forwards: 9\r\nRecord-Route: <sip:p;lr>\r\n\
        Content-Length: 0\r\n\r\n";

    fn request(text: &str) -> Request {
        match parse_datagram(text.as_bytes()) {
            Ok(Some(Message::Request(request))) => request,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn bytes(response: Response) -> String {
        String::from_utf8(Message::Response(response).to_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_response_copies_the_headers_of_its_request() {
        let request = request(GOOD);
        let reply = ResponseBuilder::new(&request, 486, "us").reason("Full").echo(&request, &HeaderName::RecordRoute);
        assert_eq!(
            bytes(reply.header(HeaderName::RetryAfter, "5").empty()),
            "SIP/2.0 486 Full\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP g;branch=z9hG4bK2\r\n\
             From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>;tag=us\r\nCall-ID: x\r\nCSeq: 3 INVITE\r\nRecord-Route: <sip:p;lr>\r\n\
             Retry-After: 5\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_repeated_header_is_copied_once() {
        let double = "From: <sip:e@d>;tag=2\r\nTo: <sip:f@b>\r\nCall-ID: y\r\nCSeq: 4 INVITE\r\nMax-Forwards";
        let text = bytes(ResponseBuilder::new(&request(&GOOD.replace("Max-Forwards", double)), 400, "t").empty());
        for name in ["From: ", "To: ", "Call-ID: ", "CSeq: "] {
            assert_eq!(text.matches(&format!("\r\n{name}")).count(), 1, "{name} in {text}");
        }
        assert_eq!(text.matches("\r\nVia: ").count(), 2);
        assert!(text.contains("Call-ID: x\r\n"));
    }

    #[test]
    fn a_tag_is_kept_and_a_100_gets_none() {
        let tagged = request(&GOOD.replace("To: <sip:a@b>", "To: <sip:a@b>;tag=old"));
        assert!(bytes(ResponseBuilder::new(&tagged, 200, "new").empty()).contains("To: <sip:a@b>;tag=old\r\n"));
        assert!(bytes(ResponseBuilder::new(&request(GOOD), 100, "new").empty()).contains("To: <sip:a@b>\r\n"));
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let reply = ResponseBuilder::new(&request(GOOD), 200, "t")
            .header(HeaderName::Subject, "a\r\nEvil: 1")
            .reason("x\r\ny: z");
        let text = bytes(reply.empty());
        assert!(!text.contains("Evil") && !text.contains("y: z"));
    }

    #[test]
    fn errors_have_a_status_and_say_what_is_wrong() {
        let found = |old: &str, new: &str| match check_request(&request(&GOOD.replacen(old, new, 1))) {
            Err(RequestError::Refused(status, phrase)) => format!("{status} {phrase}"),
            other => panic!("{old} {new}: {other:?}"),
        };
        assert_eq!(check_request(&request(GOOD)), Ok(()));
        assert_eq!(check_request(&request(&GOOD.replace("Max-Forwards: 9\r\n", ""))), Ok(()));
        assert_eq!(found("CSeq: 3 INVITE", "CSeq: 3 BYE"), "400 Another Method In CSeq");
        assert_eq!(found("CSeq: 3 INVITE\r\n", ""), "400 Missing CSeq");
        assert_eq!(found("CSeq: 3", "CSeq: three"), "400 Malformed CSeq");
        assert_eq!(found("From: <sip:c@d>", "From: <sip:c@d"), "400 Malformed From");
        assert_eq!(found("Call-ID: x\r\n", ""), "400 Missing Call-ID");
        assert_eq!(found("Call-ID: x\r\n", "Call-ID: x\r\ni: y\r\n"), "400 More Than One Call-ID");
        assert_eq!(found("SIP/2.0/UDP h;", "SIP/2.0/UDP ;"), "400 Malformed Via");
        assert_eq!(found("sip:a@b", "sip:a@b?x=y"), "400 Headers In Request-URI");
        assert_eq!(found("SIP/2.0", "SIP/7.0"), "505 Version Not Supported");
        let nobody = GOOD.replace("Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP g;branch=z9hG4bK2\r\n", "");
        assert_eq!(check_request(&request(&nobody)), Err(RequestError::Unanswerable));
    }
}
