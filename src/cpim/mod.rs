//! Message/CPIM (RFC 3862).
