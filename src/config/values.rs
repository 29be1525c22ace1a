//! Readers of single values. Each error says what is expected.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::section::Read;
use super::tables::{Cores, SipListen, SipTransport};
use crate::call::INTERVAL_MIN;
use crate::focus::{ConnectOut, Network};
use parlor_proto::sip::{transport_of, uri};

/// The highest core number.
const CORE_NUMBER_MAX: usize = 4095;

/// A boolean.
pub fn boolean(value: &DeValue<'_>) -> Read<bool> {
    value.as_bool().ok_or_else(|| "expected true or false".into())
}

/// A string.
pub fn text(value: &DeValue<'_>) -> Read<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| "expected a string in quotes".into())
}

/// A text for people without control characters.
pub fn line(value: &DeValue<'_>) -> Read<Option<String>> {
    let found = value.as_str().filter(|text| !text.chars().any(char::is_control));
    found.map(|text| Some(text.to_owned())).ok_or_else(|| "expected a string in quotes, on one line".into())
}

/// An integer within bounds.
pub fn number<T>(bounds: RangeInclusive<T>) -> impl Fn(&DeValue<'_>) -> Read<T>
where
    T: TryFrom<u64> + PartialOrd + std::fmt::Display,
{
    move |value| {
        let found = integer(value).and_then(|number| T::try_from(number).ok()).filter(|number| bounds.contains(number));
        found.ok_or_else(|| format!("expected an integer from {} to {}", bounds.start(), bounds.end()))
    }
}

/// A size in octets within bounds.
pub fn size<T>(bounds: RangeInclusive<T>) -> impl Fn(&DeValue<'_>) -> Read<T>
where
    T: TryFrom<u64> + PartialOrd + std::fmt::Display,
{
    move |value| {
        let octets = integer(value).or_else(|| value.as_str().and_then(|text| parse_size(text).ok()));
        let found = octets.and_then(|octets| T::try_from(octets).ok()).filter(|octets| bounds.contains(octets));
        found.ok_or_else(|| {
            format!("expected a size from {} to {} octets: 65536 or \"64KiB\"", bounds.start(), bounds.end())
        })
    }
}

/// A duration within bounds.
pub fn duration(bounds: RangeInclusive<Duration>) -> impl Fn(&DeValue<'_>) -> Read<Duration> {
    move |value| {
        let found = value.as_str().and_then(|text| parse_duration(text).ok()).filter(|time| bounds.contains(time));
        found.ok_or_else(|| {
            format!(
                "expected a duration from {:?} to {:?} in quotes: \"500ms\", \"60s\", \"9m\"",
                bounds.start(),
                bounds.end()
            )
        })
    }
}

/// A session interval: zero, or no less than the minimum of RFC 4028 §5.
pub fn session_interval(value: &DeValue<'_>) -> Read<Duration> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let found = value.as_str().and_then(|text| parse_duration(text).ok());
    let found = found.filter(|time| time.is_zero() || (INTERVAL_MIN..=DAY).contains(time) && time.subsec_nanos() == 0);
    found.ok_or_else(|| "expected whole seconds from \"90s\" to \"24h\", or \"0s\" for no session timer".into())
}

/// One of several names.
pub fn one_of<T: Copy>(names: &'static [(&'static str, T)]) -> impl Fn(&DeValue<'_>) -> Read<T> {
    move |value| {
        let text = value.as_str().unwrap_or_default();
        let found = names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let quoted: Vec<_> = names.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            format!("expected one of {}", quoted.join(", "))
        })
    }
}

/// An IP address.
pub fn address(value: &DeValue<'_>) -> Read<IpAddr> {
    let found = value.as_str().and_then(|text| text.parse().ok());
    found.ok_or_else(|| "expected an IP address: \"127.0.0.1\", \"::1\", \"0.0.0.0\" for all".into())
}

/// A list of cores.
pub fn cores(value: &DeValue<'_>) -> Read<Cores> {
    parse_cores(value.as_str().unwrap_or_default())
}

/// A host name or address, as after the `@` of a URI.
pub fn host(text: &str) -> Read<String> {
    let legal = |host: &str| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match address {
        Some(address) if address.parse::<std::net::Ipv6Addr>().is_ok() => Ok(text.into()),
        None if legal(text) => Ok(text.into()),
        _ => {
            Err("expected a host without scheme and port: \"chat.example.com\", \"192.0.2.1\", \"[2001:db8::1]\""
                .into())
        }
    }
}

/// A network in CIDR notation, or one address.
pub fn network(text: &str) -> Read<Network> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let network = address.parse::<IpAddr>().ok().and_then(|address| {
        let all = if address.is_ipv4() { 32 } else { 128 };
        Network::new(address, bits.map_or(Some(all), |bits| bits.parse().ok())?)
    });
    network.ok_or_else(|| "expected an address or a network: \"192.0.2.1\", \"10.0.0.0/8\", \"2001:db8::/32\"".into())
}

/// A host, or an empty string.
pub fn optional_host(value: &DeValue<'_>) -> Read<Option<String>> {
    let text = text(value)?;
    if text.is_empty() { Ok(None) } else { host(&text).map(Some) }
}

/// The addresses to connect to: a keyword, or a list of networks.
pub fn connect_out(value: &DeValue<'_>) -> Read<ConnectOut> {
    let help = || "expected \"source\", \"any\", \"never\", or networks: [\"192.0.2.0/24\"]".to_owned();
    if let Some(networks) = value.as_array() {
        let read = |value: &toml::Spanned<DeValue<'_>>| value.get_ref().as_str().and_then(|text| network(text).ok());
        return networks.iter().map(read).collect::<Option<_>>().map(ConnectOut::Networks).ok_or_else(help);
    }
    match value.as_str() {
        Some("source") => Ok(ConnectOut::Source),
        Some("any") => Ok(ConnectOut::Any),
        Some("never") => Ok(ConnectOut::Never),
        Some(text) => network(text).map(|one| ConnectOut::Networks(vec![one])).map_err(|_| help()),
        None => Err(help()),
    }
}

/// The URI of a SIP proxy, or an empty string. It gets the `lr` parameter of a loose router (RFC 3261 §16.12).
pub fn proxy(value: &DeValue<'_>) -> Read<Option<String>> {
    let text = text(value)?;
    if text.is_empty() {
        return Ok(None);
    }
    let usable = |uri: &parlor_proto::sip::Uri| {
        uri.scheme().is_sip() && uri.host().is_some() && !uri.has_headers() && transport_of(uri).is_some()
    };
    let found = uri(&text).filter(usable);
    let found = found.ok_or(
        "expected a SIP URI: \"sip:proxy.example.com\", \"sip:192.0.2.5:5060;transport=tcp\", \"sips:proxy.example.com\"",
    )?;
    let loose = found.params().is_some_and(|params| params.contains("lr"));
    Ok(Some(if loose { text } else { format!("{text};lr") }))
}

/// A URI pattern.
pub fn uri_pattern(text: &str) -> Read<String> {
    let known = ["sip:", "sips:", "im:", "tel:"].iter().any(|scheme| text.starts_with(scheme));
    let legal = (known || text == "*") && !text.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control());
    if legal { Ok(text.into()) } else { Err("expected a URI, with * for any text: \"sip:*@example.com\"".into()) }
}

/// A media range.
pub fn media_range(text: &str) -> Read<String> {
    let token = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"/;,\"".contains(&b));
    let legal = text == "*" || text.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub));
    if legal { Ok(text.into()) } else { Err("expected a media type: \"text/plain\", \"image/*\", \"*\"".into()) }
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Splits a number and its unit.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..unit].parse().ok()?, text[unit..].trim_start()))
}

/// Parses a size in octets: `65536`, `64KiB`, `4MiB`, `1GiB`.
///
/// # Errors
/// Returns what is expected.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let octets = split_unit(text).and_then(|(number, unit)| {
        let factor = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(factor)
    });
    octets.ok_or_else(|| "expected a size: 65536, 64KiB, 4MiB, 1GiB".into())
}

/// Parses a duration: `20us`, `500ms`, `60s`, `9m`, `1h`.
///
/// # Errors
/// Returns what is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let time = split_unit(text).and_then(|(number, unit)| match unit {
        "us" | "µs" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    });
    time.ok_or_else(|| "expected a duration: 20us, 500ms, 60s, 9m, 1h".into())
}

/// Parses a list of cores: `all`, `0`, `0-3,8`.
///
/// # Errors
/// Returns what is expected.
pub fn parse_cores(text: &str) -> Result<Cores, String> {
    if text == "all" {
        return Ok(Cores::All);
    }
    let mut cores = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = first.trim().parse().ok().zip(last.trim().parse().ok());
        let legal = range.filter(|&(first, last): &(usize, usize)| first <= last && last <= CORE_NUMBER_MAX);
        let (first, last) = legal.ok_or_else(|| "expected cores: \"all\", \"0\", \"0-3,8\"".to_owned())?;
        cores.extend(first..=last);
    }
    Ok(Cores::List(cores.into_iter().collect()))
}

/// Parses a SIP listener: `udp:127.0.0.1:5060`, `tcp:[::1]:5060`.
///
/// # Errors
/// Returns what is expected.
pub fn parse_sip_listen(text: &str) -> Result<SipListen, String> {
    let help = || "expected transport, address and port: \"udp:127.0.0.1:5060\", \"tcp:[::1]:5060\"".to_owned();
    let (transport, address) = text.split_once(':').ok_or_else(help)?;
    let transport = match transport {
        "udp" => SipTransport::Udp,
        "tcp" => SipTransport::Tcp,
        "tls" => SipTransport::Tls,
        "ws" | "wss" => {
            return Err(format!("{transport}: is not supported by this version; udp:, tcp: and tls: are"));
        }
        _ => return Err(help()),
    };
    let address: SocketAddr = address.parse().map_err(|_| help())?;
    Ok(SipListen { transport, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_have_units() {
        assert_eq!(parse_size("65536"), Ok(65536));
        assert_eq!(parse_size("64KiB"), Ok(65536));
        assert_eq!(parse_size("1 GiB"), Ok(1 << 30));
        assert_eq!(parse_duration("0us"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("9m"), Ok(Duration::from_secs(540)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "KiB", "64kb", "-1", "64KiBx", "99999999999999999999", "99999999999GiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        for bad in ["", "10", "s", "1.5s", "1d", "9999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cores_are_listed_once_in_ascending_order() {
        assert_eq!(parse_cores("all"), Ok(Cores::All));
        assert_eq!(parse_cores("8,0-3, 2"), Ok(Cores::List(vec![0, 1, 2, 3, 8])));
        for bad in ["", "a", "3-1", "0,", "0-99999", "-1"] {
            assert!(parse_cores(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sip_listeners_are_parsed() {
        let good = parse_sip_listen("tcp:[::1]:5060").unwrap();
        assert_eq!((good.transport, good.address.to_string().as_str()), (SipTransport::Tcp, "[::1]:5060"));
        assert!(parse_sip_listen("ws:127.0.0.1:5061").unwrap_err().contains("not supported"));
        for bad in ["", "127.0.0.1:5060", "udp:localhost:5060", "udp:127.0.0.1", "sctp:127.0.0.1:5060"] {
            assert!(parse_sip_listen(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_patterns_and_media_types_are_checked() {
        for good in ["localhost", "192.0.2.1", "[2001:db8::1]"] {
            assert_eq!(host(good).as_deref(), Ok(good));
        }
        for bad in ["", "sip:x", "a:5060", "::1", "[::1", "a b"] {
            assert!(host(bad).is_err(), "{bad}");
        }
        assert!(
            uri_pattern("sip:*@example.com").is_ok()
                && uri_pattern("*").is_ok()
                && uri_pattern("*@example.com").is_err()
        );
        assert!(media_range("*").is_ok() && media_range("text/*").is_ok() && media_range("text").is_err());
    }
}
