//! Jobs that other programs store with the function `enqueue`.

use std::time::Duration;

use taskcore::broker::{Broker, Delivery, EventId, History, Outbox};

use super::rig::{Rig, done, request, settle};

/// Sends one statement with `psql`, as somebody would by hand.
fn psql(rig: &Rig, statement: &str) -> Result<String, String> {
    let statement = statement.replace("{s}", &rig.schema);
    let mut command = std::process::Command::new("psql");
    let output = command.args(["-XAtqv", "ON_ERROR_STOP=1", &rig.url, "-c", &statement]).output();
    let output = output.expect("psql is installed with the server");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test]
async fn psql_stores_a_job_that_wakes_a_worker() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    let waiting = request(1, Duration::from_secs(30));
    let (taken, id) = tokio::join!(broker.reserve(&waiting), async {
        let statement = r#"SELECT {s}.enqueue('app::send', '{"to": "ada@example.org", "n": 2}')"#;
        psql(&rig, statement).unwrap()
    });
    let delivery: Delivery = taken.unwrap().remove(0);
    assert_eq!(delivery.job.to_string(), id);
    assert_eq!((delivery.task.as_str(), delivery.attempt.get()), ("app::send", 1));
    let envelope = taskcore::Envelope::decode(delivery.envelope.as_slice()).unwrap();
    assert_eq!(envelope.task, "app::send");
    let args: serde_json::Value = serde_json::from_str(envelope.args.get()).unwrap();
    assert_eq!(args, serde_json::json!({"to": "ada@example.org", "n": 2}));
    settle(&broker, done(&delivery)).await;
    let stats = broker.stats().await.unwrap();
    assert_eq!((stats[0].task.as_str(), stats[0].stored, stats[0].done), ("app::send", 1, 1));
    let events = broker.events(Some(EventId::START), 10, Duration::ZERO).await.unwrap();
    assert_eq!(events.events.len(), 3, "{events:?}");
}

#[tokio::test]
async fn a_job_of_psql_is_entered_in_an_outbox_that_is_open() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    broker.open_outbox().await.unwrap();
    let id = psql(&rig, "SELECT {s}.enqueue('app::send')").unwrap();
    let entries = crate::words::unsent(&broker, 10).await;
    assert_eq!(entries.iter().map(|entry| entry.job.to_string()).collect::<Vec<_>>(), [id]);
}

#[tokio::test]
async fn queue_priority_and_due_time_are_kept_and_wrong_ones_are_refused() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    let later = "SELECT {s}.enqueue('t', due => now() + interval '1 hour', queue => 'slow')";
    psql(&rig, later).unwrap();
    let depth = broker.depth(&["slow".try_into().unwrap()]).await.unwrap();
    assert_eq!((depth[0].scheduled, depth[0].ready), (Some(1), Some(0)));
    psql(&rig, "SELECT {s}.enqueue('last', priority => -2)").unwrap();
    psql(&rig, "SELECT {s}.enqueue('first', priority => 2)").unwrap();
    let taken = broker.reserve(&request(2, Duration::ZERO)).await.unwrap();
    assert_eq!(taken.iter().map(|it| it.task.as_str()).collect::<Vec<_>>(), ["first", "last"]);
    for (wrong, says) in [
        ("SELECT {s}.enqueue('t', '[1]')", "args is an object"),
        ("SELECT {s}.enqueue('t', queue => 'no queue')", "queue is 1 to 64"),
        ("SELECT {s}.enqueue('t', priority => 3)", "priority is -2 to 2"),
    ] {
        let error = psql(&rig, wrong).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}
