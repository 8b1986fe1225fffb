//! What unit tests need of a store on PostgreSQL.

use std::time::Duration;

use taskcore::broker::{Due, NewJob};
use taskcore::{JobId, Payload, Priority, QueueName};
use taskservers::Postgres;

use super::DatabaseBroker;
use crate::postgres::PostgresOptions;

/// A new store, in which nobody listens.
pub(super) async fn opened() -> DatabaseBroker {
    let server = Postgres::shared();
    let options = PostgresOptions::parse(server.url()).unwrap();
    let options = options.schema(&server.schema()).unwrap().polling();
    DatabaseBroker { store: crate::postgres::open(options).await.unwrap() }
}

pub(super) fn job(due: Due, expires_in: Option<Duration>) -> NewJob {
    NewJob {
        id: JobId::new(),
        queue: QueueName::DEFAULT,
        task: "task".into(),
        priority: Priority::new(0).unwrap(),
        due,
        expires_in,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: Payload::from(b"{}".to_vec()),
    }
}
