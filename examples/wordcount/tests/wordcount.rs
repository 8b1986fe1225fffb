//! The program as its users run it, on folders made for the test.

use std::path::Path;
use std::process::{Command, Output};

/// Runs `wordcount` on a folder.
fn wordcount(folder: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wordcount")).arg(folder).args(options).output().unwrap()
}

/// The number after `name` at the start of a line.
fn figure(output: &Output, name: &str) -> u64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no line `{name}` in: {text}"));
    line.split(' ').next().unwrap().parse().unwrap()
}

/// A folder of `files` files, the n-th with n mod 7 words, and how many words they have.
fn folder_of(files: u64) -> (tempfile::TempDir, u64) {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..files {
        let below = folder.path().join(format!("part{}", file % 10));
        std::fs::create_dir_all(&below).unwrap();
        let text: String = (0..file % 7).map(|word| format!("word{word} \n")).collect();
        std::fs::write(below.join(format!("{file}.txt")), text).unwrap();
    }
    (folder, (0..files).map(|file| file % 7).sum())
}

#[test]
fn the_totals_are_those_of_the_files() {
    let (folder, words) = folder_of(500);
    std::fs::write(folder.path().join("picture"), b"\x89PNG\x00\x00 no words here").unwrap();
    let output = wordcount(folder.path(), &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(figure(&output, "files"), 500);
    assert_eq!(figure(&output, "words"), words);
}

#[test]
fn files_that_are_summed_in_parts_have_the_same_totals() {
    let (folder, words) = folder_of(500);
    let output = wordcount(folder.path(), &["--part", "120"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(figure(&output, "files"), 500);
    assert_eq!(figure(&output, "words"), words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // A job for each file and each part, and one for the whole.
    assert!(text.contains("(506 jobs in"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains(" bytes  ")).count(), 10, "{text}");
}

#[test]
fn a_folder_without_files_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let output = wordcount(folder.path(), &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!((figure(&output, "files"), figure(&output, "words")), (0, 0));
}

/// More work than a second's, in parts that are delayed while the first ones run.
#[test]
fn killed_workers_change_no_total() {
    let (folder, words) = folder_of(20_000);
    let output = wordcount(folder.path(), &["--chaos", "--part", "6000"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(figure(&output, "files"), 20_000);
    assert_eq!(figure(&output, "words"), words);
    assert!(figure(&output, "workers killed on the way") > 0);
}

#[test]
fn a_folder_that_is_none_is_named() {
    let output = wordcount(Path::new("no/such/folder"), &[]);
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("`no/such/folder` is no folder"), "{error}");
}
