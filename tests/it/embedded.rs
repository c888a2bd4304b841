//! The broker inside a program.

use std::net::TcpStream;

use redis::Commands;
use respd::Broker;

use crate::wire::{PATIENCE, Wire, show};

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
    let broker = Broker::start().unwrap();
    let addr = broker.addr();
    let mut client = Wire::connect(addr);
    assert_eq!(client.text(&["PING"]), "PONG");
    broker.shutdown();
    assert_eq!(client.rest(), b"");
    assert!(
        TcpStream::connect(addr).is_err(),
        "somebody still listens on {addr}"
    );
    let again = Broker::builder()
        .set("port", &addr.port().to_string())
        .start()
        .unwrap();
    assert_eq!(again.addr(), addr);
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
    for (n, broker) in brokers.iter().enumerate() {
        let mut client = Wire::connect(broker.addr());
        assert_eq!(show(&client.call(&["PUBLISH", "c", &n.to_string()])), "0");
    }
    let ports: std::collections::HashSet<_> = brokers.iter().map(|b| b.addr().port()).collect();
    assert_eq!(ports.len(), 200);
    let addrs: Vec<_> = brokers.iter().map(Broker::addr).collect();
    drop(brokers);
    for addr in addrs {
        assert!(TcpStream::connect(addr).is_err(), "{addr} still answers");
    }
}
