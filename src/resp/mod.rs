//! The wire: requests in, replies out. It knows no commands and no sockets.

mod argv;
pub mod output;
pub mod reply;
pub mod request;
mod reused;
pub mod value;

pub use argv::{Argv, OwnedArgv};
pub use output::{Output, SHARE_MIN};
pub use reply::{Protocol, Reply};
pub(crate) use reused::{Lent, Reused};
