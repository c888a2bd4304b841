//! Text and numbers as Redis reads and writes them.

pub mod double;
pub mod glob;
pub mod long_double;
pub mod number;
pub mod words;
