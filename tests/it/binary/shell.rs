//! What shells and manuals know of the program.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::process::{respd, run};

/// What bash offers at the end of these words.
fn offered(words: &[&str]) -> String {
    let dir = TempDir::new().unwrap();
    let script = respd(dir.path()).args(["completions", "bash"]).output();
    fs::write(dir.path().join("script"), script.unwrap().stdout).unwrap();
    let (last, before) = words.split_last().unwrap();
    let line = format!(
        "source ./script; COMP_WORDS=({}); COMP_CWORD={}; _respd respd '{last}' '{}'; \
         echo \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        before.len(),
        before.last().unwrap(),
    );
    let bash = Command::new("bash")
        .args(["-c", &line])
        .current_dir(dir.path())
        .output();
    String::from_utf8_lossy(&bash.unwrap().stdout)
        .trim()
        .to_owned()
}

#[test]
fn bash_completes_commands_flags_and_settings() {
    for (words, expected) in [
        (&["respd", "pub"][..], "publish"),
        (&["respd", "--maxmemory-p"], "--maxmemory-policy"),
        (&["respd", "serve", "--exit"], "--exit-with-parent"),
        (&["respd", "subscribe", "--js"], "--json"),
    ] {
        assert_eq!(offered(words), expected, "{words:?}");
    }
}

#[test]
fn a_page_of_the_manual_is_there_for_the_program_and_each_command() {
    let dir = TempDir::new().unwrap();
    let page = |arguments: &[&str]| {
        let output = respd(dir.path()).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (program, publish) = (page(&["man"]), page(&["man", "publish"]));
    for (page, text) in [
        (&program, ".TH respd 1"),
        (&program, "\\-\\-maxmemory"),
        (&publish, ".TH respd-publish 1"),
        (&publish, "\\-\\-channel"),
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    run(dir.path(), &["man", "nosuch"]).failed(1, "respd: there is no command 'nosuch'");
}
