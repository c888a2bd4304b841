//! What a handler of a session command sees: the client that sent it, the turn
//! that it is part of, and the server around both.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::db::Db;
use crate::engine::{Engine, Turn};
use crate::lab::faults::Blow;
use crate::server::Server;
use crate::session::{ClientFlags, Session};

/// The surroundings of the requests that one client has sent at one go.
pub struct Context<'a> {
    /// What all clients share.
    pub server: &'a Server,
    /// The client.
    pub session: &'a mut Session,
    /// What it does at one go.
    pub turn: Turn<'a>,
    /// Within EXEC nothing blocks.
    pub in_exec: bool,
    /// Nor does it within a script.
    pub in_script: bool,
    /// The error that the command is about to answer is counted already.
    pub error_is_counted: bool,
    /// What time it is to the script, once it has asked.
    pub script_time: Option<Duration>,
    /// Serves others for a moment while a script runs for long. `None` where
    /// nobody could be served: no script runs there.
    pub meanwhile: Option<&'a dyn Fn()>,
    /// More memory is used than may be, and nothing more can be evicted: as of
    /// the command that a client has sent, whatever that runs in turn.
    pub out_of_memory: bool,
    /// What is to strike the reply to the request that runs.
    pub blow: Option<Blow>,
}

impl<'a> Context<'a> {
    /// Begins a turn of a client.
    pub fn new(
        engine: &'a Engine,
        session: &'a mut Session,
        meanwhile: Option<&'a dyn Fn()>,
    ) -> Context<'a> {
        Context {
            server: &engine.server,
            turn: Turn::of(engine, &session.client),
            session,
            in_exec: false,
            in_script: false,
            error_is_counted: false,
            script_time: None,
            meanwhile,
            out_of_memory: false,
            blow: None,
        }
    }

    /// The client's selected database.
    #[inline(always)]
    pub fn db(&mut self) -> Db<'_> {
        let touch = !self.session.client.flags().contains(ClientFlags::NO_TOUCH);
        self.turn.db(self.session.db, touch)
    }

    /// Whether the command that runs is part of another: nothing blocks then,
    /// and the consequences wait for the end of the whole.
    pub fn is_part(&self) -> bool {
        self.in_exec || self.in_script
    }

    /// Whether more memory is used than may be: what is larger afterwards may
    /// not be.
    pub fn is_out_of_memory(&self) -> bool {
        self.out_of_memory && self.server.live.max_memory.load(Relaxed) > 0
    }

    /// Forgets what was queued and watched.
    pub fn abandon_transaction(&mut self) {
        self.session.transaction = None;
        self.session.client.queued.store(-1, Relaxed);
        let client = &self.session.client;
        client.note_memory(|client| &client.queued_memory, 0);
        self.set_flag(ClientFlags::MULTI, false);
        self.turn.unwatch(self.session);
    }

    /// Notes in the client's flags what the session is doing.
    pub fn set_flag(&self, flag: ClientFlags, on: bool) {
        self.session.client.set_flags(flag, on);
    }
}
