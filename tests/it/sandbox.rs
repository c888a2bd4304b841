//! What scripts can get hold of, and whether they can change it.
//!
//! [walk.lua](sandbox/walk.lua) finds all that can be reached, and the lists here say what that
//! may be: what is new in the interpreter, or gone, shows. On redis-server 7.0 it finds the same,
//! but for `os.clock`, which is not there yet, and for what [`ABSENT`] names with a reason.

use std::collections::BTreeSet;

use respd::Broker;
use respd::resp::value::Value;

use crate::wire::{Wire, show};

const WALK: &str = include_str!("sandbox/walk.lua");
const CHANGE: &str = include_str!("sandbox/change.lua");

/// What a script with one key and one argument reaches. `raised` and `()` are what a function
/// raises and returns.
const SCRIPTS: &str = r#"
    ARGV table
    ARGV.[1] string "a"
    KEYS table
    KEYS.[1] string "k"
    _G = _G
    _G table
    _VERSION string "Lua 5.1"
    assert function
    bit table
    bit.arshift function
    bit.band function
    bit.bnot function
    bit.bor function
    bit.bswap function
    bit.bxor function
    bit.lshift function
    bit.rol function
    bit.ror function
    bit.rshift function
    bit.tobit function
    bit.tohex function
    cjson table
    cjson._NAME string "cjson"
    cjson._VERSION string "2.1.0"
    cjson.decode function
    cjson.decode() table
    cjson.decode().[1] table
    cjson.decode().a table
    cjson.decode().a.[1] = cjson.null
    cjson.decode_invalid_numbers function
    cjson.decode_max_depth function
    cjson.encode function
    cjson.encode_invalid_numbers function
    cjson.encode_keep_buffer function
    cjson.encode_max_depth function
    cjson.encode_number_precision function
    cjson.encode_sparse_array function
    cjson.new function
    cjson.new() table
    cjson.new()._NAME string
    cjson.new()._VERSION string
    cjson.new().decode function
    cjson.new().decode_invalid_numbers function
    cjson.new().decode_max_depth function
    cjson.new().encode function
    cjson.new().encode_invalid_numbers function
    cjson.new().encode_keep_buffer function
    cjson.new().encode_max_depth function
    cjson.new().encode_number_precision function
    cjson.new().encode_sparse_array function
    cjson.new().new function
    cjson.new().null = cjson.null
    cjson.null userdata
    cmsgpack table
    cmsgpack._COPYRIGHT string "Copyright (C) 2012, Salvatore Sanfilippo"
    cmsgpack._DESCRIPTION string "MessagePack C implementation for Lua"
    cmsgpack._NAME string "cmsgpack"
    cmsgpack._VERSION string "lua-cmsgpack 0.4.0"
    cmsgpack.pack function
    cmsgpack.unpack function
    cmsgpack.unpack() table
    cmsgpack.unpack().[1] table
    cmsgpack.unpack_limit function
    cmsgpack.unpack_one function
    cmsgpack.unpack_one() table
    cmsgpack.unpack_one().[1] table
    coroutine table
    coroutine.create function
    coroutine.create() thread
    coroutine.resume function
    coroutine.running function
    coroutine.running() thread
    coroutine.status function
    coroutine.wrap function
    coroutine.wrap() function
    coroutine.yield function
    error function
    gcinfo function
    getmetatable function
    getmetatable() = metatable(string)
    ipairs function
    ipairs() = ipairs()
    ipairs() function
    loadstring function
    loadstring() function
    math table
    math.abs function
    math.acos function
    math.asin function
    math.atan function
    math.atan2 function
    math.ceil function
    math.cos function
    math.cosh function
    math.deg function
    math.exp function
    math.floor function
    math.fmod function
    math.frexp function
    math.huge number inf
    math.ldexp function
    math.log function
    math.log10 function
    math.max function
    math.min function
    math.mod = math.fmod
    math.modf function
    math.pi number 3.1415926535897931
    math.pow function
    math.rad function
    math.random function
    math.randomseed function
    math.sin function
    math.sinh function
    math.sqrt function
    math.tan function
    math.tanh function
    metatable(_G) table
    metatable(_G).__index function
    metatable(string) table
    metatable(string).__index = string
    next function
    os table
    os.clock function
    pairs function
    pairs() = pairs()
    pairs() function
    pcall function
    rawequal function
    rawget function
    rawset function
    redis table
    redis.LOG_DEBUG number 0
    redis.LOG_NOTICE number 2
    redis.LOG_VERBOSE number 1
    redis.LOG_WARNING number 3
    redis.REDIS_VERSION string "7.2.4"
    redis.REDIS_VERSION_NUM number 459268
    redis.REPL_ALL number 3
    redis.REPL_AOF number 1
    redis.REPL_NONE number 0
    redis.REPL_REPLICA number 2
    redis.REPL_SLAVE number 2
    redis.acl_check_cmd function
    redis.acl_check_cmd raised table
    redis.acl_check_cmd raised.err string
    redis.breakpoint function
    redis.call function
    redis.call raised table
    redis.call raised.err string
    redis.call raised.ignore_error_stats_update boolean
    redis.call() table
    redis.call().[1] string
    redis.call().[2] table
    redis.call().[2].[1] string
    redis.call().double number
    redis.call().map table
    redis.call().map.f string
    redis.call().ok string
    redis.call().set table
    redis.call().set.m boolean
    redis.call().verbatim_string table
    redis.call().verbatim_string.format string
    redis.call().verbatim_string.string string
    redis.debug function
    redis.error_reply function
    redis.error_reply() table
    redis.error_reply().err string
    redis.log function
    redis.log raised table
    redis.log raised.err string
    redis.pcall function
    redis.pcall() table
    redis.pcall().[1] string
    redis.pcall().[2] table
    redis.pcall().[2].[1] string
    redis.pcall().double number
    redis.pcall().err string
    redis.pcall().ignore_error_stats_update boolean
    redis.pcall().map table
    redis.pcall().map.f string
    redis.pcall().ok string
    redis.pcall().set table
    redis.pcall().set.m boolean
    redis.pcall().verbatim_string table
    redis.pcall().verbatim_string.format string
    redis.pcall().verbatim_string.string string
    redis.replicate_commands function
    redis.set_repl function
    redis.set_repl raised table
    redis.set_repl raised.err string
    redis.setresp function
    redis.setresp raised table
    redis.setresp raised.err string
    redis.sha1hex function
    redis.sha1hex raised table
    redis.sha1hex raised.err string
    redis.status_reply function
    redis.status_reply() table
    redis.status_reply().err string
    redis.status_reply().ok string
    select function
    setmetatable function
    string table
    string.byte function
    string.char function
    string.find function
    string.format function
    string.gfind function
    string.gfind() function
    string.gmatch = string.gfind
    string.gsub function
    string.len function
    string.lower function
    string.match function
    string.rep function
    string.reverse function
    string.sub function
    string.upper function
    struct table
    struct.pack function
    struct.size function
    struct.unpack function
    table table
    table.concat function
    table.foreach function
    table.foreachi function
    table.getn function
    table.insert function
    table.maxn function
    table.remove function
    table.setn function
    table.sort function
    tonumber function
    tostring function
    type function
    unpack function
    xpcall function
"#;

/// What of this functions do not see when they are called.
const OF_SCRIPTS_ALONE: [&str; 7] = [
    "ARGV table",
    "ARGV.[1] string \"a\"",
    "KEYS table",
    "KEYS.[1] string \"k\"",
    "redis.breakpoint function",
    "redis.debug function",
    "redis.replicate_commands function",
];

/// What is behind `redis` while the code of a library runs, which is the one global then.
const WHILE_LOADING: &str = r#"
    LOG_DEBUG number 0
    LOG_NOTICE number 2
    LOG_VERBOSE number 1
    LOG_WARNING number 3
    REDIS_VERSION string "7.2.4"
    REDIS_VERSION_NUM number 459268
    log function
    log raised table
    log raised.err string
    metatable(redis) table
    metatable(redis).__index function
    metatable(string) table
    metatable(string).__index table
    metatable(string).__index.byte function
    metatable(string).__index.char function
    metatable(string).__index.find function
    metatable(string).__index.format function
    metatable(string).__index.gfind function
    metatable(string).__index.gfind() function
    metatable(string).__index.gmatch = metatable(string).__index.gfind
    metatable(string).__index.gsub function
    metatable(string).__index.len function
    metatable(string).__index.lower function
    metatable(string).__index.match function
    metatable(string).__index.rep function
    metatable(string).__index.reverse function
    metatable(string).__index.sub function
    metatable(string).__index.upper function
    redis table
    register_function function
    register_function raised table
    register_function raised.err string
"#;

/// What no script may have, and Lua 5.1, LuaJIT or Redis has.
const ABSENT: [&str; 38] = [
    // Files, other libraries, the process.
    "dofile",
    "io",
    "loadfile",
    "module",
    "os.execute",
    "os.exit",
    "os.getenv",
    "os.remove",
    "os.rename",
    "os.setlocale",
    "os.tmpname",
    "package",
    "print",
    "require",
    // What looks into or changes the interpreter.
    "collectgarbage",
    "debug",
    "ffi",
    "getfenv",
    "jit",
    "newproxy",
    "setfenv",
    "string.dump",
    // It takes a function for its text, which could run while code is compiled.
    "load",
    // What Redis has in the globals for itself.
    "__redis__err__handler",
    "__redis__compare_helper",
    // What Lua has from 5.2 on, and LuaJIT of it.
    "bit32",
    "coroutine.isyieldable",
    "math.type",
    "rawlen",
    "string.buffer",
    "string.pack",
    "table.clear",
    "table.move",
    "table.new",
    "table.pack",
    "table.unpack",
    "thread",
    "utf8",
];

fn start() -> (Broker, Wire) {
    let broker = Broker::start().unwrap();
    let client = Wire::connect(broker.addr());
    (broker, client)
}

fn lines(list: &str) -> BTreeSet<String> {
    let lines = list.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The lines of a reply.
#[track_caller]
fn replied(reply: &Value) -> BTreeSet<String> {
    match reply {
        Value::Array(items) => items.iter().map(show).collect(),
        other => panic!("{}", show(other)),
    }
}

#[track_caller]
fn assert_same(reached: &BTreeSet<String>, listed: &BTreeSet<String>) {
    let show = |of: &BTreeSet<String>, without: &BTreeSet<String>| {
        let lines = of.difference(without).map(|line| format!("    {line}\n"));
        lines.collect::<String>()
    };
    let (new, gone) = (show(reached, listed), show(listed, reached));
    assert!(
        reached == listed,
        "reached and not listed:\n{new}listed and not reached:\n{gone}"
    );
}

/// Runs a script behind the walk, with one key and one argument.
fn eval(client: &mut Wire, script: &str) -> Value {
    client.call(&["EVAL", &format!("{WALK}{CHANGE}{script}"), "1", "k", "a"])
}

/// Loads a library whose functions are behind the walk.
#[track_caller]
fn load(client: &mut Wire, functions: &str) {
    let code = format!("#!lua name=walk\nlocal while_loading = redis\n{WALK}{CHANGE}{functions}");
    let loaded = client.text(&["FUNCTION", "LOAD", "REPLACE", &code]);
    assert_eq!(loaded, "walk");
}

const WALK_ALL: &str = "redis.setresp(3) return (walk('_G', _G))";

#[test]
fn a_script_reaches_what_is_listed() {
    let (_broker, mut client) = start();
    let reached = replied(&eval(&mut client, WALK_ALL));
    assert_same(&reached, &lines(SCRIPTS));
}

#[test]
fn a_coroutine_and_what_a_script_compiles_reach_the_same() {
    let (_broker, mut client) = start();
    for script in [
        "redis.setresp(3)
         local thread = coroutine.create(walk)
         local ok, reached = coroutine.resume(thread, '_G', _G)
         while coroutine.status(thread) ~= 'dead' do ok, reached = coroutine.resume(thread) end
         return reached",
        "redis.setresp(3) return (walk('_G', loadstring('return _G')()))",
        "return loadstring(ARGV[2] .. 'redis.setresp(3) ARGV[2] = nil return (walk(\"_G\", _G))')()",
    ] {
        let script = format!("{WALK}{script}");
        let reply = client.call(&["EVAL", &script, "1", "k", "a", WALK]);
        let mut reached = replied(&reply);
        // The walk itself is not what it looks for.
        reached.retain(|line| !line.starts_with("ARGV.[2]"));
        assert_same(&reached, &lines(SCRIPTS));
    }
}

#[test]
fn a_function_reaches_what_is_listed() {
    let (_broker, mut client) = start();
    let mut listed = lines(SCRIPTS);
    for line in OF_SCRIPTS_ALONE {
        assert!(listed.remove(line), "{line}");
    }
    load(
        &mut client,
        &format!(
            "redis.register_function('walk', function() {WALK_ALL} end)
             redis.register_function('compiled', function()
                 redis.setresp(3)
                 return (walk('_G', loadstring('return _G')()))
             end)"
        ),
    );
    for function in ["walk", "compiled"] {
        let reached = replied(&client.call(&["FCALL", function, "1", "k", "a"]));
        assert_same(&reached, &listed);
    }
}

#[test]
fn the_code_of_a_library_reaches_what_is_listed() {
    let (_broker, mut client) = start();
    load(
        &mut client,
        "redis.register_function('walk', function()
             return (walk('redis', while_loading))
         end)",
    );
    let reached = replied(&client.call(&["FCALL", "walk", "0"]));
    assert_same(&reached, &lines(WHILE_LOADING));

    let scripts = lines(SCRIPTS);
    let listed = scripts.iter().filter_map(|line| line.split(' ').next());
    for name in listed
        .filter(|name| !name.contains(['.', '(', ')']))
        .chain(ABSENT)
    {
        if name == "redis" {
            continue;
        }
        let code = format!("#!lua name=one\nlocal one = {name}");
        let global = name.split('.').next().unwrap();
        assert_eq!(
            client.text(&["FUNCTION", "LOAD", &code]),
            format!(
                "ERR Error registering functions: ERR user_function:2: Script attempted to \
                 access nonexistent global variable '{global}'"
            )
        );
    }
}

#[test]
fn what_scripts_must_not_have_is_not_there() {
    let (_broker, mut client) = start();
    for name in ABSENT {
        let script = "local value = _G
             for name in ARGV[1]:gmatch('[^.]+') do value = value and rawget(value, name) end
             return type(value)";
        assert_eq!(client.text(&["EVAL", script, "0", name]), "nil", "{name}");
    }
}

#[test]
fn nothing_that_is_shared_can_be_changed() {
    let (_broker, mut client) = start();
    let change = "try_to_change('_G', _G)";
    load(
        &mut client,
        &format!(
            "redis.register_function('change', function() return {change} end)
             redis.register_function('loading', function()
                 return try_to_change('redis', while_loading)
             end)"
        ),
    );
    let of_all = lines(
        "_G
         bit
         cjson
         cmsgpack
         coroutine
         math
         metatable(_G)
         metatable(string)
         os
         redis
         string
         struct
         table",
    );
    let of_loading = lines(
        "metatable(redis)
         metatable(string)
         metatable(string).__index
         redis",
    );
    let changed = replied(&eval(&mut client, &format!("return {change}")));
    assert_same(&changed, &of_all);
    let changed = replied(&client.call(&["FCALL", "change", "1", "k", "a"]));
    assert_same(&changed, &of_all);
    let changed = replied(&client.call(&["FCALL", "loading", "0"]));
    assert_same(&changed, &of_loading);
    // The walk calls every function with a bit of anything, and all is as before for the next.
    let reached = replied(&eval(&mut client, WALK_ALL));
    assert_same(&reached, &lines(SCRIPTS));
}

#[test]
fn settings_of_a_script_end_with_it() {
    let (_broker, mut client) = start();
    let set = "cjson.encode_max_depth(1) cjson.decode_max_depth(1)
        cjson.encode_sparse_array(true) cjson.encode_number_precision(3)
        cjson.encode_invalid_numbers(true) cjson.decode_invalid_numbers(false)
        cjson.encode_keep_buffer(false) redis.setresp(3)";
    let get = "return {
        cjson.encode_max_depth(), cjson.decode_max_depth(), cjson.encode_number_precision(),
        tostring(cjson.encode_sparse_array()), tostring(cjson.encode_invalid_numbers()),
        tostring(cjson.decode_invalid_numbers()), tostring(cjson.encode_keep_buffer()),
        type(redis.call('HGETALL', 'none').map),
    }";
    let defaults = "[1000 1000 14 false false true true nil]";
    assert_eq!(client.text(&["EVAL", get, "0"]), defaults);
    assert_eq!(client.text(&["EVAL", set, "0"]), "nil");
    assert_eq!(client.text(&["EVAL", get, "0"]), defaults);
    // Also if it fails, and those of functions for scripts.
    let reply = client.text(&["EVAL", &format!("{set} error('failed')"), "0"]);
    assert!(reply.contains("failed"), "{reply}");
    assert_eq!(client.text(&["EVAL", get, "0"]), defaults);
    load(
        &mut client,
        &format!("redis.register_function('set', function() {set} end)"),
    );
    assert_eq!(client.text(&["FCALL", "set", "0"]), "nil");
    assert_eq!(client.text(&["EVAL", get, "0"]), defaults);
}

#[test]
fn no_bytecode_runs() {
    let (_broker, mut client) = start();
    // What is before it in a text that LuaJIT skips; a file may begin so.
    for before in ["", "\u{feff}", "#\n", "\u{feff}#\n", "\n", " "] {
        for signature in ["\x1bLJ\x02", "\x1bLua\x51\0\x01\x04\x08\x04\x08\0"] {
            let code = format!("{before}{signature}");
            let reply = client.text(&["EVAL", &code, "0"]);
            let refused = "ERR Error compiling script (new function): user_script:";
            assert!(reply.starts_with(refused), "{code:?}: {reply}");
            let reply = client.text(&["FUNCTION", "LOAD", &format!("#!lua name=f\n{code}")]);
            let refused = "ERR Error compiling function: user_function:";
            assert!(reply.starts_with(refused), "{code:?}: {reply}");
            let script = "local compiled, text = loadstring(ARGV[1]) return {type(compiled), text}";
            let reply = client.text(&["EVAL", script, "0", &code]);
            assert!(reply.starts_with("[nil [string \""), "{code:?}: {reply}");
        }
    }
}
