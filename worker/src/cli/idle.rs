//! An idle worker says why in its log.

use std::convert::Infallible;
use std::time::Duration;

use crate::view::View;

/// How often an idle worker says so.
const PERIOD: Duration = Duration::from_secs(60);

/// Writes a line whenever nothing came for a minute; never ends.
pub(crate) async fn explain(view: &View) -> Infallible {
    loop {
        tokio::time::sleep(PERIOD).await;
        if view.is_idle_for(PERIOD) {
            say_why(view).await;
        }
    }
}

/// `info` if somebody should do something about it; else `debug`.
async fn say_why(view: &View) {
    let report = view.report().await;
    let why = report.idle.join("; ");
    let text = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string());
    let last_fetch = text(report.fetch.last_fetch);
    let last_wake = text(report.fetch.last_wake);
    let last_delivery = text(report.fetch.last_delivery);
    let oldest_due = text(report.queues.iter().filter_map(|queue| queue.depth.oldest_ready).min());
    let free = report.slots.total.saturating_sub(report.slots.running);
    if report.is_in_trouble || report.queues_error.is_some() {
        let error = report.queues_error;
        tracing::info!(target: "hereafter::worker", why, last_fetch, last_wake, last_delivery, oldest_due, free, error, "idle");
    } else {
        tracing::debug!(target: "hereafter::worker", why, last_fetch, last_wake, last_delivery, oldest_due, free, "idle");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use taskbroker_memory::MemoryBroker;
    use taskcore::broker::{Due, NewJob};
    use taskcore::{Client, JobId, Payload, Priority, QueueName};

    use super::*;
    use crate::shutdown::Shutdown;
    use crate::worker::Worker;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a worker of the queue `default` logs when it is idle.
    async fn logged(client: &Client) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _logging = tracing::subscriber::set_default(log);
        let worker = Worker::builder(client.clone()).build();
        let view = View::of(&worker, client.connection().unwrap(), Shutdown::new());
        say_why(&view).await;
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn job() -> NewJob {
        NewJob {
            id: JobId::new(),
            queue: QueueName::DEFAULT,
            task: "any".into(),
            priority: Priority::default(),
            due: Due::Now,
            expires_in: None,
            inputs: Vec::new(),
            unique: None,
            with_next: false,
            envelope: Payload::default(),
        }
    }

    #[tokio::test]
    async fn an_idle_worker_says_what_holds_due_jobs_back_and_since_when_they_wait() {
        let client = Client::new(MemoryBroker::new().connection());
        let open = client.connection().unwrap();
        open.broker.enqueue(&[job()]).await.unwrap();
        open.operate.as_ref().unwrap().pause(&QueueName::DEFAULT, true).await.unwrap();
        let text = logged(&client).await;
        assert!(text.contains(" INFO ") && text.contains("idle"), "{text}");
        assert!(text.contains("`default` has 1 due job and is paused"), "{text}");
        assert!(text.contains("oldest_due=") && text.contains("free="), "{text}");
    }
}
