//! respd: a message broker that speaks RESP, the Redis protocol.

#[doc(hidden)]
pub mod resp;
