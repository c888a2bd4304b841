//! Scripts and functions in Lua.

pub mod modules;
pub mod native;
