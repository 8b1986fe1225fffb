//! `events`.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::{Value, json};
use taskcore::JobId;

use crate::support::{Printing, System, until};
use crate::tasks::{add, refuse};

fn add_one(system: &System) -> JobId {
    system.client(async |client| add(1, 2).delay_on(client).await.unwrap().id())
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn events_that_are_there_are_printed_as_text_and_as_json_and_filtered() {
    let system = System::with_store();
    assert_eq!(system.text(&["events", "--from-oldest", "--no-follow"]), "");
    let done = add_one(&system);
    let failed =
        system.client(async |client| refuse("no".to_owned()).delay_on(client).await.unwrap().id());
    system.drain();

    let text = system.text(&["events", "--from-oldest", "--no-follow", "--task", "add"]);
    let words: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let job = done.to_string();
    for (line, kind) in words.iter().zip(["stored", "started", "done"]) {
        assert_eq!(line[3..], [kind, "add", &job], "{text}");
        assert!(line[0].parse::<u64>().is_ok(), "{text}");
    }
    assert_eq!(words.len(), 3, "{text}");

    let all = parsed(&system.text(&["events", "--from-oldest", "--no-follow", "--json"]));
    assert_eq!(all.len(), 6, "{all:?}");
    assert_eq!((&all[0]["id"], &all[0]["kind"]), (&json!(1), &json!("stored")));
    assert!(all[0]["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());

    let failures = ["events", "--after", "1", "--no-follow", "--json", "--kind", "failed,lost"];
    let failures = parsed(&system.text(&failures));
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0]["job"], json!(failed.to_string()));
    assert_eq!(system.text(&["events", "--after", "6", "--no-follow"]), "");
}

#[cfg(unix)]
#[test]
fn events_are_followed_as_they_happen_until_ctrl_c() {
    for signal in ["INT", "TERM"] {
        let system = System::with_store();
        let first = add_one(&system).to_string();
        let follower = Printing::start(system.hereafter().args(["events", "--from-oldest"]));
        assert!(follower.line().ends_with(&first));
        let second = add_one(&system).to_string();
        assert!(follower.line().ends_with(&second));
        follower.signal(signal);
        assert_eq!(follower.end(), (Some(0), Vec::new(), String::new()), "SIG{signal}");
    }
}

#[test]
fn without_a_start_only_what_happens_from_now_on_is_printed() {
    let system = System::with_store();
    let before = add_one(&system).to_string();
    let follower = Printing::start(system.hereafter().arg("events"));
    let mut first = None;
    // It has begun once it prints one of these.
    until(|| {
        add_one(&system);
        first = follower.line_if_any();
        first.is_some()
    });
    let first = first.unwrap();
    assert!(first.contains("stored") && !first.ends_with(&before), "{first}");
}

#[test]
fn events_that_are_no_longer_kept_are_counted_where_somebody_goes_on() {
    let system = System::new();
    let url = format!("{}?events=10", system.url());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = taskcore::Client::new(taskbroker_connect::connect(&url).await.unwrap());
        for n in 0..30 {
            add(n, n).delay_on(&client).await.unwrap();
        }
        client.close().await.unwrap();
    });
    let follow =
        |start: &[&str]| system.text(&[&["events", "--no-follow", "--json"], start].concat());
    let after = parsed(&follow(&["--after", "1"]));
    let missed = after[0]["missed"].as_u64().unwrap();
    assert_eq!(after[1]["id"].as_u64().unwrap(), missed + 2, "{after:?}");
    assert_eq!(after.last().unwrap()["id"], 30);
    let oldest = parsed(&follow(&["--from-oldest"]));
    assert_eq!(oldest, after[1..], "who begins with what is there has missed nothing");
    let text = system.text(&["events", "--no-follow", "--after", "1"]);
    let first = text.lines().next().unwrap();
    assert!(first.contains(&format!("{missed} events missed")), "{text}");
}

#[test]
fn a_reader_of_events_that_has_seen_enough_is_no_failure() {
    let system = System::with_store();
    add_one(&system);
    let mut command = system.hereafter();
    let command = command.args(["events", "--from-oldest"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    printed.read_line(&mut String::new()).unwrap();
    drop(printed);
    add_one(&system);
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(child.wait().unwrap().success(), "{errors}");
    assert_eq!(errors, "");
}
