//! Who may do what. So far: whether a password is the right one.

mod password;

pub use password::Password;
