//! What keeps a store from being opened, and what people are told of it.

use std::time::Duration;

use sqlx::mysql::MySqlPoolOptions;
use taskbroker_database::mysql::{MysqlBroker, MysqlOptions};
use taskcore::broker::{Broker, BrokerError, ConnectError, Reserve};
use taskservers::MariaDb;

use crate::rig::{Rig, in_time, jobs, refusal, request, store, take};

#[tokio::test]
async fn who_may_not_in_is_told_what_to_look_at_and_never_the_password() {
    let server = MariaDb::start();
    server.sql(
        "CREATE DATABASE app;
         CREATE USER app@'127.0.0.1' IDENTIFIED BY 'right-word';
         GRANT ALL ON app.* TO app@'127.0.0.1';
         CREATE USER guest@'127.0.0.1' IDENTIFIED BY 'right-word';
         GRANT SELECT ON app.* TO guest@'127.0.0.1'",
    );
    let place = server.url();
    let place = place.trim_start_matches("mysql://root@").trim_end_matches("/test").to_owned();
    let options = |user: &str, password: &str, database: &str| {
        MysqlOptions::parse(&format!("mysql://{user}:{password}@{place}/{database}")).unwrap()
    };
    for (user, password, database, part) in [
        ("app", "wrong-word", "app", "look at user, password and grants"),
        ("nobody", "wrong-word", "app", "look at user, password and grants"),
        ("app", "right-word", "absent", "look at user, password and grants"),
        ("root", "", "absent", "there is no such database"),
        ("guest", "right-word", "app", "this user may not do that"),
    ] {
        let options = options(user, password, database);
        let error = in_time(MysqlBroker::open(options.clone())).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unusable { .. }), "{error:?}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(part) && text.contains(user), "{text}");
        assert!(password.is_empty() || !text.contains(password), "{text}");
    }
    let broker = MysqlBroker::open(options("app", "right-word", "app")).await.unwrap();
    store(&broker, &jobs(1)).await;
    let shown = format!("{:?} {:?}", broker.connection(), options("app", "right-word", "app"));
    assert!(!shown.contains("-word"), "{shown}");
}

#[tokio::test]
async fn a_server_that_is_not_there_may_be_later() {
    // Reserved, so nobody listens on it.
    let options = MysqlOptions::parse("mysql://app:secret@127.0.0.1:1/app").unwrap();
    let error = in_time(MysqlBroker::open(options.clone())).await.unwrap_err();
    let ConnectError::Broker(error) = &error else { panic!("{error:?}") };
    assert!(error.is_transient(), "{error:?}");
    let text = refusal(options).await;
    assert!(text.contains("app@127.0.0.1:1/app") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_server_that_stands_still_does_not_hold_a_program_for_ever() {
    let server = MariaDb::start();
    let rig = Rig::on(&server);
    server.freeze();
    let opened = tokio::time::timeout(Duration::from_secs(30), refusal(rig.options())).await;
    server.thaw();
    let text = opened.expect("opening ends by itself");
    assert!(text.contains("timed out"), "{text}");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_what_to_do() {
    let broker = Rig::shared().open().await;
    store(&broker, &jobs(1)).await;
    let long = Reserve { worker: "w".repeat(1001), ..request(1, Duration::ZERO) };
    let error = broker.reserve(&long).await.unwrap_err();
    assert!(matches!(error, BrokerError::TooLarge { .. }), "{error:?}");
    let text = taskcore::error_chain(&error);
    assert!(text.contains("the name of a worker or a schedule has more than 1000 bytes"), "{text}");
    // The next one is handed out as before.
    assert_eq!(take(&broker, 1).await.len(), 1);
}

#[tokio::test]
async fn a_pool_of_the_application_says_where_the_store_is_and_is_left_alone() {
    let rig = Rig::shared();
    let pool = MySqlPoolOptions::new().max_connections(1).connect(&rig.url).await.unwrap();
    let mut held = pool.acquire().await.unwrap();
    let options = MysqlOptions::pool(pool.clone()).prefix(&rig.prefix).unwrap();
    let broker = in_time(MysqlBroker::open(options.clone())).await.unwrap();
    store(&broker, &jobs(2)).await;
    assert_eq!(rig.raw().await.number("SELECT count(*) FROM {t}job").await, 2);
    // What we set is not set there.
    let level = "SELECT @@tx_isolation = 'REPEATABLE-READ' AND @@join_cache_level > 0";
    let row = sqlx::query(level).fetch_one(&mut *held).await.unwrap();
    assert_eq!(sqlx::Row::get_unchecked::<i64, _>(&row, 0), 1);
    drop(held);
    pool.close().await;
    assert!(refusal(options).await.contains("its pool is closed"));
}
