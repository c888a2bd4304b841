//! Clients that track, beside a model that knows of each what it has to hear.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Counts, Post};
use crate::LocalClient;
use crate::engine::{Engine, Turn, upkeep};
use crate::testing::{client, engine};

fn counts(engine: &Engine) -> Counts {
    Turn::new(engine).state().tracking.counts()
}

fn memory(engine: &Engine) -> usize {
    Turn::new(engine).state().tracking.memory()
}

/// Does a little of what nobody waits for; answers whether there was something.
fn tidy(engine: &Engine) -> bool {
    engine.server.deliver(Duration::ZERO, |delivery| {
        let post = Post {
            clients: &engine.server.clients,
            delivery,
            by: None,
            reached_others: Cell::new(false),
        };
        let mut turn = Turn::new(engine);
        let tracking = &mut turn.state().tracking;
        let is_left = tracking.has_litter();
        tracking.tidy(10, &post);
        is_left
    })
}

/// A client that speaks RESP3.
fn tracker(engine: &Arc<Engine>, options: &str) -> LocalClient {
    let mut client = client(engine);
    client.line("HELLO 3");
    let turned_on = client.line(&format!("CLIENT TRACKING ON{options}"));
    assert_eq!(turned_on, "+OK", "{options}");
    client
}

/// What a client has been told since it was asked last.
fn told(client: &mut LocalClient) -> String {
    let reply = String::from_utf8(client.run(b"PING\r\n")).unwrap();
    reply.strip_prefix("+PONG\r\n").expect("a reply").to_owned()
}

fn invalidation(keys: &[String]) -> String {
    let keys: String = keys
        .iter()
        .map(|key| format!("${}\r\n{key}\r\n", key.len()))
        .collect();
    let count = keys.matches('$').count();
    format!(">2\r\n$10\r\ninvalidate\r\n*{count}\r\n{keys}")
}

const ALL: &str = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

/// Keys of the forms `MGET k0 k1 …`, or of whatever command.
fn with_keys(command: &str, keys: std::ops::Range<usize>) -> String {
    keys.fold(command.to_owned(), |line, n| line + &format!(" k{n}"))
}

/// What the model knows of a client.
#[derive(Default)]
struct Model {
    on: bool,
    broadcasts: bool,
    noloop: bool,
    prefixes: BTreeSet<String>,
    /// Keys that it has read, whether it has tracking on or not.
    read: BTreeSet<String>,
    /// By prefix, the keys to be told of at the end of the turn, and whether the
    /// last one to change each was the client itself.
    news: BTreeMap<String, BTreeMap<String, bool>>,
    told: String,
}

impl Model {
    fn changed(&mut self, key: &str, own: bool) {
        let had_read = self.read.remove(key);
        if self.on && self.broadcasts {
            for prefix in self.prefixes.iter().filter(|of| key.starts_with(*of)) {
                let news = self.news.entry(prefix.clone()).or_default();
                news.insert(key.to_owned(), own);
            }
        } else if self.on && had_read && !(own && self.noloop) {
            self.told += &invalidation(&[key.to_owned()]);
        }
    }

    fn flushed(&mut self) {
        self.read.clear();
        self.told += if self.on { ALL } else { "" };
    }

    fn end_turn(&mut self) {
        for (_, keys) in std::mem::take(&mut self.news) {
            let wanted = keys.into_iter().filter(|(_, own)| !(self.noloop && *own));
            let keys: Vec<_> = wanted.map(|(key, _)| key).collect();
            if !keys.is_empty() {
                self.told += &invalidation(&keys);
            }
        }
    }
}

/// One request of a client, as the models see it.
fn request(rng: &mut fastrand::Rng, models: &mut [Model], by: usize) -> String {
    let key = |rng: &mut fastrand::Rng| {
        let len = rng.usize(1..4);
        (0..len).map(|_| rng.char('a'..='b')).collect::<String>()
    };
    let (one, other) = (key(rng), key(rng));
    let tell = |models: &mut [Model], key: &str| {
        let all = models.iter_mut().enumerate();
        all.for_each(|(at, model)| model.changed(key, at == by));
    };
    match rng.u8(..10) {
        0..5 => {
            for key in [&one, &other] {
                if models[by].on && !models[by].broadcasts {
                    models[by].read.insert(key.clone());
                }
            }
            format!("MGET {one} {other}")
        }
        5..8 => {
            tell(models, &one);
            tell(models, &other);
            format!("MSET {one} v {other} v")
        }
        8 => {
            tell(models, &one);
            format!("SET {one} v")
        }
        _ => {
            models.iter_mut().for_each(Model::flushed);
            "FLUSHALL".to_owned()
        }
    }
}

/// Turns tracking on or off.
fn switch(rng: &mut fastrand::Rng, model: &mut Model) -> String {
    if model.on && rng.bool() {
        model.on = false;
        model.prefixes.clear();
        model.news.clear();
        return "CLIENT TRACKING OFF".to_owned();
    }
    if !model.on {
        model.broadcasts = rng.bool();
    }
    model.on = true;
    model.noloop = rng.bool();
    let mut line = "CLIENT TRACKING ON".to_owned();
    if model.noloop {
        line += " NOLOOP";
    }
    if model.broadcasts {
        line += " BCAST";
        let prefix = ["a", "b", "ab", "", "bb"][rng.usize(..5)].to_owned();
        let overlaps = |of: &String| of.starts_with(&prefix) || prefix.starts_with(of.as_str());
        if prefix.is_empty() {
            // None at all is not compared with those that are there.
            model.prefixes.insert(prefix);
        } else if !model.prefixes.iter().any(overlaps) {
            line += &format!(" PREFIX {prefix}");
            model.prefixes.insert(prefix);
        } else {
            model.prefixes.insert(String::new());
        }
    }
    line
}

#[test]
fn everybody_is_told_what_a_naive_model_tells() {
    const CLIENTS: usize = 4;
    let engine = engine();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| tracker(&engine, "")).collect();
    let mut models: Vec<_> = (0..CLIENTS)
        .map(|_| Model {
            on: true,
            ..Model::default()
        })
        .collect();
    let mut rng = fastrand::Rng::with_seed(9);
    for round in 0..20_000 {
        let by = rng.usize(..CLIENTS);
        let mut lines = Vec::new();
        if rng.u8(..8) == 0 {
            lines.push(switch(&mut rng, &mut models[by]));
        } else {
            let count = rng.usize(1..4);
            lines.extend((0..count).map(|_| request(&mut rng, &mut models, by)));
            if rng.bool() {
                lines.insert(0, "MULTI".to_owned());
                lines.push("EXEC".to_owned());
            }
        }
        models.iter_mut().for_each(Model::end_turn);
        let requests = lines.join("\r\n") + "\r\n";
        let replies = clients[by].run(requests.as_bytes());
        let replies = String::from_utf8(replies).unwrap();
        // Messages stand between the replies, which are of no interest here.
        let mut heard = String::new();
        for (at, _) in replies.match_indices(">2\r\n") {
            heard += message_at(&replies[at..]);
        }
        for (at, model) in models.iter_mut().enumerate() {
            let got = match at == by {
                true => std::mem::take(&mut heard),
                false => told(&mut clients[at]),
            };
            let expected = std::mem::take(&mut model.told);
            assert_eq!(got, expected, "{at} in round {round}: {by} sent {lines:?}");
        }
        let items: usize = models.iter().map(|model| model.read.len()).sum();
        let keys: BTreeSet<_> = models.iter().flat_map(|model| &model.read).collect();
        let prefixes: BTreeSet<_> = models.iter().flat_map(|model| &model.prefixes).collect();
        let expected = Counts {
            clients: models.iter().filter(|model| model.on).count(),
            keys: keys.len(),
            items,
            prefixes: prefixes.len(),
        };
        assert_eq!(counts(&engine), expected, "after round {round}: {lines:?}");
    }
}

/// The invalidation that a text begins with.
fn message_at(text: &str) -> &str {
    let list = &text[ALL.len() - 3..];
    let lines = match list.strip_prefix('*') {
        Some(list) => 1 + 2 * list.split_once('\r').unwrap().0.parse::<usize>().unwrap(),
        None => 1,
    };
    let ends = list.match_indices("\r\n").map(|(at, _)| at + 2);
    let end = ends.take(lines).last().unwrap();
    &text[..ALL.len() - 3 + end]
}

#[test]
fn what_a_client_has_read_before_it_left_is_forgotten_in_steps() {
    const MANY: usize = 20_000;
    let engine = engine();
    let mut stays = tracker(&engine, "");
    stays.line(&with_keys("MGET", 0..100));
    let before = memory(&engine);
    let mut leaves = tracker(&engine, "");
    leaves.line(&with_keys("MGET", 0..MANY));
    drop(leaves);
    let left = counts(&engine);
    assert_eq!((left.clients, left.items), (1, MANY + 100));
    let mut steps = 0;
    while tidy(&engine) {
        steps += 1;
    }
    assert!(steps > 100, "{steps} steps");
    let left = counts(&engine);
    assert_eq!((left.keys, left.items), (100, 100));
    let after = memory(&engine);
    assert!(after < before + 64 * 1024, "{before} {after}");
    client(&engine).line("SET k7 v");
    assert_eq!(told(&mut stays), invalidation(&["k7".to_owned()]));
}

#[test]
fn what_nobody_has_read_who_is_here_is_forgotten_at_once_and_freed_in_steps() {
    let engine = engine();
    let mut leaves = tracker(&engine, "");
    leaves.line(&with_keys("MGET", 0..10_000));
    drop(leaves);
    assert_eq!(counts(&engine).keys, 0);
    assert!(Turn::new(&engine).state().tracking.has_litter());
    upkeep::until_done(&engine);
    assert!(!Turn::new(&engine).state().tracking.has_litter());
    assert!(!Turn::new(&engine).state().keyspace.journal.observed);
}

#[test]
fn the_table_is_bounded_and_who_loses_a_place_in_it_is_told() {
    let engine = engine();
    client(&engine).line("CONFIG SET tracking-table-max-keys 10");
    let mut tracker = tracker(&engine, " NOLOOP");
    let replies = tracker.line(&with_keys("MGET", 0..100));
    assert_eq!(replies.matches("invalidate").count(), 90);
    assert_eq!(counts(&engine).keys, 10);
    client(&engine).line("CONFIG SET tracking-table-max-keys 3");
    upkeep::until_done(&engine);
    assert_eq!(counts(&engine).keys, 3);
    assert_eq!(told(&mut tracker).matches("invalidate").count(), 7);
}

#[test]
fn who_has_keys_evicted_that_it_keeps_is_told() {
    let engine = engine();
    let (mut tracker, mut other) = (tracker(&engine, " NOLOOP"), client(&engine));
    (0..20).for_each(|n| _ = other.line(&format!("SET k{n} v")));
    tracker.line(&with_keys("MGET", 0..20));
    let used = Turn::new(&engine).state().used_memory(&engine.server);
    let limit = format!("CONFIG SET maxmemory {used} maxmemory-policy allkeys-random");
    assert_eq!(other.line(&limit), "+OK");
    let large = "v".repeat(500);
    let requests = format!("SET large {large}\r\nSET more v\r\n");
    let told = String::from_utf8(tracker.run(requests.as_bytes())).unwrap();
    other.line("CONFIG SET maxmemory 0");
    let keys = (0..20).map(|n| format!("k{n}"));
    let gone: Vec<_> = keys
        .filter(|key| other.line(&format!("EXISTS {key}")) == ":0")
        .collect();
    assert!(!gone.is_empty());
    for key in gone {
        assert!(told.contains(&invalidation(&[key])), "{told}");
    }
}

#[test]
fn many_prefixes_of_a_client_that_has_gone_are_taken_down_in_steps() {
    let engine = engine();
    let prefixes = (0..1000).fold(String::new(), |line, n| line + &format!(" PREFIX {n:04}"));
    let leaves = tracker(&engine, &format!(" BCAST{prefixes}"));
    let mut stays = tracker(&engine, " BCAST PREFIX 0007");
    assert_eq!(counts(&engine).prefixes, 1000);
    drop(leaves);
    assert_eq!(counts(&engine).prefixes, 1000);
    client(&engine).line("MSET 0007 v 0008 v");
    assert_eq!(told(&mut stays), invalidation(&["0007".to_owned()]));
    upkeep::until_done(&engine);
    assert_eq!(counts(&engine).prefixes, 1);
}

#[test]
fn what_was_told_in_one_protocol_comes_before_the_change_to_another() {
    let engine = engine();
    let mut tracker = tracker(&engine, "");
    tracker.line("GET k");
    client(&engine).line("SET k v");
    let replies = String::from_utf8(tracker.run(b"HELLO 2\r\n")).unwrap();
    let told = invalidation(&["k".to_owned()]);
    assert!(replies.starts_with(&(told + "*14\r\n")), "{replies}");
}

#[test]
fn after_a_panic_everybody_forgets_all_keys() {
    let engine = engine();
    let mut tracker = tracker(&engine, "");
    tracker.line("GET k");
    Turn::new(&engine).state().abandon();
    upkeep::until_done(&engine);
    assert_eq!(told(&mut tracker), ALL);
    assert_eq!(counts(&engine).keys, 0);
}
