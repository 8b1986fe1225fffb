//! Opening what is no store of ours, and closing.

use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskcore::QueueName;
use taskcore::broker::{Broker, FindingLevel, Operate};

use crate::rig::{Rig, SCHEMA, block_on, job, jobs, refusal, store, take};

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let rig = Rig::new();
    let text = "dear diary, ".repeat(1000);
    std::fs::write(rig.path(), &text).unwrap();
    let error = rig.refusal().await;
    assert!(error.contains("tasks.db") && error.contains("not a SQLite database"), "{error}");
    assert_eq!(std::fs::read_to_string(rig.path()).unwrap(), text);
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_the_remedy() {
    let rig = Rig::new();
    let broker = rig.open().await;
    store(&broker, &jobs(500)).await;
    broker.close().await.unwrap();
    let mut bytes = std::fs::read(rig.path()).unwrap();
    bytes[100..].fill(0xAA);
    std::fs::write(rig.path(), bytes).unwrap();
    let error = rig.refusal().await;
    assert!(error.contains("tasks.db") && error.contains("is damaged"), "{error}");
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let rig = Rig::new();
    let path = rig.path().with_file_name("nowhere").join("tasks.db");
    let error = refusal(SqliteOptions::file(&path)).await;
    assert!(error.contains("nowhere`: create it"), "{error}");
}

#[tokio::test]
async fn a_folder_is_refused_with_what_to_add() {
    let rig = Rig::new();
    std::fs::create_dir(rig.path()).unwrap();
    let error = rig.refusal().await;
    assert!(error.contains("it is a folder: add a file name"), "{error}");
}

#[tokio::test]
async fn a_closed_store_is_one_file() {
    let rig = Rig::new();
    let broker = rig.open().await;
    store(&broker, &jobs(10)).await;
    broker.depth(&[QueueName::DEFAULT]).await.unwrap();
    broker.close().await.unwrap();
    assert_eq!(rig.files(), ["tasks.db"]);
    let copy = Rig::new();
    std::fs::copy(rig.path(), copy.path()).unwrap();
    assert_eq!(take(&*copy.open().await, 100).await.len(), 10);
}

#[tokio::test]
async fn the_last_of_several_connections_leaves_one_file() {
    let rig = Rig::new();
    let first = rig.open().await;
    let (second, third) = (first.another().await.unwrap(), first.another().await.unwrap());
    store(&second, &jobs(1)).await;
    first.close().await.unwrap();
    first.close().await.unwrap();
    third.close().await.unwrap();
    assert_eq!(take(&second, 2).await.len(), 1);
    assert!(rig.files().len() > 1);
    second.close().await.unwrap();
    assert_eq!(rig.files(), ["tasks.db"]);
}

#[tokio::test]
async fn two_stores_in_memory_are_apart() {
    let [first, second] =
        [SqliteOptions::parse("sqlite::memory:").unwrap(), SqliteOptions::memory()]
            .map(SqliteBroker::open);
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    store(&first, &jobs(1)).await;
    assert!(take(&second, 1).await.is_empty());
    assert_eq!(take(&first, 1).await.len(), 1);
}

#[test]
fn a_store_outlives_the_runtime_that_opened_it() {
    let rig = Rig::new();
    let broker = block_on(async { rig.open().await });
    block_on(async { store(&broker, &[job()]).await });
    let delivered = block_on(async { take(&broker, 1).await });
    assert_eq!(delivered.len(), 1);
}

#[tokio::test]
async fn a_check_names_what_a_person_would_look_for() {
    let rig = Rig::new();
    let broker = SqliteBroker::open(rig.options().polling()).await.unwrap();
    let findings = broker.check().await.unwrap();
    let of = |subject: &str| findings.iter().find(|finding| finding.subject == subject).unwrap();
    assert_eq!(of("journal").detail, "wal");
    assert_eq!(of("schema").detail, format!("version {SCHEMA}"));
    assert_eq!(of("integrity").detail, "sound");
    assert_eq!(of("durability").level, FindingLevel::Ok);
    assert_eq!(of("wake-ups").level, FindingLevel::Warning);
    assert!(of("wake-ups").detail.contains("polling up to 250 ms apart"));
}

#[tokio::test]
async fn a_watched_store_says_so() {
    let rig = Rig::new();
    let findings = rig.open().await.check().await.unwrap();
    let wakeups = findings.iter().find(|finding| finding.subject == "wake-ups").unwrap();
    assert_eq!(wakeups.level, FindingLevel::Ok, "{}", wakeups.detail);
}
