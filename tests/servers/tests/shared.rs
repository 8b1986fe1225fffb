//! The server that processes share.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use taskservers::Postgres;
use tempfile::TempDir;

const PLENTY: Duration = Duration::from_secs(60);

/// A process that uses the server shared by all with the same folder.
struct User {
    process: Child,
}

impl User {
    fn start(kind: &str, folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskservers"));
        command.arg(kind).env("HEREAFTER_TEST_SERVERS", folder).env("HEREAFTER_TEST_GRACE", "2");
        for kind in ["POSTGRES", "MARIADB", "RABBITMQ"] {
            command.env_remove(format!("HEREAFTER_TEST_{kind}"));
        }
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Self { process: process.unwrap() }
    }

    /// The URL, as soon as the server answers.
    fn url(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn leave(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn listens(url: &str) -> bool {
    let (_, rest) = url.split_once('@').unwrap();
    TcpStream::connect(rest.split('/').next().unwrap()).is_ok()
}

/// The folder of the server that the users of `folder` share.
fn data(kind: &str, folder: &Path) -> String {
    let record = std::fs::read_to_string(folder.join(format!("{kind}.server"))).unwrap();
    record.lines().nth(1).unwrap().to_owned()
}

fn signal(kind: &str, folder: &Path, name: &str) {
    let pid = std::fs::read_to_string(format!("{}/pid", data(kind, folder))).unwrap();
    assert!(Command::new("kill").args(["-s", name, pid.trim()]).status().unwrap().success());
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + PLENTY;
    while !condition() {
        assert!(Instant::now() < give_up, "not within {PLENTY:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn wait_until_gone(url: &str, data: &str) {
    wait_until("the server is gone", || !listens(url));
    wait_until("its folder is gone", || !std::fs::exists(data).unwrap());
}

fn eight_at_once_get_one_server_that_ends_after_the_last(kind: &str) {
    let folder = TempDir::new().unwrap();
    let mut users: Vec<User> = (0..8).map(|_| User::start(kind, folder.path())).collect();
    let urls: Vec<String> = users.iter_mut().map(User::url).collect();
    assert!(urls.iter().all(|url| url == &urls[0] && listens(url)), "{urls:?}");

    let data = data(kind, folder.path());
    let last = users.pop().unwrap();
    users.into_iter().for_each(User::leave);
    // Twice the grace period: it stays for the last one, whoever started it.
    let enough = Instant::now() + Duration::from_secs(4);
    while Instant::now() < enough {
        assert!(listens(&urls[0]), "ended while it was used");
        std::thread::sleep(Duration::from_millis(50));
    }
    last.leave();
    wait_until_gone(&urls[0], &data);
}

fn a_dead_server_is_replaced(kind: &str) {
    let folder = TempDir::new().unwrap();
    let mut first = User::start(kind, folder.path());
    let (url, old) = (first.url(), data(kind, folder.path()));
    signal(kind, folder.path(), "KILL");
    wait_until("the server is dead", || !listens(&url));
    let mut second = User::start(kind, folder.path());
    let url = second.url();
    assert!(listens(&url));
    assert_ne!(data(kind, folder.path()), old);
    assert!(!std::fs::exists(&old).unwrap(), "the dead server left its folder");
    // However a user ends, the server does not stay.
    let new = data(kind, folder.path());
    first.kill();
    second.kill();
    wait_until_gone(&url, &new);
}

#[test]
fn eight_processes_at_once_get_one_postgres_that_ends_after_the_last() {
    eight_at_once_get_one_server_that_ends_after_the_last("postgres");
}

#[test]
fn a_dead_postgres_is_replaced() {
    a_dead_server_is_replaced("postgres");
}

#[test]
fn eight_processes_at_once_get_one_mariadb_that_ends_after_the_last() {
    eight_at_once_get_one_server_that_ends_after_the_last("mariadb");
}

#[test]
fn a_dead_mariadb_is_replaced() {
    a_dead_server_is_replaced("mariadb");
}

#[test]
fn eight_processes_at_once_get_one_rabbitmq_that_ends_after_the_last() {
    eight_at_once_get_one_server_that_ends_after_the_last("rabbitmq");
}

#[test]
fn a_dead_rabbitmq_is_replaced() {
    a_dead_server_is_replaced("rabbitmq");
}

#[test]
fn after_the_end_of_one_run_the_next_one_starts_a_rabbitmq_anew() {
    let folder = TempDir::new().unwrap();
    for _ in 0..2 {
        let mut user = User::start("rabbitmq", folder.path());
        let url = user.url();
        assert!(listens(&url));
        let data = data("rabbitmq", folder.path());
        user.leave();
        wait_until_gone(&url, &data);
    }
}

#[test]
fn a_server_whose_keeper_was_killed_is_ended_by_the_next_user() {
    let folder = TempDir::new().unwrap();
    let mut first = User::start("postgres", folder.path());
    let (old_url, old) = (first.url(), data("postgres", folder.path()));
    let pid = std::fs::read_to_string(format!("{old}/pid")).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    let keeper = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    assert!(Command::new("kill").args(["-s", "KILL", keeper.trim()]).status().unwrap().success());

    let mut second = User::start("postgres", folder.path());
    let url = second.url();
    assert!(listens(&url));
    assert!(url == old_url || !listens(&old_url), "two servers run");
    assert!(!std::fs::exists(&old).unwrap(), "the old server left its folder");
    first.leave();
    let new = data("postgres", folder.path());
    second.leave();
    wait_until_gone(&url, &new);
}

#[test]
fn a_starter_that_is_killed_in_the_middle_leaves_a_server_to_the_next() {
    let folder = TempDir::new().unwrap();
    let first = User::start("postgres", folder.path());
    wait_until("a server is being started", || folder.path().join("postgres.server").exists());
    first.kill();
    let mut second = User::start("postgres", folder.path());
    let url = second.url();
    assert!(listens(&url));
    let data = data("postgres", folder.path());
    second.leave();
    wait_until_gone(&url, &data);
}

#[test]
fn a_copied_target_folder_does_not_touch_the_server_of_the_original() {
    let (original, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut first = User::start("postgres", original.path());
    let url = first.url();
    let record = |folder: &TempDir| folder.path().join("postgres.server");
    std::fs::copy(record(&original), record(&copy)).unwrap();
    let mut second = User::start("postgres", copy.path());
    assert_ne!(second.url(), url);
    assert!(listens(&url), "the original's server was ended");
    first.leave();
    second.leave();
}

#[test]
fn a_url_in_the_environment_is_used_instead() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskservers"));
    command.arg("postgres").env("HEREAFTER_TEST_POSTGRES", "postgres://given").stdin(Stdio::null());
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut printed = String::new();
    process.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "postgres://given\n");
    assert!(process.wait().unwrap().success());
}

#[test]
fn names_for_tests_are_new_each_time() {
    let shared = Postgres::shared();
    let names: std::collections::BTreeSet<String> = (0..1_000).map(|_| shared.schema()).collect();
    assert_eq!(names.len(), 1_000);
    assert!(names.iter().all(|it| it.starts_with("t_") && it.len() == 14));
    let prefix = shared.prefix();
    assert!(prefix.starts_with("t_") && prefix.ends_with('_'));
}

#[test]
fn a_server_of_ones_own_ends_with_a_killed_owner_and_leaves_nothing() {
    for kind in ["own-postgres", "own-mariadb", "own-rabbitmq", "own-cluster"] {
        let folder = TempDir::new().unwrap();
        // The server's account must be able to pass.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskservers"));
        command.arg(kind).env("TMPDIR", folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut owner = User { process: command.spawn().unwrap() };
        let url = owner.url();
        assert!(listens(&url));
        owner.kill();
        wait_until("the server is gone", || !listens(&url));
        wait_until("its folder is gone", || folder.path().read_dir().unwrap().next().is_none());
    }
}
