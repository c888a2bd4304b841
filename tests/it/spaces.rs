//! Spaces: brokers that one broker starts beside itself, for one test each.

use std::net::{SocketAddr, TcpStream};

use respd::Broker;
use respd::resp::value::Value;
use respd::testkit::Data;

use crate::binary::process::serve;
use crate::footprint::Footprint;
use crate::wire::{Wire, assert_serves, show, until};

fn start() -> Broker {
    Broker::for_tests().unwrap()
}

/// Where a space is, as it was answered.
struct Space {
    id: String,
    addr: SocketAddr,
    url: String,
}

fn new_space(client: &mut Wire) -> Space {
    let answer = client.call(&["RESPD", "SPACE", "NEW"]);
    let Value::Array(words) = &answer else {
        panic!("{}", show(&answer));
    };
    let words: Vec<String> = words.iter().map(show).collect();
    let [_, id, _, host, _, port, _, url] = &words[..] else {
        panic!("{words:?}");
    };
    assert_eq!([&words[0], &words[2]], ["id", "host"]);
    assert_eq!([&words[4], &words[6]], ["port", "url"]);
    Space {
        id: id.clone(),
        addr: SocketAddr::new(host.parse().unwrap(), port.parse().unwrap()),
        url: url.clone(),
    }
}

#[track_caller]
fn until_gone(addr: SocketAddr) {
    until("the space is gone", || TcpStream::connect(addr).is_err());
}

#[test]
fn a_space_is_a_broker_of_its_own() {
    let broker = start();
    let mut parent = Wire::connect(broker.addr());
    parent.text(&["SET", "k", "parent"]);
    let [first, second] = [(); 2].map(|()| new_space(&mut parent));
    assert_eq!([&*first.id, &*second.id], ["1", "2"]);
    assert_eq!(first.url, format!("redis://{}/0", first.addr));
    let [mut one, mut other] = [&first, &second].map(|space| Wire::connect(space.addr));
    assert_eq!(one.text(&["DBSIZE"]), "0");
    one.text(&["SET", "k", "one"]);
    assert_eq!(other.text(&["GET", "k"]), "nil");
    assert_eq!(parent.text(&["GET", "k"]), "parent");
    assert_eq!(one.text(&["CLIENT", "ID"]), "1");
    // A clock that stands in one goes on in the others.
    one.text(&["RESPD", "CLOCK", "FREEZE"]);
    one.text(&["RESPD", "CLOCK", "ADVANCE", "3600000"]);
    let running = |client: &mut Wire| client.text(&["RESPD", "CLOCK", "GET"]);
    assert!(running(&mut one).ends_with("state frozen]"));
    assert!(running(&mut other).ends_with("state running]"));
    assert!(running(&mut parent).ends_with("state running]"));
    assert_eq!(one.text(&["RESPD", "SNAPSHOT"]), "1");
    assert_eq!(other.text(&["RESPD", "ROLLBACK"]), "ERR no such snapshot");
    // It goes and comes back by itself.
    assert_eq!(one.text(&["RESPD", "RESTART", "LOSE"]), "OK");
    let mut one = Wire::connect(first.addr);
    assert_eq!(one.text(&["DBSIZE"]), "0");
    assert_eq!(parent.text(&["GET", "k"]), "parent");
    let list = parent.text(&["RESPD", "SPACE", "LIST"]);
    let shown = |space: &Space| {
        let (id, url, port) = (&space.id, &space.url, space.addr.port());
        format!("[id {id} host 127.0.0.1 port {port} url {url}]")
    };
    assert_eq!(list, format!("[{} {}]", shown(&first), shown(&second)));
}

#[test]
fn a_space_has_the_settings_that_its_broker_was_started_with() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::builder()
        .for_tests()
        .set("requirepass", "p/w")
        .set("databases", "3")
        .set("workers", "2")
        .set("maxclients", "7")
        .set("bind", "127.0.0.2 127.0.0.1")
        .set("unixsocket", dir.path().join("sock").to_str().unwrap())
        .start()
        .unwrap();
    let mut parent = Wire::connect(broker.addr());
    parent.text(&["AUTH", "p/w"]);
    parent.text(&["CONFIG", "SET", "requirepass", "changed", "maxclients", "8"]);
    let space = new_space(&mut parent);
    assert_eq!(space.addr.ip().to_string(), "127.0.0.2");
    assert_eq!(space.url, format!("redis://:p%2Fw@{}/0", space.addr));
    let mut client = redis::Client::open(&*space.url)
        .unwrap()
        .get_connection()
        .unwrap();
    let mut setting = |name: &str| -> Vec<String> {
        let get = redis::cmd("CONFIG").arg("GET").arg(name).to_owned();
        get.query(&mut client).unwrap()
    };
    for (name, value) in [
        ("databases", "3"),
        ("maxclients", "7"),
        ("test-commands", "yes"),
        ("workers", "1"),
        ("hz", "1"),
        ("unixsocket", ""),
        ("bind", "127.0.0.2"),
    ] {
        assert_eq!(setting(name), [name, value]);
    }
}

#[test]
fn spaces_have_none_themselves() {
    let broker = start();
    let mut parent = Wire::connect(broker.addr());
    let space = new_space(&mut parent);
    let mut inside = Wire::connect(space.addr);
    let refused = "ERR A space has no spaces of its own";
    assert_eq!(inside.text(&["RESPD", "SPACE", "NEW"]), refused);
    assert_eq!(inside.text(&["RESPD", "RESTART"]), "OK");
    let mut inside = Wire::connect(space.addr);
    assert_eq!(inside.text(&["RESPD", "SPACE", "NEW"]), refused);
}

#[test]
fn a_space_ends_when_it_is_dropped_or_who_made_it_has_gone() {
    let broker = start();
    let (mut owner, mut other) = (Wire::connect(broker.addr()), Wire::connect(broker.addr()));
    let spaces = [(); 3].map(|()| new_space(&mut owner));
    let mut waits = Wire::connect(spaces[0].addr);
    waits.send(&["BLPOP", "jobs", "0"]);
    assert_eq!(other.text(&["RESPD", "SPACE", "DROP", &spaces[0].id]), "OK");
    assert_eq!(waits.rest(), b"");
    until_gone(spaces[0].addr);
    let again = other.text(&["RESPD", "SPACE", "DROP", &spaces[0].id]);
    assert_eq!(again, "ERR no such space");
    assert_serves(spaces[1].addr);
    let kept = new_space(&mut other);
    assert_eq!(kept.id, "4");
    drop(owner);
    until_gone(spaces[1].addr);
    until_gone(spaces[2].addr);
    assert_serves(kept.addr);
    other.send(&["QUIT"]);
    other.rest();
    until_gone(kept.addr);
    // Who has no connection leaves likewise.
    let mut local = broker.client();
    let answer = show(&local.call(&["RESPD", "SPACE", "NEW"]));
    let port = answer.split(' ').nth(5).unwrap().parse().unwrap();
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    assert_serves(addr);
    drop(local);
    until_gone(addr);
}

#[test]
fn a_broker_that_goes_takes_its_spaces_with_it() {
    let broker = start();
    let mut local = broker.client();
    let mut client = Wire::connect(broker.addr());
    let of_client = new_space(&mut client);
    let answer = show(&local.call(&["RESPD", "SPACE", "NEW"]));
    assert!(answer.contains("id 2 "), "{answer}");
    broker.restart(Data::Keep).unwrap();
    assert!(TcpStream::connect(of_client.addr).is_err());
    let mut client = Wire::connect(broker.addr());
    assert_eq!(client.text(&["RESPD", "SPACE", "LIST"]), "[]");
    let space = new_space(&mut client);
    assert_eq!(space.id, "3");
    drop(broker);
    assert!(TcpStream::connect(space.addr).is_err());
}

#[test]
fn many_spaces_at_once_are_each_alone() {
    let broker = start();
    let addr = broker.addr();
    std::thread::scope(|scope| {
        for thread in 0..20 {
            scope.spawn(move || {
                for round in 0..10 {
                    let mut owner = Wire::connect(addr);
                    let space = new_space(&mut owner);
                    let mut client = Wire::connect(space.addr);
                    let value = format!("{thread}.{round}");
                    assert_eq!(client.text(&["DBSIZE"]), "0");
                    assert_eq!(client.text(&["SET", "k", &value]), "OK");
                    assert_eq!(client.text(&["GET", "k"]), value);
                    if round % 2 == 0 {
                        let drop = ["RESPD", "SPACE", "DROP", &space.id];
                        assert_eq!(owner.text(&drop), "OK");
                    }
                }
            });
        }
    });
    let mut client = Wire::connect(addr);
    until("all spaces have ended", || {
        client.text(&["RESPD", "SPACE", "LIST"]) == "[]"
    });
}

#[test]
fn nothing_is_left_of_spaces_that_have_ended() {
    let broker = serve(&["--test-commands", "yes"]);
    let mut client = broker.connect();
    assert_eq!(client.text(&["PING"]), "PONG");
    let footprint = || Footprint::of(broker.process.id());
    let before = footprint();
    let mut round = || {
        let spaces: Vec<_> = (0..20).map(|_| new_space(&mut client)).collect();
        for space in &spaces {
            assert_serves(space.addr);
        }
        for space in &spaces {
            client.text(&["RESPD", "SPACE", "DROP", &space.id]);
        }
        until("threads and descriptors are back", || {
            let now = footprint();
            // One thread waits for the ends of spaces, and one gives memory back.
            now.threads <= before.threads + 2 && now.descriptors <= before.descriptors
        });
    };
    // What the allocator keeps for the next ones is there.
    (0..5).for_each(|_| round());
    let resident = footprint().resident;
    (0..15).for_each(|_| round());
    // One takes half a megabyte.
    let grown = footprint().resident.saturating_sub(resident);
    assert!(grown < 30 << 20, "{grown} bytes more than before");
    broker.stop();
}
