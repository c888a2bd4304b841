//! Text and numbers as Redis reads and writes them.

#[cfg(feature = "lua")]
pub mod c_number;
pub mod distance;
pub mod double;
pub mod glob;
pub mod long_double;
pub mod number;
pub mod words;
