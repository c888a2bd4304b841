//! The libraries that scripts find: those that Redis adds to Lua's, and what
//! of Lua's own must be bounded.

pub mod bit;
pub mod cjson;
pub mod cmsgpack;
pub mod string;
pub mod structs;
