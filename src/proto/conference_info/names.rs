//! The media type and the namespaces of documents.

/// The media type of a document (RFC 4575 §9.2).
pub const MEDIA_TYPE: &str = "application/conference-info+xml";
/// The namespace of the elements (RFC 4575 §4.2).
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";
/// The namespace of the nickname (RFC 6501 §4.1).
pub const XCON_NAMESPACE: &str = "urn:ietf:params:xml:ns:xcon-conference-info";
