//! Scripts that run for long, or take what they can get: the others are told,
//! and can end them.

use respd::Broker;

use crate::binary::process::serve;
use crate::footprint::Footprint;
use crate::wire::{Wire, until};

const BUSY: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

/// Scripts that never end, whatever they do about being ended.
const ENDLESS: [&str; 17] = [
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "while true do redis.call('GET', 'k') end",
    "local c = coroutine.wrap(function() while true do pcall(coroutine.yield) end end) \
     while true do pcall(c) end",
    "local function deep(...) if select('#', ...) < 200 then return (deep(1, ...)) end \
     while true do pcall(function() while true do end end) end end deep()",
    "local t = {} for i = 1, 20 do t[i] = i end \
     table.sort(t, function() while true do end end)",
    // What takes long in few instructions.
    "local s = ('x'):rep(1e7) while true do s:reverse() end",
    "for i = 1, 1e6 do end local s = ('x'):rep(1e7) while true do s:reverse() end",
    "local s = ('x'):rep(1e6) while true do pcall(string.find, s, '.-.-b') end",
    "while true do redis.call('SORT_RO', 'long', 'ALPHA', 'LIMIT', 0, 1) end",
    "for i = 1, 1e6 do end while true do redis.call('SORT_RO', 'long', 'ALPHA', 'LIMIT', 0, 1) end",
    // What handles errors.
    "while true do xpcall(error, function() while true do pcall(error) end end) end",
    "xpcall(error, function() while true do end end)",
    // What is returned, or written by one call.
    "local t = {'x'} for i = 1, 60 do t = {t, t} end return t",
    "local t = {} t.map = {a = t, b = t} return t",
    "local t = {} for i = 1, 60 do t = {t, t} end return #cjson.encode(t)",
    // One call, of tables that share what has a hundred thousand empty places.
    "local t = {} for i = 1, 1e5 do t[i] = i end for i = 1, 1e5 do t[i] = nil end \
     for i = 1, 14 do local u = {} for j = 1, 100 do u[j] = t end t = u end \
     return cmsgpack.pack(t)",
];

fn impatient() -> Broker {
    let builder = Broker::builder().set("busy-reply-threshold", "50");
    builder.start().unwrap()
}

/// Waits until others are told that a script runs.
fn until_busy(client: &mut Wire) {
    until("a script runs for long", || client.text(&["PING"]) == BUSY);
}

#[test]
fn a_script_that_never_ends_can_be_ended() {
    let broker = impatient();
    let (mut runner, mut other) = (Wire::connect(broker.addr()), Wire::connect(broker.addr()));
    let long = "for i = 1, 50000 do redis.call('RPUSH', 'long', i) end";
    assert_eq!(runner.text(&["EVAL", long, "0"]), "nil");
    for script in ENDLESS {
        runner.send(&["EVAL", script, "0"]);
        until_busy(&mut other);
        // Who comes now is told as well.
        let mut new = Wire::connect(broker.addr());
        assert_eq!(new.text(&["GET", "k"]), BUSY);
        assert_eq!(new.text(&["EVAL", "return 1", "0"]), BUSY);
        assert_eq!(new.text(&["MULTI"]), "OK");
        assert_eq!(new.text(&["GET", "k"]), BUSY);
        assert_eq!(new.text(&["DISCARD"]), "OK");
        assert_eq!(new.text(&["WATCH", "k"]), "OK");
        assert_eq!(new.text(&["UNWATCH"]), "OK");
        assert_eq!(other.text(&["SCRIPT", "KILL"]), "OK");
        let ended = "ERR Script killed by user with SCRIPT KILL... script: ";
        let text = runner.text(&["PING"]);
        assert!(text.starts_with(ended), "{script}: {text}");
        assert_eq!(show_next(&mut runner), "PONG");
        assert_eq!(new.text(&["PING"]), "PONG");
    }
    assert_eq!(
        other.text(&["SCRIPT", "KILL"]),
        "NOTBUSY No scripts in execution right now."
    );
}

fn show_next(client: &mut Wire) -> String {
    crate::wire::show(&client.receive())
}

#[test]
fn a_script_does_not_go_on_without_room_on_the_stack() {
    let broker = impatient();
    let mut client = Wire::connect(broker.addr());
    for script in [
        "local function nest() pcall(nest) while true do pcall(nest) end end nest()",
        "local function fill(n) local ok = pcall(fill, n) while true do xpcall(fill, pcall) end end \
         while true do coroutine.resume(coroutine.create(fill)) end",
    ] {
        let reply = client.text(&["EVAL", script, "0"]);
        assert!(reply.starts_with("ERR stack overflow"), "{script}: {reply}");
    }
}

/// What calls back runs on the interpreter's own stack, which has an end, and
/// not on the thread's, where the process would end.
#[test]
fn a_script_whose_callbacks_call_themselves_ends() {
    let broker = impatient();
    let mut client = Wire::connect(broker.addr());
    for script in [
        "local function f() return ('a'):gsub('a', f) end return f()",
        "local t t = setmetatable({}, {__index = function() return (('a'):gsub('a', t)) end}) \
         return ('a'):gsub('a', t)",
        "local function f() table.foreach({1}, f) return 1 end f()",
        "local function f() table.sort({2, 1}, function() f() return false end) end f()",
        "local t t = setmetatable({}, {__tostring = function() return tostring(t) .. 1 end}) \
         return tostring(t)",
        "local t t = setmetatable({}, {__concat = function() return t .. 'x' end}) return t .. 'x'",
        "local function h() pcall(error) xpcall(error, h) return 1 end xpcall(error, h)",
    ] {
        let reply = client.text(&["EVAL", script, "0"]);
        assert!(reply.contains("stack overflow"), "{script}: {reply}");
    }
    // A handler that fails is given what it has raised, some times.
    let script = "local function h() pcall(error) local x = nil + 1 end return {xpcall(error, h)}";
    let reply = client.text(&["EVAL", script, "0"]);
    assert_eq!(reply, "[nil error in error handling]");
}

#[test]
fn code_that_is_loaded_has_the_escapes_of_lua_5_1() {
    let broker = impatient();
    let mut client = Wire::connect(broker.addr());
    for (code, expected) in [(r"return '\.'", "."), (r"return '\x41'", "x41")] {
        let script = format!("return loadstring([[{code}]])()");
        assert_eq!(client.text(&["EVAL", &script, "0"]), expected, "{code}");
    }
    let several = "return {loadstring('return 1, 2')()}";
    assert_eq!(client.text(&["EVAL", several, "0"]), "[1 2]");
    let own = "local redis = {call = function() return 1, 2 end} \
               local function f() return redis.call() end return {f()}";
    assert_eq!(client.text(&["EVAL", own, "0"]), "[1 2]");
}

#[test]
fn a_script_that_has_written_cannot_be_ended_but_the_broker_can() {
    let mut broker = serve(&["--busy-reply-threshold", "50"]);
    let (mut runner, mut other) = (broker.connect(), broker.connect());
    let script = "redis.call('SET', 'k', 'v') while true do end";
    runner.send(&["EVAL", script, "0"]);
    until_busy(&mut other);
    let unkillable = other.text(&["SCRIPT", "KILL"]);
    assert!(unkillable.starts_with("UNKILLABLE "), "{unkillable}");
    other.send(&["SHUTDOWN", "NOSAVE"]);
    until("it has ended", || broker.process.has_ended());
    assert_eq!(broker.process.end().status, Some(0));
}

#[test]
fn a_broker_in_a_program_is_dropped_while_a_script_runs() {
    let broker = impatient();
    let mut runner = Wire::connect(broker.addr());
    runner.send(&["EVAL", "redis.call('SET', 'k', 'v') while true do end", "0"]);
    until_busy(&mut Wire::connect(broker.addr()));
    drop(broker);
    runner.rest();
}

#[test]
fn who_runs_a_script_in_the_program_can_be_ended_from_outside() {
    let broker = impatient();
    let mut client = broker.client();
    let runner = std::thread::spawn(move || client.call(&["EVAL", "while true do end", "0"]));
    let mut other = Wire::connect(broker.addr());
    until_busy(&mut other);
    assert_eq!(other.text(&["SCRIPT", "KILL"]), "OK");
    let reply = format!("{:?}", runner.join().unwrap());
    assert!(reply.contains("Script killed by user"), "{reply}");
    assert_eq!(other.text(&["PING"]), "PONG");
}

#[test]
fn on_every_worker_others_are_told_that_a_script_runs() {
    let broker = Broker::builder()
        .set("busy-reply-threshold", "50")
        .set("workers", "3")
        .start()
        .unwrap();
    let mut runner = Wire::connect(broker.addr());
    let mut others = [(); 6].map(|()| Wire::connect(broker.addr()));
    runner.send(&["EVAL", "while true do end", "0"]);
    for other in &mut others {
        until_busy(other);
    }
    assert_eq!(others[0].text(&["SCRIPT", "KILL"]), "OK");
    assert!(show_next(&mut runner).contains("Script killed"));
}

/// Clients of two workers: one that runs what takes long, and two on the other
/// worker, of which the first hears of what is published.
fn on_two_workers(threshold_ms: &str) -> (Broker, Wire, Wire, Wire) {
    let broker = Broker::builder()
        .set("busy-reply-threshold", threshold_ms)
        .set("enable-debug-command", "yes")
        .set("workers", "2")
        .start()
        .unwrap();
    // Each of them is on the worker after the one before it.
    let [runner, mut listener, _, other] = [(); 4].map(|()| Wire::connect(broker.addr()));
    listener.call(&["SUBSCRIBE", "news"]);
    (broker, runner, listener, other)
}

#[test]
fn who_waits_since_before_a_script_began_is_told_that_it_runs() {
    let (broker, mut runner, mut listener, mut other) = on_two_workers("50");
    runner.text(&["MULTI"]);
    runner.text(&["PUBLISH", "news", "begun"]);
    runner.text(&["DEBUG", "SLEEP", "0.5"]);
    runner.text(&["EVAL", "while true do end", "0"]);
    runner.send(&["EXEC"]);
    assert_eq!(show_next(&mut listener), "[message news begun]");
    // No script runs yet, and the transaction has the keyspace.
    let requests: [&[&str]; 12] = [
        &["GET", "k"],
        &["SET", "k", "v"],
        &["MGET", "a", "b", "c", "d", "e", "f", "g", "h"],
        &["BLPOP", "list", "0"],
        &["EVAL", "return 1", "0"],
        &["EXEC"],
        &["SELECT", "1"],
        &["INFO"],
        &["CONFIG", "SET", "maxmemory", "1gb"],
        &["CLIENT", "KILL", "ID", "1"],
        &["SCRIPT", "LOAD", "return 1"],
        &["FUNCTION", "LIST"],
    ];
    let local = requests.map(|request| {
        let mut client = broker.client();
        std::thread::spawn(move || format!("{:?}", client.call(request)))
    });
    assert_eq!(other.text(&["GET", "k"]), BUSY);
    for (request, client) in requests.iter().zip(local) {
        let reply = client.join().unwrap();
        assert!(reply.contains(BUSY), "{request:?}: {reply}");
    }
    for _ in 0..2 {
        let mut new = Wire::connect(broker.addr());
        assert_eq!(new.text(&["GET", "k"]), BUSY);
    }
    assert_eq!(other.text(&["SCRIPT", "KILL"]), "OK");
    let replies = show_next(&mut runner);
    assert!(replies.contains("Script killed"), "{replies}");
    assert_eq!(other.text(&["PING"]), "PONG");
}

#[test]
fn who_watches_is_told_that_a_script_runs_and_watches_no_longer() {
    let broker = impatient();
    let (mut runner, mut other) = (Wire::connect(broker.addr()), Wire::connect(broker.addr()));
    let mut watcher = Wire::connect(broker.addr());
    watcher.text(&["WATCH", "k"]);
    watcher.text(&["MULTI"]);
    runner.send(&["EVAL", "while true do end", "0"]);
    until_busy(&mut other);
    assert_eq!(
        watcher.text(&["EXEC"]),
        format!("EXECABORT Transaction discarded because of: {BUSY}")
    );
    assert_eq!(other.text(&["SCRIPT", "KILL"]), "OK");
    assert!(show_next(&mut runner).contains("Script killed"));
    assert_eq!(watcher.text(&["EXEC"]), "ERR EXEC without MULTI");
}

#[test]
fn who_ends_a_script_is_heard_once_it_runs_for_long() {
    let (_broker, mut runner, mut listener, mut other) = on_two_workers("300");
    let library = "#!lua name=endless\n\
                   redis.register_function('loop', function() \
                   redis.call('PUBLISH', 'news', 'begun') while true do end end)";
    assert_eq!(other.text(&["FUNCTION", "LOAD", library]), "endless");
    let script = "redis.call('PUBLISH', 'news', 'begun') while true do end";
    for (run, kill) in [
        (["EVAL", script, "0"], "SCRIPT"),
        (["FCALL", "loop", "0"], "FUNCTION"),
    ] {
        runner.send(&run);
        assert_eq!(show_next(&mut listener), "[message news begun]");
        assert_eq!(other.text(&[kill, "KILL"]), "OK");
        let reply = show_next(&mut runner);
        assert!(reply.contains("Script killed"), "{run:?}: {reply}");
    }
}

#[test]
fn who_ends_a_script_that_ends_itself_is_told_that_none_runs() {
    let (_broker, mut runner, mut listener, mut other) = on_two_workers("60000");
    let script = "redis.call('PUBLISH', 'news', 'begun') for i = 1, 1e7 do end return 'ended'";
    runner.send(&["EVAL", script, "0"]);
    assert_eq!(show_next(&mut listener), "[message news begun]");
    let none = "NOTBUSY No scripts in execution right now.";
    assert_eq!(other.text(&["SCRIPT", "KILL"]), none);
    assert_eq!(show_next(&mut runner), "ended");
}

#[test]
fn what_is_no_number_is_written_to_commands_with_its_sign() {
    let broker = Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    for (number, text) in [
        ("0/0", "-nan"),
        ("-(0/0)", "nan"),
        ("1/0", "inf"),
        ("-1/0", "-inf"),
    ] {
        let script = format!("return redis.call('ECHO', {number})");
        assert_eq!(client.text(&["EVAL", &script, "0"]), text, "{number}");
    }
}

#[test]
fn a_script_that_waits_for_another_in_a_pipeline_is_told_that_it_runs() {
    let broker = impatient();
    let (mut runner, mut next) = (Wire::connect(broker.addr()), Wire::connect(broker.addr()));
    let mut other = Wire::connect(broker.addr());
    runner.send(&["EVAL", "while true do end", "0"]);
    next.send(&["EVAL", "return 1", "0"]);
    // It came first or was told: in neither case it hangs.
    until_busy(&mut other);
    let reply = show_next(&mut next);
    assert!(reply == BUSY || reply == "1", "{reply}");
    assert_eq!(other.text(&["SCRIPT", "KILL"]), "OK");
}

#[test]
fn what_a_script_does_to_keys_is_one_step_for_others() {
    let broker = impatient();
    let (mut runner, mut other) = (Wire::connect(broker.addr()), Wire::connect(broker.addr()));
    let mut waiter = Wire::connect(broker.addr());
    waiter.send(&["BLPOP", "queue", "0"]);
    until("it waits", || {
        other
            .text(&["INFO", "clients"])
            .contains("blocked_clients:1")
    });
    other.text(&["SET", "short", "v", "PX", "1"]);
    let script = "redis.call('RPUSH', 'queue', 'a', 'b') redis.call('LPOP', 'queue') \
                  while redis.call('GET', 'stop') ~= '1' do end";
    runner.send(&["EVAL", script, "0"]);
    until_busy(&mut other);
    // Nobody is served half of it, and nothing changes it from outside.
    assert_eq!(other.text(&["SET", "stop", "1"]), BUSY);
    other.send(&["SCRIPT", "KILL"]);
    let unkillable = show_next(&mut other);
    assert!(unkillable.starts_with("UNKILLABLE"), "{unkillable}");
    drop(broker);
}

#[test]
fn what_takes_memory_is_an_error_within_the_limit() {
    const MIB: u64 = 1 << 20;
    for script in [
        "return #string.rep('x', 2^30)",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local t = {} while true do t[#t + 1] = string.rep('x', 1e6) .. #t end",
        "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1e6) end return #table.concat(t)",
        "return unpack({}, 1, 1e9)",
        "return {unpack({}, 0, 2147483647)}",
        "return #string.format('%99999999d', 1)",
        "local s = ('x'):rep(1e6) return #s:gsub('x', s)",
        "local t = {('x'):rep(1e4)} for i = 1, 15 do t = {t, t, t, t} end return #cmsgpack.pack(t)",
        "local t = {('x'):rep(1e4)} for i = 1, 15 do t = {t, t, t, t} end return #cjson.encode(t)",
    ] {
        let broker = serve(&["--script-memory-limit", "64mb"]);
        let mut client = broker.connect();
        client.text(&["EVAL", "return 1", "0"]);
        let before = Footprint::of(broker.process.id()).resident;
        let reply = client.text(&["EVAL", script, "0"]);
        assert!(reply.starts_with("ERR "), "{script}: {reply}");
        let taken = Footprint::of(broker.process.id()).resident - before;
        // What a function of Rust's writes is beside the interpreter's memory, and there twice
        // while it grows.
        assert!(taken < 3 * 64 * MIB, "{script}: {} MiB", taken / MIB);
        assert_eq!(client.text(&["EVAL", "return 'still'", "0"]), "still");
    }
}

#[test]
fn garbage_is_collected_before_it_takes_all_memory() {
    let builder = Broker::builder().set("script-memory-limit", "64mb");
    let broker = builder.start().unwrap();
    let mut client = Wire::connect(broker.addr());
    // More than half of what there may be is in use.
    let script = "local t = {} for i = 1, 35 do t[i] = ('x'):rep(1e6) .. i end \
                  for i = 1, 300 do local s = ('y'):rep(1e6) .. i end return #t";
    assert_eq!(client.text(&["EVAL", script, "0"]), "35");
    let library = "#!lua name=keeps\nlocal t = {} for i = 1, 35 do t[i] = ('x'):rep(1e6) .. i end \
                   redis.register_function('kept', function() return #t end)";
    assert_eq!(client.text(&["FUNCTION", "LOAD", library]), "keeps");
    for n in 0..30 {
        let script = format!("return #('{n}'):rep(4e6)");
        let len = 4_000_000 * n.to_string().len();
        assert_eq!(client.text(&["EVAL", &script, "0"]), len.to_string());
    }
    assert_eq!(client.text(&["FCALL", "kept", "0"]), "35");
}

#[test]
fn what_the_interpreter_raises_is_caught_as_text() {
    let broker = Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    let script = "local t = {} for i = 1, 7900 do t[i] = 'x' end \
                  local ok, raised = pcall(string.format, unpack(t)) return {type(raised), raised}";
    let reply = client.text(&["EVAL", script, "0"]);
    assert!(reply.starts_with("[string "), "{reply}");
}

#[test]
fn deep_values_end_with_an_error_and_no_overflow() {
    let broker = Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    for script in [
        "local t = {} for i = 1, 100000 do t = {t} end return t",
        "local t = {} t[1] = t return t",
        "local t = {} for i = 1, 100000 do t = {t} end return cjson.encode(t)",
        "local t = {} t[1] = t return cjson.encode(t)",
        "return cjson.decode(('['):rep(100000) .. (']'):rep(100000))",
        "local t = {} for i = 1, 100000 do t = {t} end return #cmsgpack.pack(t)",
        "return cmsgpack.unpack(('\\145'):rep(100000))",
        "local function f() return 1 + f() end return f()",
        "local s = ('('):rep(100000) return ('x'):find(s)",
        "return loadstring(('('):rep(100000))()",
        "return string.rep('x', 10, 'y', {}):find(('(x'):rep(50))",
    ] {
        client.send(&["EVAL", script, "0"]);
        client.send(&["PING"]);
        // Whatever is answered, the broker is still there.
        while !client.input().ends_with(b"+PONG\r\n") {
            client
                .fill()
                .unwrap_or_else(|error| panic!("{script}: {error}"));
        }
        client.input().clear();
    }
}

#[test]
fn what_runs_within_one_another_ends_with_an_error() {
    let broker = Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    for (script, want) in [
        (
            "local function f() return coroutine.wrap(f)() end return f()",
            "C stack overflow",
        ),
        (
            "local function f() return coroutine.resume(coroutine.create(f)) end \
             return select(-1, f())",
            "C stack overflow",
        ),
        (
            "local function f() return ('a'):gsub('a', f) end return f()",
            "stack overflow",
        ),
        (
            "local t t = setmetatable({}, {__index = function() return (('a'):gsub('a', t)) end}) \
             return ('a'):gsub('a', t)",
            "stack overflow",
        ),
    ] {
        let reply = client.text(&["EVAL", script, "0"]);
        assert!(reply.contains(want), "{script}: {reply}");
        assert_eq!(client.text(&["PING"]), "PONG");
    }
}

#[test]
fn long_replies_reach_the_script_whole() {
    let broker = Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    let script = "for _, len in ipairs({16383, 16384, 100000, 3000000}) do \
                    redis.call('SET', 'k', ('x'):rep(len)) \
                    if #redis.call('GET', 'k') ~= len then return len end \
                    local got = redis.call('MGET', 'k', 'none', 'k') \
                    if #got[1] + #got[3] ~= 2 * len then return -len end end \
                  for i = 1, 10000 do redis.call('RPUSH', 'l', i) end \
                  local l = redis.call('LRANGE', 'l', 0, -1) \
                  return {#l, l[1], l[10000]}";
    assert_eq!(client.text(&["EVAL", script, "0"]), "[10000 1 10000]");
}

#[test]
fn what_goes_between_scripts_and_server_has_a_bound() {
    const MIB: u64 = 1 << 20;
    let broker = serve(&["--script-memory-limit", "32mb"]);
    let mut client = broker.connect();
    client.text(&["EVAL", "redis.call('SET', 'k', ('x'):rep(1e7))", "0"]);
    let before = Footprint::of(broker.process.id()).resident;
    for (script, want) in [
        (
            "local t = {} for i = 1, 1000 do t[i] = 'k' end redis.call('MGET', unpack(t))",
            "ERR not enough memory for the reply to a command of the script",
        ),
        (
            "local s, t = ('x'):rep(1e7), {} for i = 1, 1000 do t[i] = s end \
             redis.call('DEL', unpack(t))",
            "ERR Lua redis lib command arguments are too long",
        ),
        (
            "local s, t = ('x'):rep(1e7), {} for i = 1, 1000 do t[i] = s end return t",
            "ERR not enough memory for what the script returns",
        ),
        (
            "local s, t = ('x'):rep(1e7), {} for i = 1, 1000 do t[i] = {ok = s} end return t",
            "ERR not enough memory for what the script returns",
        ),
        (
            "local s, t = ('x'):rep(1e7), 1 for i = 1, 8 do t = {map = {[s] = t}} end return t",
            "ERR not enough memory for what the script returns",
        ),
    ] {
        let reply = client.text(&["EVAL", script, "0"]);
        assert!(reply.starts_with(want), "{script}: {reply}");
        let info = client.text(&["EVAL", "return 'still'", "0"]);
        assert_eq!(info, "still");
    }
    for _ in 0..20 {
        let text = format!("return {{{}", "{},".repeat(200_000));
        let reply = client.text(&["SCRIPT", "LOAD", &text]);
        assert!(reply.starts_with("ERR Error compiling script"), "{reply}");
    }
    let held = Footprint::of(broker.process.id())
        .resident
        .saturating_sub(before);
    assert!(held < 96 * MIB, "{} MiB are held", held / MIB);
}

#[test]
fn the_time_of_a_script_is_not_its_next_commands() {
    let broker = Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    client.text(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    client.text(&["CONFIG", "RESETSTAT"]);
    client.text(&[
        "EVAL",
        "for i = 1, 3e7 do end return redis.call('GET', 'k')",
        "0",
    ]);
    let stats = client.text(&["INFO", "commandstats"]);
    let usec = |command: &str| -> u64 {
        let line = stats.lines().find(|line| line.starts_with(command));
        let line = line.unwrap_or_else(|| panic!("{command} in {stats}"));
        let (_, usec) = line.split_once("usec=").unwrap();
        usec.split(',').next().unwrap().parse().unwrap()
    };
    let (get, eval) = (usec("cmdstat_get:"), usec("cmdstat_eval:"));
    assert!(get < eval / 4, "GET {get} of EVAL {eval}");
}

#[test]
fn ten_thousand_scripts_leave_few_behind() {
    let broker = Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    let loaded = client.text(&["SCRIPT", "LOAD", "return 'loaded'"]);
    let first = client.text(&["EVAL", "return redis.sha1hex('return 0')", "0"]);
    for n in 0..10_000 {
        let script = format!("return {n}");
        assert_eq!(client.text(&["EVAL", &script, "0"]), n.to_string());
    }
    let info = client.text(&["INFO", "memory"]);
    assert!(info.contains("number_of_cached_scripts:501\r\n"), "{info}");
    assert_eq!(client.text(&["EVALSHA", &loaded, "0"]), "loaded");
    let gone = client.text(&["EVALSHA", &first, "0"]);
    assert_eq!(gone, "NOSCRIPT No matching script. Please use EVAL.");
}
