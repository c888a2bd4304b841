//! How a measurement ends that could not be made.

/// What stopped a measurement, for a person to read.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
