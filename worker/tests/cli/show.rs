//! `jobs show`: what a job said, and its life.

use serde_json::json;
use taskcore::JobId;
use taskcore::broker::JobState;

use crate::support::{System, until};
use crate::tasks::{add, climb, count_up, stumble};

fn shown(system: &System, id: JobId, more: &[&str]) -> String {
    system.text(&[&["jobs", "show", &id.to_string()], more].concat())
}

#[test]
fn progress_and_the_last_lines_of_the_log_are_shown() {
    let system = System::new();
    let id = system.client(async |client| climb().delay_on(client).await.unwrap().id());
    let text = shown(&system, id, &[]);
    assert!(!text.contains("progress") && !text.contains("log") && !text.contains("ATTEMPT"));
    system.drain();

    let text = shown(&system, id, &[]);
    let progress = "progress   [####################] 100 % (25 of 25): at the\\u{1b}[2J top\n";
    assert!(text.contains(progress), "{text}");
    assert!(text.contains("\nlog: the last 20 of 25 lines; --log shows all\n"), "{text}");
    let steps = |text: &str| text.lines().filter(|line| line.contains("  step ")).count();
    assert_eq!(steps(&text), 20);
    assert!(text.ends_with("  attempt 1  step 25\n"), "{text}");
    let text = shown(&system, id, &["--log"]);
    assert!(text.contains("\nlog\n"), "{text}");
    assert_eq!(steps(&text), 25);

    let shown = system.json(&["jobs", "show", &id.to_string()]);
    let message = "at the\u{1b}[2J top";
    assert_eq!(shown["progress"], json!({ "done": 25, "total": 25, "message": message }));
    assert_eq!(shown["log"].as_array().unwrap().len(), 25);
    assert_eq!(shown["log"][2]["text"], "step 3");
    assert_eq!(shown["stream_items"], json!(null));
}

#[test]
fn each_attempt_of_a_job_is_a_line_then_comes_its_end() {
    let system = System::new();
    let id = system.client(async |client| stumble().delay_on(client).await.unwrap().id());
    until(|| {
        system.drain();
        system.record(id).state == JobState::Done
    });
    let text = shown(&system, id, &[]);
    let after = text.lines().skip_while(|line| !line.starts_with("ATTEMPT"));
    let lines: Vec<Vec<_>> = after.take(4).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ATTEMPT", "WORKER", "STARTED", "TOOK", "ENDED", "ERROR"], "{text}");
    assert_eq!((lines[1][0], &lines[1][5..]), ("1", &["failed", "a", "stone"][..]), "{text}");
    assert_eq!((lines[2][0], lines[2][5..].concat()), ("2", "done".to_owned()), "{text}");
    assert_eq!(lines[3][0], "done", "{text}");
    for name in ["waited ", "ran ", "took "] {
        assert_eq!(text.lines().filter(|line| line.starts_with(name)).count(), 1, "{text}");
    }
    assert!(text.contains("  attempt 2  try 2\n"), "{text}");

    let shown = system.json(&["jobs", "show", &id.to_string()]);
    let timeline = &shown["timeline"];
    assert_eq!(timeline["attempts"][0]["failure"]["message"], "a stone\nin the way");
    let ends: Vec<_> = (0..2).map(|n| &timeline["attempts"][n]["end"]).collect();
    assert_eq!(ends, ["failed", "done"]);
    let took = timeline["took_seconds"].as_f64().unwrap();
    assert!(took >= timeline["ran_seconds"].as_f64().unwrap(), "{timeline}");
    assert!(took >= timeline["waited_seconds"].as_f64().unwrap(), "{timeline}");
}

#[test]
fn a_stream_is_shown_by_the_number_of_its_items_and_they_are_printed_line_by_line() {
    let system = System::new();
    // More than one answer of the store.
    let id = system.client(async |client| count_up(1_500).delay_on(client).await.unwrap().id());
    let begun = system.refused(1, &["jobs", "show", &id.to_string(), "--items"]);
    assert!(begun.contains("has published no items"), "{begun}");
    system.drain();
    let text = shown(&system, id, &[]);
    assert!(text.contains("stream     1500 items\n"), "{text}");
    assert!(!text.contains("result") && !text.contains('\u{1e}'), "{text}");
    let detail = system.json(&["jobs", "show", &id.to_string()]);
    assert_eq!((&detail["stream_items"], &detail["result"]), (&json!(1_500), &json!(null)));
    let listed = system.text(&["jobs", "list"]);
    assert!(!listed.contains('\u{1e}') && !listed.contains("u{1e}"), "{listed}");

    let items = shown(&system, id, &["--items"]);
    let items: Vec<String> =
        items.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected: Vec<_> = (1..=1_500).map(|n| format!("no. {n}")).collect();
    assert_eq!(items, expected);
}

#[test]
fn items_of_what_is_no_stream_are_an_error_that_says_so() {
    let system = System::new();
    let id = system.client(async |client| add(1, 2).delay_on(client).await.unwrap().id());
    system.drain();
    let error = system.refused(1, &["jobs", "show", &id.to_string(), "--items"]);
    assert!(error.contains("no stream"), "{error}");
    let unknown = JobId::new().to_string();
    let error = system.refused(1, &["jobs", "show", &unknown, "--items"]);
    assert!(error.contains("no job") && error.contains(&unknown), "{error}");
}
