//! Schedules, with a defect.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;
use taskconformance::async_trait;
use taskcore::broker::{
    BrokerError, DueSchedules, Fired, Firing, Found, Hold, NewSchedule, Put, ScheduleFilter,
    ScheduleRecord, Schedules, Seen,
};

use super::Mutant;
use crate::defect::Defect;

#[async_trait]
impl Schedules for Mutant {
    async fn now(&self) -> Result<Timestamp, BrokerError> {
        self.schedules().now().await
    }

    async fn put(&self, batch: &[NewSchedule]) -> Result<Vec<Put>, BrokerError> {
        if !self.has(Defect::RestartsSchedules) {
            return self.schedules().put(batch).await;
        }
        let answers = self.schedules().put(batch).await?;
        for new in batch {
            if let Some(record) = self.schedule(&new.name).await? {
                self.move_on(&record, new.next).await?;
            }
        }
        Ok(answers)
    }

    async fn list(&self, filter: &ScheduleFilter) -> Result<Vec<ScheduleRecord>, BrokerError> {
        self.schedules().list(filter).await
    }

    async fn due(&self, limit: NonZeroU32, wait: Duration) -> Result<DueSchedules, BrokerError> {
        let mut found = self.schedules().due(limit, wait).await?;
        if self.has(Defect::TicksEarly) {
            found.due = self.list(&ScheduleFilter::default()).await?;
            found.due.retain(|record| record.next.is_some() && record.hold == Hold::Running);
        }
        if self.has(Defect::TicksByName) {
            found = self.schedules().due(NonZeroU32::MAX, wait).await?;
            found.due.sort_by(|left, right| left.name.cmp(&right.name));
            found.due.truncate(limit.get() as usize);
        }
        Ok(found)
    }

    async fn fire(&self, firing: &Firing) -> Result<Fired, BrokerError> {
        let mut firing = firing.clone();
        if self.has(Defect::FiresStale)
            && let Some(record) = self.schedule(&firing.name).await?
        {
            firing.seen.next = record.next;
        }
        if self.has(Defect::FiresPaused)
            && let Some(record) = self.schedule(&firing.name).await?
        {
            firing.seen.hold = record.hold;
        }
        if self.has(Defect::LosesTicks) {
            firing.jobs.clear();
        }
        if self.has(Defect::FiresInTwoSteps) {
            // Another one may come between.
            self.inner.broker.enqueue(&firing.jobs).await?;
        }
        self.schedules().fire(&firing).await
    }

    async fn hold(&self, names: &[String], hold: Hold) -> Result<Vec<Found>, BrokerError> {
        if self.has(Defect::IgnoresHold) {
            let filter = ScheduleFilter::default();
            let known = self.list(&filter).await?;
            let found = |name: &String| match known.iter().any(|record| record.name == *name) {
                true => Found::Known,
                false => Found::Unknown,
            };
            return Ok(names.iter().map(found).collect());
        }
        self.schedules().hold(names, hold).await
    }

    async fn delete(&self, names: &[String]) -> Result<Vec<Found>, BrokerError> {
        self.schedules().delete(names).await
    }
}

impl Mutant {
    fn schedules(&self) -> &dyn Schedules {
        self.inner.schedules.as_deref().unwrap()
    }

    async fn schedule(&self, name: &str) -> Result<Option<ScheduleRecord>, BrokerError> {
        let names = Some(vec![name.to_owned()]);
        let filter = ScheduleFilter { names, ..ScheduleFilter::default() };
        Ok(self.schedules().list(&filter).await?.pop())
    }

    async fn move_on(
        &self,
        record: &ScheduleRecord,
        next: Option<Timestamp>,
    ) -> Result<(), BrokerError> {
        let firing = Firing {
            name: record.name.clone(),
            seen: Seen { next: record.next, hold: record.hold },
            jobs: Vec::new(),
            last: None,
            next,
        };
        self.schedules().fire(&firing).await?;
        Ok(())
    }
}
