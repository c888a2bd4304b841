//! Latency spikes by event. LATENCY shows them.

use std::collections::{BTreeMap, VecDeque};

/// Latency spikes by event: LATENCY.
#[derive(Default)]
pub struct Latency {
    events: BTreeMap<&'static str, Spikes>,
}

/// The latest spikes of an event, at most one a second.
#[derive(Clone, Default, Debug)]
pub struct Spikes {
    /// When, in seconds since 1970, and for how long, in milliseconds; oldest first.
    pub samples: VecDeque<(i64, u64)>,
    /// The longest ever, in milliseconds.
    pub max: u64,
}

/// Spikes that are kept for each event.
const SPIKES_MAX: usize = 160;

impl Latency {
    /// Adds a spike.
    pub fn add(&mut self, event: &'static str, at: i64, millis: u64) {
        let spikes = self.events.entry(event).or_default();
        spikes.max = spikes.max.max(millis);
        match spikes.samples.back_mut() {
            Some((last_at, last)) if *last_at == at => *last = (*last).max(millis),
            _ => spikes.samples.push_back((at, millis)),
        }
        if spikes.samples.len() > SPIKES_MAX {
            spikes.samples.pop_front();
        }
    }

    /// The spikes of one event, whose case matters here.
    pub fn event(&self, name: &[u8]) -> Option<(&'static str, &Spikes)> {
        let mut events = self.events.iter();
        let found = events.find(|(event, _)| event.as_bytes() == name);
        found.map(|(event, spikes)| (*event, spikes))
    }

    /// The events that had spikes.
    pub fn events(&self) -> impl ExactSizeIterator<Item = (&'static str, &Spikes)> {
        self.events.iter().map(|(&name, spikes)| (name, spikes))
    }

    /// Forgets one event, in any case, or all; answers how many were forgotten.
    pub fn reset(&mut self, event: Option<&[u8]>) -> usize {
        let before = self.events.len();
        match event {
            Some(name) => self
                .events
                .retain(|event, _| !event.as_bytes().eq_ignore_ascii_case(name)),
            None => self.events.clear(),
        }
        before - self.events.len()
    }
}
