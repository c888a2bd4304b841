//! The allocator of the program that a broker runs in, as far as it can be
//! asked.
//!
//! A library must not choose one, so nothing here names any: whoever starts a
//! broker may hand its own in, as our binary does. Without one nothing is asked
//! of it, and INFO tells what the system says of the process alone.

/// How a broker reaches the allocator of the program that it runs in.
///
/// Allocators keep what was freed in case it is needed again, and those that
/// give it back to the system do so while they are called, which they are not
/// on a server that has nothing to do. A broker that was given this with
/// [`Builder::allocator`](crate::Builder::allocator) sees to it.
///
/// ```
/// let broker = respd::Broker::builder()
///     .allocator(respd::Allocator {
///         name: "libc".into(),
///         // As unsafe code would call malloc_trim.
///         purge: || {},
///         report: || "all is well".into(),
///     })
///     .start()?;
/// assert!(broker.client().run(b"INFO memory\r\n").ends_with(b"\r\n"));
/// # Ok::<(), respd::broker::StartError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Allocator {
    /// What `mem_allocator` in INFO calls it: its name and version.
    pub name: String,
    /// Gives back to the system at once what is free and what the thread that
    /// calls keeps for itself. It is called twice a second on a thread that
    /// serves nobody, after bursts on those that do, and by MEMORY PURGE.
    pub purge: fn(),
    /// What it tells of itself, for MEMORY MALLOC-STATS.
    pub report: fn() -> String,
}
