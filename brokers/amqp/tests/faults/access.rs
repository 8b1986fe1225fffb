//! Servers that do not let us in.

use std::time::Instant;

use taskbroker_amqp::{AmqpBroker, AmqpOptions};
use taskcore::broker::{Broker, ConnectError};
use taskcore::error_chain;
use taskservers::RabbitMq;

use crate::lab::*;

async fn refusal(url: &str) -> ConnectError {
    AmqpBroker::open(AmqpOptions::parse(url).unwrap()).await.unwrap_err()
}

#[tokio::test]
async fn a_wrong_password_is_refused_with_a_remedy_and_is_not_shown() {
    let server = RabbitMq::shared();
    let url = server.url().replace("guest:guest", "guest:sesame");
    let error = refusal(&url).await;
    assert!(matches!(error, ConnectError::Unusable { .. }), "{error:?}");
    let text = error_chain(&error);
    assert!(text.contains("check user and password"), "{text}");
    assert!(!format!("{text} {error:?}").contains("sesame"), "{text} {error:?}");
}

#[tokio::test]
async fn a_virtual_host_that_is_not_there_is_refused_with_a_remedy() {
    let error = refusal(&RabbitMq::shared().url().replace("%2f", "nowhere")).await;
    let text = error_chain(&error);
    assert!(matches!(error, ConnectError::Unusable { .. }), "{error:?}");
    assert!(text.contains("nowhere") && text.contains("add_vhost"), "{text}");
}

#[tokio::test]
async fn work_resumes_when_the_old_password_is_valid_again() {
    let server = RabbitMq::start();
    let broker = open(&server.url()).await;
    let stored = jobs(10);
    store(&broker, &stored).await;
    server.change_password("another");
    server.close_connections("a new password");
    // At first the connection is only gone.
    let since = Instant::now();
    loop {
        let text = said(&broker.enqueue(&jobs(1)).await.unwrap_err());
        if text.contains("ACCESS_REFUSED") || text.contains("ACCESS-REFUSED") {
            break;
        }
        assert!(since.elapsed() < PLENTY, "{text}");
    }
    server.change_password("guest");
    let took = store_at_last(&broker, &jobs(1)).await;
    assert!(took < SOON, "jobs are stored again after {took:?}");
    drain(&broker, &ids(&stored)).await;
    broker.close().await.unwrap();
}
