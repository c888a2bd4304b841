//! The directives of a configuration file that are no settings: CONFIG GET knows none of them.
//!
//! A file that was written for Redis must still start respd, so these names are a warning or
//! nothing, where an unknown name is an error.

use super::settings::NOT_RESTRICTING;

/// What Redis 7.2 does with a directive that is no setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directive {
    /// Something that respd does not do; why, is what a warning says.
    Lacking(&'static str),
    /// Nothing. It takes exactly one argument.
    Deprecated,
}

/// How Redis knows `name`, which is in lower case; `None` when it does not. `include` is the
/// reader's own.
pub(super) fn lookup(name: &str) -> Option<Directive> {
    Some(match name {
        "rename-command" | "user" => Directive::Lacking(NOT_RESTRICTING),
        "loadmodule" => Directive::Lacking("respd loads no modules"),
        "list-max-ziplist-entries" | "list-max-ziplist-value" | "lua-replicate-commands" => {
            Directive::Deprecated
        }
        _ => return None,
    })
}
