//! Where values come from: flags, then variables, then the file, then defaults.

use serde_json::Value;

use crate::support::{Running, System, ends_with, http};

/// What a worker with these flags, variables and file says of itself.
fn started(flags: &[&str], variables: &[(&str, &str)], file: &str) -> Value {
    let system = System::new();
    std::fs::write(system.path("hereafter.toml"), file).unwrap();
    let mut command = system.worker();
    command.arg("run").args(flags).envs(variables.iter().copied());
    if !flags.contains(&"--health") {
        command.args(["--health", "127.0.0.1:0"]);
    }
    let worker = Running::start(&mut command);
    http(&worker.health(), "/status").json()
}

#[test]
fn flags_win_over_variables_and_these_over_the_file_and_this_over_defaults() {
    struct Case {
        flag: &'static [&'static str],
        variable: (&'static str, &'static str),
        file: &'static str,
        place: &'static str,
        /// By flag, by variable, by file.
        expected: [Value; 3],
    }
    let cases = [
        Case {
            flag: &["--concurrency", "3"],
            variable: ("HEREAFTER_CONCURRENCY", "4"),
            file: "[worker]\nconcurrency = 5",
            place: "/config/concurrency",
            expected: [3.into(), 4.into(), 5.into()],
        },
        Case {
            flag: &["--queue", "a:2,b", "-q", "c=7"],
            variable: ("HEREAFTER_QUEUES", "d,e=2"),
            file: "[worker]\nqueues = ['f']",
            place: "/config/queues",
            expected: [
                ["a:2", "b", "c=7"].as_slice().into(),
                ["d", "e=2"].as_slice().into(),
                ["f"].as_slice().into(),
            ],
        },
        Case {
            flag: &["--lease", "3s"],
            variable: ("HEREAFTER_LEASE", "4s"),
            file: "[worker]\nlease = '5s'",
            place: "/config/lease_seconds",
            expected: [3.0.into(), 4.0.into(), 5.0.into()],
        },
        Case {
            flag: &["--grace", "0s"],
            variable: ("HEREAFTER_GRACE", "1m"),
            file: "[worker]\ngrace = '2m'",
            place: "/config/grace_seconds",
            expected: [0.0.into(), 60.0.into(), 120.0.into()],
        },
        Case {
            flag: &["--idle-exit", "1h"],
            variable: ("HEREAFTER_IDLE_EXIT", "2h"),
            file: "[worker]\nidle-exit = '3h'",
            place: "/config/exit",
            expected: ["idle for 1h".into(), "idle for 2h".into(), "idle for 3h".into()],
        },
        Case {
            flag: &["--name", "flag"],
            variable: ("HEREAFTER_NAME", "variable"),
            file: "[worker]\nname = 'file'",
            place: "/worker",
            expected: ["flag".into(), "variable".into(), "file".into()],
        },
    ];
    for Case { flag, variable, file, place, expected: [by_flag, by_variable, by_file] } in cases {
        let value = |status: Value| status.pointer(place).unwrap().clone();
        assert_eq!(value(started(flag, &[variable], file)), by_flag, "{place}");
        assert_eq!(value(started(&[], &[variable], file)), by_variable, "{place}");
        assert_eq!(value(started(&[], &[], file)), by_file, "{place}");
        // A variable that is set to nothing is not set.
        assert_eq!(value(started(&[], &[(variable.0, "")], file)), by_file, "{place}");
    }
}

#[test]
fn the_defaults_are_those_of_the_engine() {
    let status = started(&[], &[], "");
    assert_eq!(status["config"]["lease_seconds"], 30.0);
    assert_eq!(status["config"]["grace_seconds"], 25.0);
    assert_eq!(status["config"]["exit"], "never");
    assert!(status["config"]["queues"].as_array().unwrap().contains(&"default".into()));
}

#[test]
fn the_url_comes_from_the_flag_then_the_variable_then_the_file() {
    let system = System::new();
    let file = format!("url = '{}'", system.url_of("file.db"));
    std::fs::write(system.path("hereafter.toml"), file).unwrap();
    let flag = system.url_of("flag.db");
    for (args, variable, opened) in [
        (&["--url", &flag][..], Some(system.url()), "flag.db"),
        (&[], Some(system.url()), "tasks.db"),
        (&[], None, "file.db"),
    ] {
        let mut command = system.hereafter();
        command.args(["queues", "list"]).args(args).env_remove("HEREAFTER_URL");
        command.envs(variable.map(|url| ("HEREAFTER_URL", url)));
        let error = ends_with(3, &mut command);
        assert!(error.contains(opened) && error.contains("there is no such file"), "{error}");
        assert!(error.contains("only `run`"), "{error}");
        assert!(!system.path(opened).exists(), "a look created {opened}");
    }
}

#[test]
fn the_log_goes_where_the_flag_then_the_variable_then_the_file_says() {
    let system = System::new();
    let file = "log-file = 'file.log'\nlog-format = 'json'\nlog-level = 'off'";
    std::fs::write(system.path("hereafter.toml"), file).unwrap();
    let log = |args: &[&str], variables: &[(&str, &str)], name: &str| {
        let mut command = system.worker();
        command.args(["run", "--burst"]).args(args).envs(variables.iter().copied());
        ends_with(0, &mut command);
        std::fs::read_to_string(system.path(name)).unwrap()
    };
    let by_variable = [("HEREAFTER_LOG_FILE", "variable.log"), ("HEREAFTER_LOG_LEVEL", "info")];
    assert_eq!(log(&[], &[], "file.log"), "");
    let text = log(&[], &by_variable, "variable.log");
    assert!(text.starts_with("{\"timestamp\"") && text.contains("worker started"), "{text}");
    let flags = ["--log-file", "flag.log", "--log-format", "text"];
    let text = log(&flags, &by_variable, "flag.log");
    assert!(text.contains("INFO") && text.contains("worker started"), "{text}");
    let text = log(&["-l", "error", "-f", "quiet.log"], &by_variable, "quiet.log");
    assert_eq!(text, "");
}

#[test]
fn another_file_can_be_named_by_flag_or_variable() {
    let system = System::new();
    std::fs::write(system.path("other.toml"), "log-level = 'loud'").unwrap();
    for command in [
        system.hereafter().args(["tasks", "--config", "other.toml"]),
        system.hereafter().arg("tasks").env("HEREAFTER_CONFIG", "other.toml"),
    ] {
        let error = ends_with(3, command);
        assert!(error.contains("other.toml") && error.contains("`loud`"), "{error}");
    }
}

#[test]
fn a_file_that_is_named_and_not_there_is_an_error_that_names_it() {
    let error = System::new().refused(3, &["tasks", "--config", "nowhere.toml"]);
    assert!(error.contains("nowhere.toml") && error.contains("correct its path"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let system = System::new();
    // A folder: what a test can make unreadable for every user.
    std::fs::create_dir(system.path("hereafter.toml")).unwrap();
    let error = system.refused(3, &["tasks"]);
    assert!(error.contains("hereafter.toml"), "{error}");
}

#[test]
fn an_unknown_key_is_an_error_that_names_file_line_and_key() {
    let system = System::new();
    std::fs::write(system.path("hereafter.toml"), "[worker]\nconcurency = 3\n").unwrap();
    let error = system.refused(3, &["tasks"]);
    for part in ["hereafter.toml", "line 2", "`concurency`", "`concurrency`"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_refused_variable_is_named() {
    let error =
        ends_with(2, System::new().hereafter().arg("run").env("HEREAFTER_CONCURRENCY", "many"));
    assert!(error.contains("many") && error.contains("HEREAFTER_CONCURRENCY"), "{error}");
}
