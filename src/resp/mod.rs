//! The wire: RESP2 and RESP3 as bytes and values. Knows no command and no runtime.

pub mod value;
