//! What `.delay()` takes from the environment when no client was opened. Variables are of a whole
//! process, so the test runs itself in another.

use std::process::Command;

use hereafter::prelude::*;
use taskservers::RabbitMq;
use tasksystem::tasks::no_op;

const NAME: &str = "a_delay_without_a_client_opens_the_url_with_the_store_beside_it";

#[test]
fn a_delay_without_a_client_opens_the_url_with_the_store_beside_it() {
    if let Some(store) = std::env::var_os("HEREAFTER_RESULTS") {
        return delay_and_look_into(store.to_str().unwrap());
    }
    let server = RabbitMq::shared();
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}", folder.path().join("tasks.db").display());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([NAME, "--exact", "--nocapture"]);
    child.env("HEREAFTER_URL", format!("{}?prefix={}", server.url(), server.schema()));
    let output = child.env("HEREAFTER_RESULTS", store).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("1 passed"), "{told}");
}

#[tokio::main(flavor = "current_thread")]
async fn delay_and_look_into(store: &str) {
    let job = no_op(1, "one").delay().await.unwrap();
    assert_eq!(Client::current().unwrap().connection().unwrap().broker.name(), "amqp");
    let looking = Client::open(store).await.unwrap();
    assert!(looking.record(job.id()).await.unwrap().is_some());
}
