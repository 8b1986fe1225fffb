//! Options, names and the registry.

use std::time::Duration;

use hereafter::{Registry, TaskKind};

use super::*;

#[register_task]
fn nothing() {}

#[register_task(
    name = "media.thumbnail",
    alias = "media.shrink",
    alias = "thumbnail",
    queue = "media",
    retries = 3,
    backoff = "linear(2s, max = 10m)",
    timeout = "1m 30s",
    priority = -1,
    expires_in = "1h",
    keep_result = "2h"
)]
async fn thumbnail(path: String) -> String {
    path
}

#[register_task(ignore_result, backoff = "fixed(250ms)")]
fn forgotten() {}

#[test]
fn options_are_in_the_descriptor() {
    let options = thumbnail("").task().options;
    assert_eq!(options.queue, "media");
    assert_eq!(options.retries, 3);
    let backoff = Backoff::linear(Duration::from_secs(2)).max(Duration::from_secs(600));
    assert_eq!(options.backoff, backoff);
    assert_eq!(options.timeout, Some(Duration::from_secs(90)));
    assert_eq!(options.priority, -1);
    assert_eq!(options.expires_in, Some(Duration::from_secs(3600)));
    assert_eq!(options.keep_result, Duration::from_secs(7200));
    assert!(!options.ignore_result);

    let options = forgotten().task().options;
    assert!(options.ignore_result);
    assert_eq!(options.backoff, Backoff::fixed(Duration::from_millis(250)));
    assert_eq!((options.queue, options.timeout), ("default", None));
}

#[test]
fn a_descriptor_says_where_the_function_is() {
    const LINE: u32 = line!() + 4;

    /// The line is that of `fn`, not of its documentation or attributes.
    #[register_task(name = "here")]
    pub(crate) fn here() {}

    assert_eq!(here().task().file, file!());
    assert_eq!(here().task().line, LINE);
    assert_eq!(here().task().kind, TaskKind::Plain);
    assert_eq!(thumbnail("").task().kind, TaskKind::Async);
}

#[test]
fn a_task_is_found_by_its_name_and_its_aliases() {
    let registry = hereafter::registry();
    for name in ["media.thumbnail", "media.shrink", "thumbnail"] {
        assert_eq!(registry.find(name).unwrap().name, "media.thumbnail");
    }
    assert_eq!(
        registry.find("register_task::options::nothing").unwrap().line,
        nothing().task().line
    );
    assert!(registry.find("register_task::options::thumbnail").is_none());
}

#[test]
fn every_task_is_registered_once() {
    let names: Vec<_> = hereafter::registry().tasks().map(|task| task.name).collect();
    let once: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), once.len(), "{names:?}");
    assert!(hereafter::registry().duplicates().is_empty());
}

mod red {
    use super::*;
    #[register_task]
    pub(super) fn colour() -> String {
        "red".to_owned()
    }
}

mod blue {
    use super::*;
    #[register_task]
    pub(super) fn colour() -> String {
        "blue".to_owned()
    }
}

#[test]
fn tasks_of_one_short_name_live_in_two_modules() {
    assert_eq!(red::colour().task().name, "register_task::options::red::colour");
    assert_eq!(blue::colour().task().name, "register_task::options::blue::colour");
    assert_eq!((red::colour().call().as_str(), blue::colour().call().as_str()), ("red", "blue"));
}

#[test]
fn two_tasks_of_one_name_are_duplicates_with_both_places() {
    let task = nothing().task();
    let registry = Registry::new([task, moved_to_line_one(task)]);
    let [duplicate] = registry.duplicates() else { panic!("one name is taken twice") };
    assert_eq!(duplicate.name, "register_task::options::nothing");
    assert_eq!(duplicate.first, format!("{}:1", file!()));
}
