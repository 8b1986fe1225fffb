//! [`Waiting`]: questions whose answers may take long, until somebody presses Ctrl-C.

use std::future::Future;

use taskcore::broker::BrokerError;

use super::error::CliError;
use super::signals::Source;

/// Waits for answers of a store, until a signal asks to stop.
#[derive(Debug)]
pub(crate) struct Waiting {
    signals: Source,
}

impl Waiting {
    /// From now on no signal ends the process.
    pub(crate) fn begin() -> Result<Self, CliError> {
        Ok(Self { signals: Source::install().map_err(CliError::Runtime)? })
    }

    /// The answer; `None` after a signal. The question is then left to run: dropped midway, it
    /// could keep its connection from being closed in order.
    pub(crate) async fn answer<T: Send + 'static>(
        &mut self,
        question: impl Future<Output = Result<T, BrokerError>> + Send + 'static,
    ) -> Result<Option<T>, CliError> {
        let question = tokio::spawn(question);
        tokio::select! {
            biased;
            _ = self.signals.next() => Ok(None),
            answer = question => match answer {
                Ok(answer) => Ok(Some(answer?)),
                // Nobody aborts it.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
        }
    }
}
