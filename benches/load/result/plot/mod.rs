//! A result as pictures: SVG drawings, and a page that has all of them.

mod bars;
mod charts;
mod latency;
mod page;
mod ratios;
mod scale;
mod style;
mod svg;
mod sweep;

pub use charts::files;
pub use page::page;
