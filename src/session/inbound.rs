//! What a request on a session asks for, and whether its outcome is answered (RFC 4975 §7.2, §7.3; RFC 7701 §6.3, §7.1).

use parlor_proto::msrp::{FailureReport, Head, Method, Start, Status};

/// What to do with a chunk, as far as its head tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkAction<'a> {
    /// A SEND with a Message-ID. It carries a message, or nothing and keeps the connection alive.
    Send(&'a [u8]),
    /// A NICKNAME with the value of its Use-Nickname.
    Nickname(&'a [u8]),
    /// A REPORT about something that we sent.
    Report,
    /// The request is answered with this status, and its body, if any, is dropped.
    Refuse(Status),
    /// A response to something that we sent.
    Response(Status),
}

/// Decides by the head of a chunk.
#[must_use]
pub fn classify<'a>(head: &Head<'a>) -> ChunkAction<'a> {
    let method = match head.start {
        Start::Response(status, _) => return ChunkAction::Response(status),
        Start::Request(method) => method,
    };
    match method {
        Method::Other(_) => ChunkAction::Refuse(Status::UNKNOWN_METHOD),
        _ if head.from_path.is_empty() || head.malformed.is_some() => ChunkAction::Refuse(Status::BAD_REQUEST),
        Method::Send => head.message_id.map_or(ChunkAction::Refuse(Status::BAD_REQUEST), ChunkAction::Send),
        Method::Report => ChunkAction::Report,
        Method::Nickname => classify_nickname(head),
    }
}

fn classify_nickname<'a>(head: &Head<'a>) -> ChunkAction<'a> {
    match head.use_nickname {
        // RFC 7701 §7.1: a NICKNAME has no Success-Report and no Failure-Report.
        _ if head.has_report_headers => ChunkAction::Refuse(Status::BAD_REQUEST),
        None => ChunkAction::Refuse(Status::BAD_REQUEST),
        Some(value) => ChunkAction::Nickname(value),
    }
}

/// Whether a request with this Failure-Report gets a response with this status (RFC 4975 §7.2).
#[must_use]
pub fn wants_response(failure_report: FailureReport, status: Status) -> bool {
    match failure_report {
        FailureReport::Yes => true,
        FailureReport::No => false,
        FailureReport::Partial => !status.is_success(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(lines: &[&str]) -> String {
        let text = lines.join("\r\n") + "\r\n";
        format!("{:?}", classify(&Head::parse(text.as_bytes()).unwrap()))
    }

    const TO: &str = "To-Path: msrp://a/1;tcp";
    const FROM: &str = "From-Path: msrp://b/2;tcp";

    #[test]
    fn requests_are_told_apart() {
        assert_eq!(action(&["MSRP abcd SEND", TO, FROM, "Message-ID: 1"]), "Send([49])");
        assert_eq!(action(&["MSRP abcd NICKNAME", TO, FROM, "Use-Nickname: \"A\""]), "Nickname([34, 65, 34])");
        assert_eq!(action(&["MSRP abcd REPORT", TO, FROM, "Message-ID: 1", "Status: 000 200 OK"]), "Report");
        assert_eq!(action(&["MSRP abcd 200 OK", TO, FROM]), "Response(Status(200))");
    }

    #[test]
    fn what_is_missing_or_broken_is_400() {
        for lines in [
            &["MSRP abcd SEND", TO, FROM][..],
            &["MSRP abcd SEND", TO, "Message-ID: 1"],
            &["MSRP abcd SEND", TO, FROM, "Message-ID: 1", "Byte-Range: one"],
            &["MSRP abcd SEND", TO, FROM, "Message-ID: 1", "Failure-Report: perhaps"],
            &["MSRP abcd NICKNAME", TO, FROM],
            &["MSRP abcd NICKNAME", TO, FROM, "Use-Nickname: \"A\"", "Success-Report: no"],
            &["MSRP abcd NICKNAME", TO, FROM, "Use-Nickname: \"A\"", "Failure-Report: yes"],
        ] {
            assert_eq!(action(lines), "Refuse(Status(400))", "{lines:?}");
        }
    }

    #[test]
    fn an_unknown_method_is_501() {
        assert_eq!(action(&["MSRP abcd AUTH", TO, FROM]), "Refuse(Status(501))");
        assert_eq!(action(&["MSRP abcd FILE_OFFSET"]), "Refuse(Status(501))");
    }

    #[test]
    fn failure_report_decides_who_is_answered() {
        let table = [
            (FailureReport::Yes, true, true),
            (FailureReport::Partial, false, true),
            (FailureReport::No, false, false),
        ];
        for (report, success, error) in table {
            assert_eq!(wants_response(report, Status::OK), success);
            assert_eq!(wants_response(report, Status::FORBIDDEN), error);
        }
    }
}
