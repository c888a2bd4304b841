//! How very many small things are kept in little memory, in tables that grow
//! and shrink in small steps, so that no step takes long. Nothing here knows
//! what the things are.

pub mod heap;
pub mod index;
pub mod members;
pub mod numbers;
pub mod pack;
pub mod places;
pub mod slots;
