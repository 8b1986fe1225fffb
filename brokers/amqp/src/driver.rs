//! [`Driver`]: the thread on which a broker talks to its server.

use std::future::Future;

use futures::future::{FutureExt, LocalBoxFuture};
use taskcore::broker::BrokerError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};

use crate::NAME;
use crate::error::AmqpError;

/// A runtime of its own, on one thread. A clone shares it; it ends with the last.
///
/// Heartbeats and acknowledgements go on while the application's own runtime is blocked by a
/// task, a broker outlives the runtime that opened it, and a call goes on when its caller stops
/// waiting for it.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    calls: mpsc::UnboundedSender<Call>,
}

/// Begins a call on the thread. The number of calls is bounded by that of their callers, who wait.
type Call = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()> + Send>;

impl Driver {
    pub(crate) fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (calls, mut begun) = mpsc::unbounded_channel::<Call>();
        std::thread::Builder::new().name("hereafter-amqp".to_owned()).spawn(move || {
            let begin = async {
                while let Some(call) = begun.recv().await {
                    spawn_local(call());
                }
            };
            runtime.block_on(LocalSet::new().run_until(begin));
        })?;
        Ok(Self { calls })
    }

    /// Runs a call here. Dropping the answer does not end the call.
    pub(crate) async fn run<T, C, F>(&self, call: C) -> Result<T, BrokerError>
    where
        T: Send + 'static,
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<T, BrokerError>> + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let call = move || {
            let answering = async move {
                // Nobody may be waiting for it any more.
                let _ = answer.send(call().await);
            };
            answering.boxed_local()
        };
        // It fails if the thread is gone, and then so is the answer.
        let _ = self.calls.send(Box::new(call));
        answered.await.unwrap_or_else(|_| {
            let source = Box::new(AmqpError::DriverGone);
            Err(BrokerError::Unavailable { broker: NAME, source })
        })
    }
}
