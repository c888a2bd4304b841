//! respd: a message broker that speaks RESP, the Redis protocol.
