//! Help and completions.

use crate::support::System;

#[test]
fn help_says_what_every_command_does() {
    let system = System::new();
    let mut help = String::new();
    for args in [
        &["-h"][..],
        &["run", "-h"],
        &["queues", "-h"],
        &["queues", "purge", "-h"],
        &["jobs", "-h"],
        &["jobs", "list", "-h"],
        &["jobs", "show", "-h"],
        &["jobs", "watch", "-h"],
        &["jobs", "cancel", "-h"],
        &["events", "-h"],
        &["stats", "-h"],
        &["replay", "-h"],
        &["doctor", "-h"],
    ] {
        let text = system.text(args);
        // The same in every command; the first shows them.
        let own =
            if args.len() > 1 { text.split("\nGlobal options:").next().unwrap() } else { &text };
        help += &format!("$ hereafter {}\n{}\n\n", args.join(" "), own.trim_end());
    }
    insta::assert_snapshot!(help);
}

#[test]
fn help_shows_no_value_of_a_variable() {
    let system = System::new();
    let output = system.hereafter().arg("--help").env("HEREAFTER_URL", "x://me:secret@y").output();
    assert!(!String::from_utf8_lossy(&output.unwrap().stdout).contains("secret"));
}

#[test]
fn every_shell_has_completions_that_name_the_commands() {
    let system = System::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = system.text(&["completions", shell]);
        assert!(script.contains("replay") && script.contains("hereafter"), "{shell}");
    }
}
