//! What was measured, what follows from it, and how it is kept, shown and compared.

pub mod compare;
pub mod findings;
pub mod latency;
pub mod outcome;
pub mod output;
pub mod plot;
pub mod record;
pub mod report;
pub mod stats;
pub mod summary;
pub mod sweep_text;
pub mod tables;
pub mod units;
