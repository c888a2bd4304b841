//! The broker inside a program.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use redis::Commands;
use respd::Broker;

use crate::wire::{PATIENCE, Wire, show, until};

#[test]
fn a_blocking_client_works_inside_a_single_threaded_async_test() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let broker = Broker::start().unwrap();
        let client = redis::Client::open(broker.url()).unwrap();
        let mut connection = client.get_connection().unwrap();
        let pong: String = redis::cmd("PING").query(&mut connection).unwrap();
        assert_eq!(pong, "PONG");
    });
}

#[test]
fn shutdown_closes_connections_and_frees_the_port() {
    // An address of its own: on 127.0.0.1 another test may get the port.
    let alone = || Broker::builder().set("bind", "127.83.1.1");
    let broker = alone().start().unwrap();
    let addr = broker.addr();
    let mut client = Wire::connect(addr);
    assert_eq!(client.text(&["PING"]), "PONG");
    broker.shutdown();
    assert_eq!(client.rest(), b"");
    assert!(
        TcpStream::connect(addr).is_err(),
        "somebody still listens on {addr}"
    );
    let again = alone()
        .set("port", &addr.port().to_string())
        .start()
        .unwrap();
    assert_eq!(again.addr(), addr);
}

/// A client that comes again at once is not to be cut off once more.
#[test]
fn who_is_cut_off_by_the_end_finds_that_nobody_listens() {
    for workers in ["1", "2"] {
        // An address of its own: on 127.0.0.1 another test may get the port.
        let builder = Broker::builder().set("bind", "127.83.1.2");
        let broker = builder.set("workers", workers).start().unwrap();
        let addr = broker.addr();
        let mut clients: Vec<Wire> = (0..4).map(|_| Wire::connect(addr)).collect();
        for client in &mut clients {
            assert_eq!(client.text(&["PING"]), "PONG");
        }
        std::thread::scope(|scope| {
            for mut client in clients {
                scope.spawn(move || {
                    assert_eq!(client.rest(), b"");
                    let again = TcpStream::connect(addr);
                    assert!(again.is_err(), "somebody still listens on {addr}");
                });
            }
            broker.shutdown();
        });
    }
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let broker = Broker::start().unwrap();
    let port = broker.addr().port().to_string();
    let Err(error) = Broker::builder().set("port", &port).start() else {
        panic!("two brokers listen on {port}");
    };
    assert!(error.to_string().contains(&port), "{error}");
}

#[test]
fn a_wrong_setting_is_an_error_that_names_it() {
    for (name, value) in [("maxclients", "many"), ("no-such-setting", "1")] {
        let Err(error) = Broker::builder().set(name, value).start() else {
            panic!("{name} {value} is taken");
        };
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// As in a file: what is corrected is nobody's mistake, and what only Redis does is none.
#[test]
fn the_last_to_set_a_setting_wins() {
    let broker = Broker::builder()
        .set("maxclients", "many")
        .set("maxclients", "7")
        .set("port", "x")
        .set("port", "0")
        .set("save", "900 1")
        .set("appendonly", "yes")
        .set("maxmemory", "100mb")
        .start()
        .unwrap();
    let mut client = Wire::connect(broker.addr());
    for (name, value) in [
        ("maxclients", "7"),
        ("save", ""),
        ("appendonly", "no"),
        ("maxmemory", "104857600"),
    ] {
        let got = client.text(&["CONFIG", "GET", name]);
        assert_eq!(got, format!("[{name} {value}]"));
    }
}

#[test]
fn what_is_shown_of_a_broker_has_no_password() {
    let builder = Broker::builder()
        .set("requirepass", "hunter2")
        .set("requirpass", "hunter2")
        .set("databases", "4");
    let shown = format!("{builder:?}");
    assert!(shown.contains(r#""requirepass": "(redacted)""#), "{shown}");
    assert!(shown.contains(r#""databases": "4""#), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let broker = Broker::builder().set("requirepass", "hunter2").start();
    let shown = format!("{:?}", broker.unwrap());
    assert!(shown.starts_with("Broker { addrs: [127.0.0.1:"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_url_carries_the_password() {
    let broker = Broker::builder()
        .set("requirepass", "p@ss/word")
        .start()
        .unwrap();
    assert!(broker.url().contains(":p%40ss%2Fword@"), "{}", broker.url());
    let mut connection = redis::Client::open(broker.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let () = connection.publish("c", "m").unwrap();
    let mut stranger = Wire::connect(broker.addr());
    assert_eq!(stranger.text(&["PING"]), "NOAUTH Authentication required.");
}

#[test]
fn a_client_that_sends_shutdown_ends_the_broker() {
    let broker = Broker::start().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut client = Wire::connect(broker.addr());
    client.send(&["SHUTDOWN", "NOSAVE"]);
    let stopped = async { tokio::time::timeout(PATIENCE, broker.stopped()).await };
    runtime.block_on(stopped).expect("the broker has stopped");
    assert_eq!(client.rest(), b"");
}

#[test]
fn two_hundred_brokers_are_alone_and_leave_nothing_behind() {
    let brokers: Vec<_> = (0..200).map(|_| Broker::start().unwrap()).collect();
    let mut clients: Vec<_> = brokers.iter().map(|b| Wire::connect(b.addr())).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.call(&["SET", "n", &n.to_string()]);
    }
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.text(&["GET", "n"]), n.to_string());
    }
    drop(brokers);
    for mut client in clients {
        assert_eq!(client.rest(), b"");
    }
}

/// Calls on a thread of its own.
fn call_in_background(
    mut client: respd::LocalClient,
    words: &'static [&'static str],
) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || show(&client.call(words)))
}

#[test]
fn a_local_client_that_is_blocked_is_let_go_at_the_end() {
    let broker = Broker::start().unwrap();
    let waiting = call_in_background(broker.client(), &["BLPOP", "queue", "0"]);
    let mut other = broker.client();
    until("it is blocked", || {
        show(&other.call(&["INFO", "clients"])).contains("blocked_clients:1")
    });
    broker.shutdown();
    assert_eq!(waiting.join().unwrap(), "ERR the client is closed");
    assert_eq!(show(&other.call(&["PING"])), "ERR the client is closed");
}

#[test]
fn a_local_client_that_is_killed_while_blocked_takes_nothing() {
    let broker = Broker::start().unwrap();
    let mut other = broker.client();
    let mut victim = broker.client();
    let id = show(&victim.call(&["CLIENT", "ID"]));
    let waiting = call_in_background(victim, &["BLPOP", "queue", "0"]);
    until("it is blocked", || {
        show(&other.call(&["INFO", "clients"])).contains("blocked_clients:1")
    });
    assert_eq!(show(&other.call(&["CLIENT", "KILL", "ID", &id])), "1");
    assert_eq!(show(&other.call(&["RPUSH", "queue", "item"])), "1");
    assert_eq!(waiting.join().unwrap(), "ERR the client is closed");
    assert_eq!(show(&other.call(&["LLEN", "queue"])), "1");
}

#[test]
fn unpause_lets_local_and_remote_clients_go() {
    let broker = Broker::builder().set("workers", "2").start().unwrap();
    let mut other = broker.client();
    other.call(&["CLIENT", "PAUSE", "3600000", "WRITE"]);
    let local = call_in_background(broker.client(), &["INCR", "n"]);
    let mut remote = Wire::connect(broker.addr());
    remote.send(&["INCR", "n"]);
    until("both are held", || {
        let list = show(&other.call(&["CLIENT", "LIST"]));
        list.lines().filter(|line| line.contains("flags=b")).count() == 2
    });
    assert_eq!(show(&other.call(&["CLIENT", "UNPAUSE"])), "OK");
    let mut counts = [local.join().unwrap(), show(&remote.receive())];
    counts.sort();
    assert_eq!(counts, ["1", "2"]);
}

#[test]
fn a_client_that_had_no_password_goes_on_when_none_is_needed_any_more() {
    let broker = Broker::builder()
        .set("requirepass", "secret")
        .start()
        .unwrap();
    let mut client = Wire::connect(broker.addr());
    assert_eq!(client.text(&["PING"]), "NOAUTH Authentication required.");
    broker.client().call(&["CONFIG", "SET", "requirepass", ""]);
    assert_eq!(client.text(&["PING"]), "PONG");
}

#[test]
fn a_subscriber_that_wants_no_replies_gets_its_own_messages() {
    let broker = Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    client.call(&["HELLO", "3"]);
    client.call(&["SUBSCRIBE", "c"]);
    client.send(&["CLIENT", "REPLY", "OFF"]);
    client.send(&["PUBLISH", "c", "m"]);
    assert_eq!(show(&client.receive()), "[message c m]");
}

#[test]
fn whoever_follows_the_settings_hears_of_changes_and_not_of_the_start() {
    let broker = Broker::start().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::select! {
            biased;
            _ = broker.reconfigured() => panic!("nothing has changed"),
            () = std::future::ready(()) => {}
        }
        broker.client().call(&["CONFIG", "SET", "timeout", "7"]);
        let changed = tokio::time::timeout(PATIENCE, broker.reconfigured()).await;
        assert_eq!(changed.expect("it is told of the change").timeout, 7);
    });
}

#[test]
fn brokers_that_come_and_go_on_one_socket_take_it_from_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let come_and_go = |name: &str| {
        for _ in 0..100 {
            let builder = Broker::builder().set("bind", "");
            let broker = match builder.set("unixsocket", path.to_str().unwrap()).start() {
                Ok(broker) => broker,
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.contains(": Address already in use"), "{error}");
                    continue;
                }
            };
            broker.client().call(&["SET", "name", name]);
            let mut client = UnixStream::connect(&path).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(b"GET name\r\n").unwrap();
            let mut reply = [0; 7];
            client.read_exact(&mut reply).unwrap();
            assert_eq!(reply, format!("$1\r\n{name}\r\n").as_bytes());
        }
    };
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            scope.spawn(move || come_and_go(name));
        }
    });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
