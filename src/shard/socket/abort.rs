//! What a panic must not unwind past.

/// Ends the process when it is dropped: a panic would leave sends under way that point to what it frees. Once all sends are
/// complete it is to be forgotten.
pub struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}
