//! MariaDB servers of one's own.

use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use taskservers::MariaDb;

const PLENTY: Duration = Duration::from_secs(30);

fn with_one_row() -> MariaDb {
    let mariadb = MariaDb::start();
    mariadb.sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)");
    mariadb
}

#[test]
fn a_server_answers_and_is_durable_by_default() {
    let mariadb = MariaDb::start();
    assert_eq!(mariadb.sql("SELECT 1, 2; SELECT 'three'"), "1\t2\nthree");
    let durable =
        "SELECT @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite, database(), user()";
    assert_eq!(mariadb.sql(durable), "1\t1\ttest\troot@127.0.0.1");
}

#[test]
fn a_setting_reaches_the_server() {
    let mariadb = MariaDb::start_with(&[("max_connections", "17")]);
    assert_eq!(mariadb.sql("SELECT @@max_connections"), "17");
}

#[test]
fn a_restart_keeps_what_was_written_and_the_port() {
    let mut mariadb = with_one_row();
    let url = mariadb.url();
    mariadb.restart();
    assert_eq!(mariadb.url(), url);
    assert_eq!(mariadb.sql("SELECT n FROM kept"), "7");
}

#[test]
fn a_killed_server_recovers_what_was_committed() {
    let mut mariadb = with_one_row();
    mariadb.kill();
    assert!(TcpStream::connect(address(&mariadb)).is_err());
    mariadb.start_again();
    assert_eq!(mariadb.sql("SELECT n FROM kept"), "7");
}

#[test]
fn a_frozen_server_leaves_a_query_hanging_and_a_thawed_one_answers_it() {
    let mariadb = MariaDb::start();
    mariadb.freeze();
    let (answer, answered) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| answer.send(mariadb.sql("SELECT 1")));
        let early = answered.recv_timeout(Duration::from_millis(500));
        mariadb.thaw();
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        assert_eq!(answered.recv_timeout(PLENTY).as_deref(), Ok("1"));
    });
}

#[test]
fn a_dropped_server_is_gone_with_its_folder_whatever_state_it_was_in() {
    type Change = fn(&mut MariaDb);
    let changes: [(&str, Change); 4] = [
        ("running", |_| {}),
        ("stopped", MariaDb::stop),
        ("killed", MariaDb::kill),
        ("frozen", |mariadb| mariadb.freeze()),
    ];
    for (state, change) in changes {
        let mut mariadb = MariaDb::start();
        let folder = mariadb.sql("SELECT @@datadir");
        let address = address(&mariadb);
        change(&mut mariadb);
        drop(mariadb);
        assert!(TcpStream::connect(address).is_err(), "the {state} server listens");
        assert!(!std::fs::exists(&folder).unwrap(), "the {state} server left {folder}");
    }
}

#[test]
fn an_error_of_the_server_is_the_panic() {
    let mariadb = MariaDb::start();
    let panic =
        catch_unwind(AssertUnwindSafe(|| mariadb.sql("SELECT 1; SELECT nothing"))).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("Unknown column 'nothing'"), "{text}");
}

fn address(mariadb: &MariaDb) -> String {
    let url = mariadb.url();
    url.strip_prefix("mysql://root@").unwrap().strip_suffix("/test").unwrap().to_owned()
}
