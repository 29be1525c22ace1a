//! Fingerprints of certificates (RFC 8122 §5).

use std::fmt;

/// A hash function of a fingerprint, ordered from the least to the most preferred. MD2 and MD5 must not be used (RFC 8122 §5); SHA-1 is
/// accepted from peers that have nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFunction {
    /// `sha-1`
    Sha1,
    /// `sha-224`
    Sha224,
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

impl HashFunction {
    /// Every hash function that is accepted, the least preferred first.
    pub const ALL: [Self; 5] = [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name in the attribute.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// Octets in its value.
    #[must_use]
    pub fn octets(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        HashFunction::ALL.into_iter().find(|hash| hash.name().eq_ignore_ascii_case(name))
    }
}

/// The hash of the DER form of a certificate. Its text form is the value of `a=fingerprint`.
///
/// ```
/// use parlor_proto::sdp::{Fingerprint, HashFunction};
///
/// let text = "sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB";
/// let fingerprint = Fingerprint::parse(text).expect("20 octets");
/// assert_eq!((fingerprint.hash, fingerprint.value.len()), (HashFunction::Sha1, 20));
/// assert_eq!(fingerprint.to_string(), text);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function.
    pub hash: HashFunction,
    /// The hash: [`HashFunction::octets`] octets.
    pub value: Box<[u8]>,
}

impl Fingerprint {
    /// Parses the value of an attribute: `sha-256 4A:AD:…`. Returns `None` for another function, or if the number of octets does not
    /// match it. Lower-case digits are accepted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, digits) = text.trim().split_once(' ')?;
        let hash = HashFunction::of_name(name)?;
        let octet = |pair: &str| if pair.len() == 2 { u8::from_str_radix(pair, 16).ok() } else { None };
        let value: Option<Box<[u8]>> = digits.trim().split(':').map(octet).collect();
        value.filter(|value| value.len() == hash.octets()).map(|value| Self { hash, value })
    }

    /// Those of `all` that have the most preferred function: only these are compared (RFC 8122 §5.1).
    #[must_use]
    pub fn preferred(mut all: Vec<Self>) -> Vec<Self> {
        let best = all.iter().map(|one| one.hash).max();
        all.retain(|one| Some(one.hash) == best);
        all
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.name())?;
        for (at, octet) in self.value.iter().enumerate() {
            write!(f, "{}{octet:02X}", if at == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1: &str = "sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB";

    #[test]
    fn a_fingerprint_reads_back() {
        let read = Fingerprint::parse(SHA1).unwrap();
        assert_eq!((read.hash, read.value[0], read.to_string().as_str()), (HashFunction::Sha1, 0x4a, SHA1));
        assert_eq!(Fingerprint::parse(&SHA1.to_ascii_lowercase()), Some(read));
    }

    #[test]
    fn an_unusable_fingerprint_is_none() {
        let short = &SHA1[..SHA1.len() - 3];
        let md5 = "md5 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F";
        let as_sha256 = SHA1.replace("sha-1", "sha-256");
        for bad in ["", "sha-1", short, md5, &as_sha256, "sha-1 +A:AD", &SHA1.replace(':', "")] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_the_strongest_function_counts() {
        let of = |hash: HashFunction| Fingerprint { hash, value: vec![1; hash.octets()].into() };
        let all = [HashFunction::Sha256, HashFunction::Sha1, HashFunction::Sha512, HashFunction::Sha512].map(of);
        assert_eq!(Fingerprint::preferred(all.to_vec()), [of(HashFunction::Sha512), of(HashFunction::Sha512)]);
        assert_eq!(Fingerprint::preferred(Vec::new()), []);
    }
}
