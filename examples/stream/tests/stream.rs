//! The program as its users run it, on folders made for the test.

use std::path::Path;
use std::process::{Command, Output};

fn stream(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stream"));
    command.arg("needle").arg(folder).args(more).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn hits_come_from_another_process_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..20 {
        let content = format!("hay\na needle {file}\nhay\n");
        std::fs::write(folder.path().join(format!("{file:02}.txt")), content).unwrap();
    }
    std::fs::write(folder.path().join("picture"), b"\xffneedle\n").unwrap();
    let output = stream(folder.path(), &["--primes", "5"]);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines: Vec<&str> = out.lines().collect();
    for (file, line) in lines[..20].iter().enumerate() {
        assert!(line.ends_with(&format!("{file:02}.txt:2: a needle {file}")), "{out}");
    }
    assert_eq!(lines[20], "hits 20");
    let (finder, reader) = lines[21].split_once(", read by process ").unwrap();
    assert_ne!(finder.strip_prefix("found by process ").unwrap(), reader);
    assert_eq!(lines[22], "primes [2, 3, 5, 7, 11]");
    assert_eq!(lines[23], "then nobody read on, and the job was cancelled");
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let output = stream(Path::new("/not/there"), &[]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("name a folder that is there"));
}
