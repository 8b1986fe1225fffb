//! Opening the outbox where a trigger is no part of a transaction, and who may.

use taskbroker_database::mysql::{MysqlBroker, MysqlOptions};
use taskcore::broker::{Broker, BrokerError, Outbox};
use taskcore::error_chain;
use taskservers::MariaDb;

use crate::rig::{Rig, jobs, store};
use crate::words::unsent;

#[tokio::test]
async fn an_opening_that_was_interrupted_is_finished_by_the_next_one() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    let mut all = jobs(3);
    store(&broker, &all).await;
    let mut raw = rig.raw().await;
    raw.run("USE test").await;
    raw.run(
        "CREATE TRIGGER {t}entered AFTER INSERT ON {t}ready
         FOR EACH ROW INSERT INTO {t}outbox (seq) VALUES (NEW.seq)",
    )
    .await;
    let entered = jobs(2);
    store(&broker, &entered).await;
    broker.open_outbox().await.unwrap();
    let mut found: Vec<_> = unsent(&broker, 10).await.iter().map(|entry| entry.job).collect();
    found.sort_unstable();
    all.extend(entered);
    assert_eq!(found, all.iter().map(|job| job.id).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_may_not_make_the_trigger_is_told_what_to_grant() {
    let server = MariaDb::start();
    let root = MysqlBroker::open(MysqlOptions::parse(&server.url()).unwrap()).await.unwrap();
    server.sql(
        "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'word';
         GRANT SELECT, INSERT, UPDATE, DELETE ON test.* TO app@'127.0.0.1'",
    );
    let url = server.url().replace("root@", "app:word@");
    let broker = MysqlBroker::open(MysqlOptions::parse(&url).unwrap()).await.unwrap();
    let error = broker.open_outbox().await.unwrap_err();
    assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");
    let text = error_chain(&error);
    assert!(text.contains("grant it `TRIGGER`"), "{text}");
    // Once somebody else has made it, there is nothing to grant.
    root.open_outbox().await.unwrap();
    broker.open_outbox().await.unwrap();
    store(&broker, &jobs(2)).await;
    assert_eq!(unsent(&broker, 10).await.len(), 2);
    root.close().await.unwrap();
}
