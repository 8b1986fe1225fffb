//! What `doctor` says of a server.

use taskcore::broker::{FindingLevel, Operate};
use taskservers::Postgres;

use crate::rig::{Rig, finding, jobs, listening, store, take};

#[tokio::test]
async fn a_healthy_store_has_no_warnings() {
    let server = Postgres::start();
    let rig = Rig::on(&server);
    let broker = rig.open().await;
    store(&broker, &jobs(2)).await;
    assert_eq!(take(&broker, 1).await.len(), 1);
    listening(&broker).await;
    let findings = broker.check().await.unwrap();
    assert!(findings.iter().all(|finding| finding.level == FindingLevel::Ok), "{findings:#?}");
    for (subject, part) in [
        ("PostgreSQL", "version 1"),
        ("role", "primary"),
        ("durability", "`synchronous_commit=on`"),
        ("schema", "version 2"),
        ("oldest transaction", "younger than a minute"),
        ("dead rows", "few"),
        ("oldest ready job", "in queue `default`, since"),
    ] {
        let detail = finding(&broker, subject).await;
        assert!(detail.contains(part), "{subject}: {detail}");
    }
}

#[tokio::test]
async fn settings_that_lose_jobs_and_a_store_that_polls_are_warned_of() {
    let server = Postgres::start_with(&[("fsync", "off")]);
    let rig = Rig::on(&server);
    let options = rig.options().polling();
    let broker = taskbroker_database::postgres::PostgresBroker::open(options).await.unwrap();
    let detail = finding(&broker, "durability").await;
    assert!(detail.contains("a loss of power may damage"), "{detail}");
    let detail = finding(&broker, "wake-ups").await;
    assert!(detail.contains("`listen=off`"), "{detail}");
}
