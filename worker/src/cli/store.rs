//! [`Store`]: an open broker, for the commands that operate it.

use std::sync::Arc;

use taskcore::JobId;
use taskcore::broker::{
    Broker, BrokerError, Connection, History, JobFilter, JobRecord, Operate, Reports, Schedules,
};
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
    /// What jobs say; `None` if the store keeps nothing of it.
    pub(crate) reports: Option<Arc<dyn Reports>>,
    /// What happened; `None` if the store keeps nothing of it.
    pub(crate) history: Option<Arc<dyn History>>,
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
            let opened = taskbroker_connect::connect_existing(&url).await;
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
        let Connection { schedules, reports, history, .. } = connection;
        Ok(Self { operate, schedules, reports, history, broker })
    }

    /// All that it knows of one job.
    pub(crate) async fn record(&self, id: JobId) -> Result<Option<JobRecord>, BrokerError> {
        let filter = JobFilter { ids: Some(vec![id]), ..JobFilter::default() };
        Ok(self.operate.jobs(&filter).await?.pop())
    }

    /// Its schedules.
    pub(crate) fn schedules(&self) -> Result<&Arc<dyn Schedules>, BrokerError> {
        let (broker, operation) = (self.broker.name(), "schedules");
        self.schedules.as_ref().ok_or(BrokerError::Unsupported { broker, operation })
    }

    /// What jobs say.
    pub(crate) fn reports(&self) -> Result<&Arc<dyn Reports>, CliError> {
        let (broker, what) = (self.broker.name(), "record of what jobs say");
        self.reports.as_ref().ok_or(CliError::NotKept { broker, what })
    }

    /// What happened.
    pub(crate) fn history(&self) -> Result<&Arc<dyn History>, CliError> {
        let (broker, what) = (self.broker.name(), "history");
        self.history.as_ref().ok_or(CliError::NotKept { broker, what })
    }
}

#[cfg(test)]
mod tests {
    use taskbroker_memory::MemoryBroker;

    use super::*;

    #[test]
    fn what_a_store_does_not_keep_is_named_with_the_remedy() {
        let connection = MemoryBroker::new().connection();
        let store = Store::of(Connection { reports: None, history: None, ..connection }).unwrap();
        for (error, what) in [
            (store.history().unwrap_err(), "memory keeps no history"),
            (store.reports().unwrap_err(), "memory keeps no record of what jobs say"),
        ] {
            let text = error.to_string();
            assert!(text.starts_with(what) && text.contains("sqlite://"), "{text}");
        }
    }
}
