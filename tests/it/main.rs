//! Tests that drive a running broker over its sockets, in one binary.

mod transcripts;
