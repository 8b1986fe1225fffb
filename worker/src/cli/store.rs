//! [`Store`]: an open broker, for the commands that operate it.

use std::sync::Arc;

use taskcore::broker::{Broker, BrokerError, Connection, Operate, Schedules};
use taskcore::error_chain;
use tokio::runtime::Builder;

use super::error::CliError;
use super::settings::Settings;

/// An open broker that can be operated.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) operate: Arc<dyn Operate>,
    schedules: Option<Arc<dyn Schedules>>,
}

impl Store {
    /// Opens the broker, does `work` on it, and closes it.
    pub(crate) fn with<T>(
        settings: &Settings,
        work: impl AsyncFnOnce(&Self) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        let url = settings.url()?;
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
        let done = runtime.block_on(async {
            // A store whose name was mistyped must not be born empty and look fine.
            let opened = taskbroker_connect::connect_existing(url).await;
            let connection = opened.map_err(CliError::Connect)?;
            let store = Self::of(connection)?;
            let done = work(&store).await;
            if let Err(error) = store.broker.close().await {
                let error = error_chain(&error);
                tracing::warn!(target: "hereafter", error, "cannot close the broker in order");
            }
            done
        });
        runtime.shutdown_background();
        done
    }

    fn of(connection: Connection) -> Result<Self, BrokerError> {
        let broker = connection.broker;
        let unsupported = BrokerError::Unsupported {
            broker: broker.name(),
            operation: "listing and changing stored jobs",
        };
        let operate = connection.operate.ok_or(unsupported)?;
        Ok(Self { operate, schedules: connection.schedules, broker })
    }

    /// Its schedules.
    pub(crate) fn schedules(&self) -> Result<&Arc<dyn Schedules>, BrokerError> {
        let (broker, operation) = (self.broker.name(), "schedules");
        self.schedules.as_ref().ok_or(BrokerError::Unsupported { broker, operation })
    }
}
