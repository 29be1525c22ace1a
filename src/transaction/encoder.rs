//! Encoding of SIP messages into allocations of their size.

use bytes::Bytes;

/// Octets of the largest body that is copied so that its message has an allocation of its exact size.
const BODY_COPIED_MAX: usize = 4096;
/// Octets reserved for the start line and the headers of a message with a larger body.
const HEAD_BYTES_EXPECTED: usize = 1024;

/// Encodes messages in a buffer that is kept.
#[derive(Debug, Default)]
pub struct Encoder {
    scratch: Vec<u8>,
}

impl Encoder {
    /// The octets that `write` appends, in an allocation of their size, or of about their size if the body is large.
    pub fn encode(&mut self, body: &Bytes, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        if body.len() > BODY_COPIED_MAX {
            let mut out = Vec::with_capacity(body.len() + HEAD_BYTES_EXPECTED);
            write(&mut out);
            return out.into();
        }
        self.scratch.clear();
        write(&mut self.scratch);
        Bytes::copy_from_slice(&self.scratch)
    }
}
