//! Names of their own for each test, on a server that all tests share.

use taskbroker_amqp::{AmqpBroker, AmqpOptions};
use taskservers::RabbitMq;

/// A prefix; what is declared with it is deleted when this is dropped.
pub(crate) struct Namespace {
    url: String,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let server = RabbitMq::shared();
        Self { url: format!("{}?prefix={}", server.url(), server.schema()) }
    }

    #[allow(dead_code, reason = "not every test starts a process")]
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn options(&self) -> AmqpOptions {
        AmqpOptions::parse(&self.url).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let options = self.options();
        // Another thread, because this one may be in a runtime.
        let erasing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let broker = AmqpBroker::open(options).await?;
                broker.erase().await?;
                broker.connection().broker.close().await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        if let Err(error) = erasing.join().expect("erasing does not panic") {
            eprintln!("cannot erase the queues of a test: {error}");
        }
    }
}
