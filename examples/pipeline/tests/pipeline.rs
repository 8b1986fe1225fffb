//! The program as its users run it, on folders made for the test.

use std::path::Path;
use std::process::{Command, Output};

fn pipeline(folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pipeline")).arg(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn files_that_cannot_be_read_are_counted_and_drawn_as_failed() {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..30 {
        let words = format!("common word number{file}");
        std::fs::write(folder.path().join(format!("{file}.txt")), words).unwrap();
    }
    for file in ["picture", "archive"] {
        std::fs::write(folder.path().join(file), b"\xff\x00\xfe").unwrap();
    }
    let output = pipeline(folder.path());
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(out.contains("files 30\nfailures 2\n"), "{out}");
    assert!(out.contains("      30  common\n      30  word\n"), "{out}");
    assert!(said.contains("archive") && said.contains("picture"), "{said}");
    let graph = out.split_once("flowchart LR\n").expect("the graph is printed").1;
    // The fan-in tolerates its inputs: the good ones as one box, the bad ones each; the diamond
    // has two ways, and each of its jobs is there once.
    assert!(graph.contains("30 × pipeline::tasks::tally<br/>done"), "{graph}");
    assert_eq!(graph.matches("tally<br/>failed").count(), 2, "{graph}");
    assert_eq!((graph.matches(" -.-> ").count(), graph.matches(" --> ").count()), (3, 4));
    for task in ["join", "frequent", "longest", "compose"] {
        assert_eq!(graph.matches(&format!("::{task}<br/>done")).count(), 1, "{graph}");
    }
}

#[test]
fn a_folder_without_files_has_a_report_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let output = pipeline(folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("files 0\nfailures 0\n"));
}
