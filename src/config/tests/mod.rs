//! What the parts of the configuration promise together: the table, the commands and the
//! command line against what a real server answered.

mod command_line;
mod commands;
mod file;
mod rewrite;
mod table;

use std::fs;

use super::*;

fn get(config: &Config, name: &str) -> String {
    let answer = config.get(&[name]);
    assert_eq!(answer.len(), 1, "{name}");
    String::from_utf8(answer[0].1.clone()).unwrap()
}

fn load(args: &[&str]) -> Result<Loaded, ConfigError> {
    Config::from_args(args, || panic!("nobody asked for standard input"))
}

fn load_error(args: &[&str]) -> String {
    load(args).unwrap_err().to_string()
}

fn load_text(text: &str) -> Result<Loaded, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.conf");
    fs::write(&file, text).unwrap();
    load(&[file.to_str().unwrap()])
}
