//! What the clients' programs assert with, and a server that they restart.
use std::fmt::Debug;
use std::future::Future;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

static ASSERTED: AtomicUsize = AtomicUsize::new(0);

#[track_caller]
pub fn same<T: PartialEq<U> + Debug, U: Debug>(got: T, expected: U) {
    assert!(got == expected, "{got:?} where {expected:?} was expected");
    ASSERTED.fetch_add(1, Ordering::Relaxed);
}

/// The text of an error, which there must be.
#[track_caller]
pub fn failure<T: Debug, E: std::fmt::Display>(result: Result<T, E>) -> String {
    ASSERTED.fetch_add(1, Ordering::Relaxed);
    result.expect_err("an error was expected").to_string()
}

/// Asks again until it holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn done() {
    println!("{} results as expected", ASSERTED.load(Ordering::Relaxed));
}

pub fn url() -> String {
    std::env::var("REDIS_URL").expect("REDIS_URL is set")
}

/// One more server of the kind that the program runs on. It can be stopped, and
/// started again on the port that it had.
pub struct Server {
    process: Option<Child>,
    command: Vec<String>,
    port: u16,
}

impl Server {
    pub fn start() -> Server {
        let described = std::env::var("SERVER").expect("SERVER is set");
        let (_, mut command, flags): (String, Vec<String>, Vec<String>) = serde_json::from_str(&described).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        command.extend(["--port".into(), port.to_string()]);
        command.extend(flags);
        let mut server = Server { process: None, command, port };
        server.start_again();
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn start_again(&mut self) {
        let mut command = Command::new(&self.command[0]);
        let process = command.args(&self.command[1..]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(process.unwrap());
        let deadline = Instant::now() + Duration::from_secs(15);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "the server does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
