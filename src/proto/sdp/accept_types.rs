//! The value of `a=accept-types` and `a=accept-wrapped-types` (RFC 4975 §8.6).

use std::fmt;
use std::sync::Arc;

/// A list of media ranges: `text/plain`, `text/*`, `*`. Types are compared without regard to case and parameters. Cheap to clone.
///
/// ```
/// use parlor_proto::sdp::AcceptTypes;
///
/// let types = AcceptTypes::parse("text/* image/png");
/// assert!(types.accepts("text/html; charset=utf-8") && !types.accepts("image/jpeg"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AcceptTypes(
    /// The ranges, with a space between two.
    Option<Arc<str>>,
);

impl AcceptTypes {
    /// Parses the value of the attribute. Parameters (`text/plain;charset=utf-8`) are dropped, and elements that are not media ranges
    /// are skipped.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        Self::from_ranges(value.split_ascii_whitespace())
    }

    /// A list of these ranges, which are treated as by [`Self::parse`].
    #[must_use]
    pub fn from_ranges<'a>(ranges: impl IntoIterator<Item = &'a str>) -> Self {
        let bare = |range: &str| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let whole = |range: &str| range.split_once('/').is_some_and(|(t, s)| !t.is_empty() && !s.is_empty());
        let legal = |range: &String| range == "*" || (whole(range) && !range.contains(' '));
        let ranges: Vec<String> = ranges.into_iter().map(bare).filter(legal).collect();
        Self((!ranges.is_empty()).then(|| ranges.join(" ").into()))
    }

    /// Whether a range of the list matches a media type, which may have parameters.
    #[must_use]
    pub fn accepts(&self, media_type: &str) -> bool {
        let bare = media_type.split(';').next().unwrap_or_default().trim();
        self.ranges().any(|range| range_covers(range, bare))
    }

    /// The ranges of this list, and those of another one that are not in it.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let more = other.ranges().filter(|range| !self.ranges().any(|own| own == *range));
        Self::from_ranges(self.ranges().chain(more))
    }

    /// Whether the list accepts every type: it has `*`.
    #[must_use]
    pub fn accepts_all(&self) -> bool {
        self.ranges().any(|range| matches!(range, "*" | "*/*"))
    }

    /// Whether the list has this range and no other; `media_type` is in lower case.
    #[must_use]
    pub fn is_only(&self, media_type: &str) -> bool {
        !self.is_empty() && self.ranges().all(|range| range == media_type)
    }

    /// Whether the list has more ranges or octets than these: every message would be matched against it.
    pub(crate) fn exceeds(&self, ranges_max: usize, bytes_max: usize) -> bool {
        self.0.as_ref().is_some_and(|text| text.len() > bytes_max) || self.ranges().count() > ranges_max
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn ranges(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|text| text.split(' '))
    }
}

fn range_covers(range: &str, media_type: &str) -> bool {
    if matches!(range, "*" | "*/*") {
        return true;
    }
    match range.strip_suffix('*') {
        Some(prefix) if prefix.ends_with('/') => {
            media_type.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        }
        _ => media_type.eq_ignore_ascii_case(range),
    }
}

impl fmt::Display for AcceptTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_their_types() {
        let list = AcceptTypes::parse("text/* IMAGE/png;q=1 nonsense application/im-iscomposing+xml");
        assert!(list.accepts("text/plain"));
        assert!(list.accepts("TEXT/HTML; charset=utf-8"));
        assert!(list.accepts("image/PNG"));
        assert!(list.accepts("application/im-iscomposing+xml"));
        assert!(!list.accepts("image/jpeg"));
        assert!(!list.accepts("nonsense"));
        assert!(!list.accepts(""));
        assert!(!list.accepts_all());
        assert_eq!(list.to_string(), "text/* image/png application/im-iscomposing+xml");
    }

    #[test]
    fn two_lists_are_one_without_repetitions() {
        let both = AcceptTypes::parse("message/cpim text/plain").union(&AcceptTypes::parse("image/* text/plain"));
        assert_eq!(both.to_string(), "message/cpim text/plain image/*");
    }

    #[test]
    fn a_star_accepts_everything() {
        let list = AcceptTypes::parse("text/plain *");
        assert!(list.accepts("x/y") && list.accepts_all());
        assert!(AcceptTypes::parse("").is_empty());
    }
}
