//! Connections within the program, which are clients like all others.

use std::collections::HashSet;
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::pin::pin;
use std::sync::mpsc::channel;

use futures_util::StreamExt;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, AsyncTypedCommands, RedisConnectionInfo};
use respd::resp::value::decode;
use respd::{BlockingMemoryStream, Broker, MemoryStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::wire::{PATIENCE, encode, show, until};

fn start(settings: &[(&str, &str)]) -> Broker {
    let builder = Broker::builder().without_port();
    let settings = settings.iter();
    let builder = settings.fold(builder, |builder, (name, value)| builder.set(name, value));
    builder.start().unwrap()
}

/// Runs it on this thread, and does not wait for ever.
fn run<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let test = async { tokio::time::timeout(PATIENCE, test).await };
    runtime.block_on(test).expect("it is done in time")
}

/// Runs it on another thread, and does not wait for ever.
fn within_patience<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = channel();
    let thread = std::thread::spawn(move || done.send(test()));
    match result.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(_) if thread.is_finished() => panic!("{:?}", thread.join().map(drop)),
        Err(_) => panic!("it is not done in time"),
    }
}

/// What a command answers to a client that does nothing else.
fn ask(broker: &Broker, words: &[&str]) -> String {
    show(&broker.client().call(words))
}

fn until_info(broker: &Broker, line: &str) {
    until(line, || ask(broker, &["INFO"]).lines().any(|l| l == line));
}

/// Goes on with other tasks of this thread until so many clients are blocked.
async fn until_blocked(broker: &Broker, count: usize) {
    let line = format!("blocked_clients:{count}\r");
    while !ask(broker, &["INFO", "clients"]).contains(&line) {
        tokio::task::yield_now().await;
    }
}

/// A client of bytes.
struct Client(BlockingMemoryStream, Vec<u8>);

impl Client {
    fn connect(broker: &Broker) -> Client {
        Client(broker.connect().into_blocking(), Vec::new())
    }

    fn send(&mut self, words: &[&str]) {
        self.0.write_all(&encode(words)).unwrap();
    }

    fn receive(&mut self) -> String {
        loop {
            if let Some((value, len)) = decode(&self.1).unwrap() {
                self.1.drain(..len);
                return show(&value);
            }
            let mut chunk = [0; 4096];
            let len = self.0.read(&mut chunk).unwrap();
            assert!(len > 0, "it has ended; unread: {:?}", self.1);
            self.1.extend_from_slice(&chunk[..len]);
        }
    }

    fn ask(&mut self, words: &[&str]) -> String {
        self.send(words);
        self.receive()
    }

    /// What comes until the end.
    fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }
}

async fn multiplexed(broker: &Broker) -> MultiplexedConnection {
    multiplexed_with(broker, RedisConnectionInfo::default()).await
}

async fn multiplexed_with(broker: &Broker, info: RedisConnectionInfo) -> MultiplexedConnection {
    let (stream, patient) = (broker.connect(), AsyncConnectionConfig::new());
    let patient = patient.set_response_timeout(None);
    let connection = MultiplexedConnection::new_with_config(&info, stream, patient).await;
    let (connection, driver) = connection.unwrap();
    tokio::spawn(driver);
    connection
}

#[test]
fn the_multiplexed_connection_of_redis_rs_works_over_it() {
    let broker = start(&[]);
    run(async {
        let mut one = multiplexed(&broker).await;
        let mut other = one.clone();
        one.set("key", "value").await.unwrap();
        let (first, second) = tokio::join!(one.get("key"), other.incr("n", 5));
        assert_eq!(first.unwrap().as_deref(), Some("value"));
        assert_eq!(second.unwrap(), 5);
        let mut pipe = redis::pipe();
        for n in 0..10_000 {
            pipe.rpush("list", n).ignore();
        }
        let () = pipe.query_async(&mut one).await.unwrap();
        let elements: Vec<usize> = redis::cmd("LRANGE")
            .arg(&["list", "0", "-1"])
            .query_async(&mut other)
            .await
            .unwrap();
        assert!(elements.into_iter().eq(0..10_000));
    });
}

#[test]
fn who_blocks_is_served_by_who_pushes() {
    let broker = start(&[]);
    run(async {
        let (mut worker, mut producer) = (multiplexed(&broker).await, multiplexed(&broker).await);
        let work = tokio::spawn(async move { worker.blpop("jobs", 0.0).await });
        until_blocked(&broker, 1).await;
        producer.lpush("jobs", "one").await.unwrap();
        let item = work.await.unwrap().unwrap().unwrap();
        assert_eq!(item, ["jobs".to_owned(), "one".to_owned()]);
        let none = producer.blpop("jobs", 0.01).await.unwrap();
        assert_eq!(none, None);
    });
}

#[test]
fn the_pubsub_of_redis_rs_works_over_it() {
    let broker = start(&[]);
    run(async {
        let info = RedisConnectionInfo::default();
        let mut subscriber = PubSub::new(&info, broker.connect()).await.unwrap();
        subscriber.subscribe("news").await.unwrap();
        subscriber.psubscribe("n*").await.unwrap();
        let mut publisher = multiplexed(&broker).await;
        let heard = publisher.publish("news", "today").await.unwrap();
        assert_eq!(heard, 2);
        let messages: Vec<redis::Msg> = subscriber.on_message().take(2).collect().await;
        for (message, pattern) in messages.iter().zip([None, Some("n*")]) {
            assert_eq!(message.get_channel_name(), "news");
            assert_eq!(message.get_payload::<String>().unwrap(), "today");
            assert_eq!(
                message.get_pattern::<Option<String>>().unwrap().as_deref(),
                pattern
            );
        }
    });
    until_info(&broker, "pubsub_channels:0");
}

#[test]
fn large_values_pass_both_ways() {
    const LEN: usize = 100 << 20;
    let broker = start(&[]);
    run(async {
        let value: Vec<u8> = (0..LEN).map(|n| (n % 251) as u8).collect();
        let mut client = multiplexed(&broker).await;
        client.set("large", &value[..]).await.unwrap();
        assert_eq!(client.strlen("large").await.unwrap(), LEN);
        let mut get = redis::cmd("GET");
        let got: Vec<u8> = get.arg("large").query_async(&mut client).await.unwrap();
        assert!(got == value, "{} bytes come back changed", got.len());
    });
}

#[test]
fn it_is_a_client_like_any_other() {
    let broker = start(&[("workers", "2")]);
    within_patience(move || {
        let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&broker)).collect();
        for (at, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.ask(&["CLIENT", "SETNAME", &format!("c{at}")]), "OK");
        }
        let info = clients[1].ask(&["CLIENT", "INFO"]);
        assert!(
            info.contains(" addr=memory:2 laddr=memory:2 fd=-1 name=c1 "),
            "{info}"
        );
        let list = ask(&broker, &["CLIENT", "LIST"]);
        let addresses: HashSet<_> = list
            .split(' ')
            .filter(|word| word.starts_with("addr="))
            .collect();
        assert_eq!(addresses.len(), 4, "{list}");
        let [first, second, third] = &mut clients[..] else {
            unreachable!("there are three");
        };
        assert_eq!(third.ask(&["MONITOR"]), "OK");
        assert_eq!(second.ask(&["PING"]), "PONG");
        let shown = third.receive();
        assert!(shown.ends_with(r#" [0 memory:2] "PING""#), "{shown}");
        assert_eq!(first.ask(&["CLIENT", "KILL", "memory:2"]), "OK");
        assert_eq!(second.rest(), "");
        let error = second.0.write_all(b"PING\r\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(first.ask(&["QUIT"]), "OK");
        assert_eq!(first.rest(), "");
        until_info(&broker, "total_connections_received:3");
    });
}

#[test]
fn it_authenticates_where_there_is_a_password() {
    let broker = start(&[("requirepass", "secret")]);
    let mut client = Client::connect(&broker);
    within_patience(move || {
        assert_eq!(client.ask(&["PING"]), "NOAUTH Authentication required.");
        assert_eq!(client.ask(&["AUTH", "secret"]), "OK");
        assert_eq!(client.ask(&["PING"]), "PONG");
    });
    run(async {
        let info = RedisConnectionInfo::default().set_password("secret");
        let mut client = multiplexed_with(&broker, info).await;
        client.set("key", "value").await.unwrap();
    });
}

#[test]
fn one_too_many_is_told_so() {
    let broker = start(&[("maxclients", "2"), ("workers", "2")]);
    within_patience(move || {
        let mut clients = [(); 2].map(|()| Client::connect(&broker));
        let refused = "-ERR max number of clients reached\r\n";
        assert_eq!(Client::connect(&broker).rest(), refused);
        let [first, second] = &mut clients;
        assert_eq!(first.ask(&["PING"]), "PONG");
        assert_eq!(second.ask(&["QUIT"]), "OK");
        assert_eq!(second.rest(), "");
        until("there is room again", || {
            let mut next = Client::connect(&broker);
            next.0.write_all(b"QUIT\r\n").is_ok() && next.rest() == "+OK\r\n"
        });
    });
}

/// However many threads they come from at once.
#[test]
fn no_more_come_in_than_there_is_room_for() {
    let broker = start(&[("maxclients", "10")]);
    let clients: Vec<MemoryStream> = std::thread::scope(|scope| {
        let connect = || (0..10).map(|_| broker.connect()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(connect)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let served = clients.into_iter().map(|stream| {
        let mut client = stream.into_blocking();
        let _ = client.write_all(b"PING\r\n");
        let mut first = [0];
        client.read_exact(&mut first).unwrap();
        (first, client)
    });
    let served: Vec<_> = served.filter(|(first, _)| first == b"+").collect();
    assert_eq!(served.len(), 10);
}

#[test]
fn who_does_not_read_is_cut_off_by_the_limit_of_its_output() {
    let broker = start(&[("client-output-buffer-limit", "normal 1mb 0 0")]);
    within_patience(move || {
        let mut client = Client::connect(&broker);
        let value = "x".repeat(10_000);
        assert_eq!(client.ask(&["SET", "key", &value]), "OK");
        let requests = encode(&["GET", "key"]).repeat(10);
        let mut sent = 0;
        while client.0.write_all(&requests).is_ok() {
            sent += 10;
            assert!(sent < 100_000, "it is never cut off");
        }
        let read = client.rest().len();
        assert!(read <= 64 * 1024, "{read} bytes were kept for it");
        until_info(&broker, "client_output_buffer_limit_disconnections:1");
        until_info(&broker, "connected_clients:1");
    });
}

#[test]
fn who_sends_too_much_at_once_is_cut_off() {
    let broker = start(&[("client-query-buffer-limit", "1mb")]);
    within_patience(move || {
        let mut client = Client::connect(&broker);
        let request = encode(&["SET", "key", &"x".repeat(2 << 20)]);
        let error = client.0.write_all(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(client.rest(), "");
        until_info(&broker, "client_query_buffer_limit_disconnections:1");
    });
}

#[test]
fn who_is_idle_for_too_long_is_let_go() {
    let broker = start(&[("timeout", "1")]);
    let mut client = Client::connect(&broker);
    assert_eq!(within_patience(move || client.rest()), "");
}

#[test]
fn who_leaves_while_it_is_blocked_takes_nothing() {
    let broker = start(&[]);
    let mut client = Client::connect(&broker);
    client.send(&["BLPOP", "queue", "0"]);
    until_info(&broker, "blocked_clients:1");
    drop(client);
    until_info(&broker, "blocked_clients:0");
    assert_eq!(ask(&broker, &["LPUSH", "queue", "item"]), "1");
    assert_eq!(ask(&broker, &["LRANGE", "queue", "0", "-1"]), "[item]");
}

#[test]
fn a_client_that_panics_is_gone() {
    let broker = start(&[]);
    let mut client = Client::connect(&broker);
    let panicked = std::thread::spawn(move || {
        client.send(&["BLPOP", "queue", "0"]);
        std::panic::resume_unwind(Box::new("a test that fails"));
    });
    panicked.join().unwrap_err();
    until_info(&broker, "connected_clients:1");
}

#[test]
fn who_has_said_all_still_gets_its_replies() {
    let broker = start(&[]);
    run(async {
        let mut client = broker.connect();
        client
            .write_all(b"ECHO first\r\nECHO second\r\n")
            .await
            .unwrap();
        client.shutdown().await.unwrap();
        assert!(client.write_all(b"PING\r\n").await.is_err());
        let mut replies = String::new();
        client.read_to_string(&mut replies).await.unwrap();
        assert_eq!(replies, "$5\r\nfirst\r\n$6\r\nsecond\r\n");
    });
}

#[test]
fn who_waits_when_the_broker_stops_reads_the_end() {
    for workers in ["1", "2"] {
        let broker = start(&[("workers", workers)]);
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let mut client = Client::connect(&broker);
                client.send(&["BLPOP", "queue", "0"]);
                std::thread::spawn(move || client.rest())
            })
            .collect();
        until_info(&broker, "blocked_clients:4");
        run(async {
            let mut client = multiplexed(&broker).await;
            let mut pop = pin!(client.blpop("queue", 0.0));
            tokio::select! {
                biased;
                popped = &mut pop => panic!("{popped:?}"),
                () = until_blocked(&broker, 5) => {}
            }
            drop(broker);
            let error = pop.await.unwrap_err();
            assert!(error.is_connection_dropped(), "{error}");
        });
        for client in waiting {
            let rest = within_patience(move || client.join().unwrap());
            assert_eq!(rest, "");
        }
    }
}

#[test]
fn who_comes_after_the_end_reads_the_end() {
    let broker = start(&[]);
    let mut last = Client::connect(&broker);
    last.send(&["SHUTDOWN", "NOSAVE"]);
    assert_eq!(within_patience(move || last.rest()), "");
    let mut late = Client::connect(&broker);
    assert_eq!(within_patience(move || late.rest()), "");
}

#[test]
fn those_that_come_and_go_leave_nothing() {
    let broker = start(&[]);
    const COUNT: usize = 5_000;
    let mut kept = Client::connect(&broker);
    assert_eq!(kept.ask(&["PING"]), "PONG");
    let memory = |client: &mut Client| {
        let info = client.ask(&["INFO", "memory"]);
        let line = info
            .lines()
            .find(|line| line.starts_with("mem_clients_normal:"));
        line.unwrap().to_owned()
    };
    let before = memory(&mut kept);
    for n in 0..COUNT {
        let mut client = Client::connect(&broker);
        match n % 4 {
            0 => {}
            1 => assert_eq!(client.ask(&["PING"]), "PONG"),
            2 => client.send(&["SUBSCRIBE", "channel"]),
            _ => client.send(&["BLPOP", "queue", "0"]),
        }
    }
    until_info(&broker, "connected_clients:2");
    until_info(&broker, "blocked_clients:0");
    until_info(&broker, "pubsub_channels:0");
    until("what they held is free", || memory(&mut kept) == before);
}

#[test]
fn requests_that_come_a_byte_at_a_time_are_answered() {
    let broker = start(&[]);
    let mut client = Client::connect(&broker);
    let replies = within_patience(move || {
        for byte in encode(&["ECHO", "slowly"]).repeat(20) {
            client.0.write_all(&[byte]).unwrap();
        }
        let replies: Vec<_> = (0..20).map(|_| client.receive()).collect();
        replies
    });
    assert_eq!(replies, ["slowly"; 20]);
}

#[test]
fn a_broker_without_a_port_listens_nowhere() {
    for broker in [
        start(&[]),
        start(&[("port", "7000"), ("bind", "127.0.0.1")]),
    ] {
        assert_eq!(broker.addrs(), []);
        assert_eq!(broker.unix_path(), None);
        assert_eq!(broker.url(), "");
        assert_eq!(ask(&broker, &["CONFIG", "GET", "port"]), "[port 0]");
        assert_eq!(ask(&broker, &["CONFIG", "GET", "bind"]), "[bind ]");
        let info = ask(&broker, &["INFO", "server"]);
        assert!(
            info.contains("tcp_port:0\r\n") && !info.contains("listener"),
            "{info}"
        );
    }
}

#[test]
fn a_broker_without_a_port_by_its_settings_alone_is_a_mistake() {
    let error = Broker::builder().set("bind", "").start().unwrap_err();
    assert_eq!(error.to_string(), "there is no address to listen on");
}

#[test]
fn a_unix_socket_of_the_brokers_own_is_private_and_goes_with_it() {
    let start = || {
        let builder = Broker::builder().without_port().own_unix_socket();
        builder.start().unwrap()
    };
    let brokers = [start(), start()];
    let paths: HashSet<_> = brokers
        .iter()
        .map(|broker| broker.unix_path().unwrap().to_owned())
        .collect();
    assert_eq!(paths.len(), 2);
    for (broker, path) in brokers
        .iter()
        .zip(brokers.iter().map(|b| b.unix_path().unwrap()))
    {
        assert_eq!(broker.url(), format!("unix://{}", path.display()));
        let mode = path
            .parent()
            .unwrap()
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        let mut client = redis::Client::open(broker.url())
            .unwrap()
            .get_connection()
            .unwrap();
        let pong: String = redis::cmd("PING").query(&mut client).unwrap();
        assert_eq!(pong, "PONG");
    }
    drop(brokers);
    for path in paths {
        let dir = path.parent().unwrap();
        assert!(!dir.exists(), "{} is left", dir.display());
    }
}
