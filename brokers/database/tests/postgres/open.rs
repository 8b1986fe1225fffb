//! What keeps a store from being opened, and what people are told of it.

use std::time::Duration;

use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
use taskcore::broker::ConnectError;
use taskservers::Postgres;
use tempfile::TempDir;

use crate::rig::{Rig, in_time, jobs, refusal, store};

/// A server that asks everybody but its owner for a password.
struct Guarded {
    server: Postgres,
    _folder: TempDir,
}

impl Guarded {
    fn start() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        // The server has an account of its own.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let rules = folder.path().join("hba.conf");
        let text = "local all all trust\n\
             host all postgres 127.0.0.1/32 trust\n\
             host all all 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(&rules, text).unwrap();
        let server = Postgres::start_with(&[("hba_file", rules.to_str().unwrap())]);
        server.psql(
            "CREATE ROLE app LOGIN PASSWORD 'right-word';
             CREATE DATABASE app OWNER app;
             CREATE ROLE guest LOGIN PASSWORD 'right-word'",
        );
        Self { server, _folder: folder }
    }

    fn options(&self, user: &str, password: &str, database: &str) -> PostgresOptions {
        let place = self.server.url();
        let place = place.trim_start_matches("postgres://postgres@").trim_end_matches("/postgres");
        let url = format!("postgres://{user}:{password}@{place}/{database}");
        PostgresOptions::parse(&url).unwrap()
    }
}

#[tokio::test]
async fn who_may_not_in_is_told_what_to_look_at_and_never_the_password() {
    let guarded = Guarded::start();
    for (user, password, database, part) in [
        ("app", "wrong-word", "app", "look at user and password"),
        ("nobody", "wrong-word", "app", "look at user and password"),
        ("app", "right-word", "absent", "there is no such database"),
        ("guest", "right-word", "app", "this user may not do that"),
    ] {
        let options = guarded.options(user, password, database);
        let error = in_time(PostgresBroker::open(options.clone())).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unusable { .. }), "{error:?}");
        let text = format!("{error} {error:?} {options:?}");
        assert!(text.contains(part) && text.contains(user), "{text}");
        assert!(!text.contains("-word"), "{text}");
    }
    let broker = PostgresBroker::open(guarded.options("app", "right-word", "app")).await.unwrap();
    store(&broker, &jobs(1)).await;
    assert!(!format!("{:?}", broker.connection()).contains("-word"));
}

#[tokio::test]
async fn a_server_that_is_not_there_may_be_later() {
    // Reserved, so nobody listens on it.
    let options = PostgresOptions::parse("postgres://app:secret@127.0.0.1:1/app").unwrap();
    let error = in_time(PostgresBroker::open(options.clone())).await.unwrap_err();
    let ConnectError::Broker(error) = &error else { panic!("{error:?}") };
    assert!(error.is_transient(), "{error:?}");
    let text = refusal(options).await;
    assert!(text.contains("app@127.0.0.1:1/app") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_server_that_stands_still_does_not_hold_a_program_for_ever() {
    let server = Postgres::start();
    let rig = Rig::on(&server);
    server.freeze();
    let opened = tokio::time::timeout(Duration::from_secs(30), refusal(rig.options())).await;
    server.thaw();
    let text = opened.expect("opening ends by itself");
    assert!(text.contains("timed out"), "{text}");
}
