//! Session timers (RFC 4028): how long a call lasts without a refresh, and which side refreshes.

use std::time::Duration;

use parlor_proto::sip::{HeaderName, Headers, option_tags, seconds, text};

/// The option tag.
pub const TIMER_TAG: &str = "timer";

/// No interval is shorter (RFC 4028 §5): short ones would make one side a source of traffic for the other.
pub const INTERVAL_MIN: Duration = Duration::from_secs(90);

/// The side that does not refresh hangs up so long before the session expires, at most (RFC 4028 §10).
const EARLY_MAX: Duration = Duration::from_secs(32);

/// What a call has agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimer {
    /// For how long the session stands after each refresh.
    pub interval: Duration,
    /// Whether the refreshes are ours to send.
    pub we_refresh: bool,
    /// Whether the peer knows the extension.
    pub peer_supports: bool,
}

/// The requested interval is too short: 422 with our Min-SE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntervalTooSmall;

impl SessionTimer {
    /// What the answer to a request agrees on (RFC 4028 §9). `wish` is our own interval. `None`: there is no timer, because
    /// nobody asks for one or the peer could not keep it.
    ///
    /// # Errors
    /// Returns an error if the peer asks for less than [`INTERVAL_MIN`].
    pub fn answer(headers: &Headers, wish: Duration) -> Result<Option<Self>, IntervalTooSmall> {
        let known = option_tags(headers, &HeaderName::Supported).iter().any(|tag| tag.eq_ignore_ascii_case(TIMER_TAG));
        let floor = min_se(headers).unwrap_or(INTERVAL_MIN).max(INTERVAL_MIN);
        let Some(requested) = seconds(headers, &HeaderName::SessionExpires) else {
            // One who does not know timers would not know how to answer a refresh either.
            return Ok(known.then(|| Self { interval: wish.max(floor), we_refresh: false, peer_supports: known }));
        };
        if requested < INTERVAL_MIN {
            // Only who supports it may be told 422; what a proxy wrote below the limit is as good as not written.
            return if known { Err(IntervalTooSmall) } else { Ok(None) };
        }
        // The peer's choice of who refreshes stands. Without one it is the peer, if it can (table 2).
        let ours = refresher(headers).map_or(!known, |side| side == Side::Called);
        // Ours may shorten the interval, to no less than Min-SE, and never lengthen it.
        Ok(Some(Self { interval: wish.max(floor).min(requested), we_refresh: ours, peer_supports: known }))
    }

    /// What a 2xx to a request of ours agrees on (RFC 4028 §7.2); `None` where the session does not expire.
    #[must_use]
    pub fn from_response(headers: &Headers) -> Option<Self> {
        let interval = seconds(headers, &HeaderName::SessionExpires)?.max(INTERVAL_MIN);
        let known = option_tags(headers, &HeaderName::Require)
            .iter()
            .chain(&option_tags(headers, &HeaderName::Supported))
            .any(|tag| tag.eq_ignore_ascii_case(TIMER_TAG));
        // Who has not been told to refresh does not: without the parameter it is us.
        Some(Self { interval, we_refresh: refresher(headers) != Some(Side::Called), peer_supports: known })
    }

    /// Session-Expires of the 2xx to a request of the peer.
    #[must_use]
    pub fn response_value(&self) -> String {
        format!("{};refresher={}", self.interval.as_secs(), if self.we_refresh { "uas" } else { "uac" })
    }

    /// Session-Expires of a request of ours: who refreshes stays who it is (RFC 4028 §7.4).
    #[must_use]
    pub fn request_value(&self) -> String {
        format!("{};refresher={}", self.interval.as_secs(), if self.we_refresh { "uac" } else { "uas" })
    }

    /// How long after a refresh it is our turn: to refresh, or to hang up because the peer has not (RFC 4028 §7.2, §10).
    #[must_use]
    pub fn time_to_act(&self) -> Duration {
        if self.we_refresh { self.interval / 2 } else { self.interval - EARLY_MAX.min(self.interval / 3) }
    }
}

/// The peer's Min-SE.
#[must_use]
pub fn min_se(headers: &Headers) -> Option<Duration> {
    seconds(headers, &HeaderName::MinSe)
}

#[derive(PartialEq, Eq)]
enum Side {
    Calling,
    Called,
}

fn refresher(headers: &Headers) -> Option<Side> {
    let value = text(headers, &HeaderName::SessionExpires)?;
    value.split(';').skip(1).find_map(|parameter| {
        let (name, side) = parameter.split_once('=')?;
        match (name.trim().to_ascii_lowercase().as_str(), side.trim().to_ascii_lowercase().as_str()) {
            ("refresher", "uac") => Some(Side::Calling),
            ("refresher", "uas") => Some(Side::Called),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::headers;

    fn answer(supported: bool, expires: &str, min: &str) -> Result<Option<String>, IntervalTooSmall> {
        let mut rows = vec![(HeaderName::Supported, if supported { "replaces, Timer" } else { "replaces" })];
        rows.extend((!expires.is_empty()).then_some((HeaderName::SessionExpires, expires)));
        rows.extend((!min.is_empty()).then_some((HeaderName::MinSe, min)));
        let timer = SessionTimer::answer(&headers(&rows), Duration::from_secs(1800))?;
        Ok(timer.map(|timer| timer.response_value()))
    }

    #[test]
    fn who_refreshes_and_how_often_is_as_the_table_has_it() {
        for (supported, expires, min, agreed) in [
            (false, "", "", None),
            (false, "1800", "", Some("1800;refresher=uas")),
            (true, "", "", Some("1800;refresher=uac")),
            (true, "", "3600", Some("3600;refresher=uac")),
            (true, "600", "", Some("600;refresher=uac")),
            (true, "600;refresher=UAS", "", Some("600;refresher=uas")),
            (true, "600;x=y; refresher = uac", "", Some("600;refresher=uac")),
            (true, "7200", "", Some("1800;refresher=uac")),
            (true, "7200", "3600", Some("3600;refresher=uac")),
            (true, "90", "", Some("90;refresher=uac")),
            (false, "60", "", None),
            (true, "nonsense", "", Some("1800;refresher=uac")),
        ] {
            assert_eq!(answer(supported, expires, min), Ok(agreed.map(str::to_owned)), "{supported} {expires} {min}");
        }
        assert_eq!(answer(true, "89", ""), Err(IntervalTooSmall));
    }

    #[test]
    fn what_a_2xx_says_is_what_holds() {
        let settled = |value: &str| {
            let timer = SessionTimer::from_response(&headers(&[(HeaderName::SessionExpires, value)]))?;
            Some((timer.interval.as_secs(), timer.we_refresh, timer.request_value()))
        };
        assert_eq!(settled("600;refresher=uac"), Some((600, true, "600;refresher=uac".into())));
        assert_eq!(settled("600;refresher=uas"), Some((600, false, "600;refresher=uas".into())));
        assert_eq!(settled("5"), Some((90, true, "90;refresher=uac".into())));
        assert_eq!(SessionTimer::from_response(&Headers::new()), None);
    }

    #[test]
    fn the_refresher_speaks_at_half_time_and_the_other_hangs_up_a_little_early() {
        let timer = |ours, interval| SessionTimer {
            interval: Duration::from_secs(interval),
            we_refresh: ours,
            peer_supports: true,
        };
        assert_eq!(timer(true, 1800).time_to_act().as_secs(), 900);
        assert_eq!(timer(false, 1800).time_to_act().as_secs(), 1768);
        assert_eq!(timer(false, 90).time_to_act().as_secs(), 60);
    }
}
