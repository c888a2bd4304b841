//! What a handler of a session command sees: the client that sent it, the turn
//! that it is part of, and the server around both.

use std::sync::atomic::Ordering::Relaxed;

use crate::db::Db;
use crate::engine::{Engine, Turn};
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
}

impl<'a> Context<'a> {
    /// Begins a turn of a client.
    pub fn new(engine: &'a Engine, session: &'a mut Session) -> Context<'a> {
        Context {
            server: &engine.server,
            turn: Turn::of(engine, &session.client),
            session,
            in_exec: false,
        }
    }

    /// The client's selected database.
    #[inline(always)]
    pub fn db(&mut self) -> Db<'_> {
        let touch = !self.session.client.flags().contains(ClientFlags::NO_TOUCH);
        self.turn.db(self.session.db, touch)
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
