//! The reporter: what running jobs say goes to the store in batches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taskcore::broker::{BrokerError, Delivery, Receipt, Report, Reports, Settled};
use taskcore::error_chain;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::hand::{Hand, Reason};
use crate::pause::Pause;
use crate::readers::Readers;
use crate::speech::{Speech, Urgency};

/// Where deliveries that have something to say are listed.
#[derive(Default)]
pub(crate) struct Desk {
    lists: Mutex<Lists>,
    /// Rings when something urgent is added, or the first of what is not.
    bell: Notify,
}

#[derive(Default)]
struct Lists {
    urgent: Vec<Arc<Speech>>,
    patient: Vec<Arc<Speech>>,
}

impl Desk {
    /// The speech of a delivery.
    pub(crate) fn speech(self: &Arc<Self>, delivery: &Delivery) -> Arc<Speech> {
        Speech::new(delivery.job, delivery.receipt.clone(), self.clone())
    }

    pub(crate) fn add(&self, speech: Arc<Speech>, urgency: Urgency) {
        let mut lists = self.lock();
        let rings = urgency == Urgency::Urgent || lists.patient.is_empty();
        match urgency {
            Urgency::Urgent => lists.urgent.push(speech),
            Urgency::Patient => lists.patient.push(speech),
        }
        drop(lists);
        if rings {
            self.bell.notify_one();
        }
    }

    fn has_patient(&self) -> bool {
        !self.lock().patient.is_empty()
    }

    /// Some of those that are listed: what is urgent, or everything.
    fn take(&self, urgency: Urgency) -> Vec<Arc<Speech>> {
        let mut lists = self.lock();
        let mut taken = take_some(&mut lists.urgent, BATCH);
        if urgency == Urgency::Patient {
            let left = BATCH - taken.len();
            taken.append(&mut take_some(&mut lists.patient, left));
        }
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_some<T>(list: &mut Vec<T>, max: usize) -> Vec<T> {
    let max = max.min(list.len());
    list.drain(..max).collect()
}

/// Reports in one batch.
const BATCH: usize = 256;

/// Progress and log lines are written this often at most.
const PERIOD: Duration = Duration::from_millis(250);

/// Sends what is listed, and hears of readers.
pub(crate) struct Reporter {
    pub(crate) reports: Arc<dyn Reports>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) hand: Arc<Hand>,
}

impl Reporter {
    /// Sends reports until it is told to stop. Whoever needs the last ones
    /// [flushes](Speech::flush) them before.
    pub(crate) async fn run(self, readers: Arc<Readers>, stop: CancellationToken) {
        let listening = readers.listen(&*self.reports, &self.hand, &stop);
        tokio::join!(listening, self.send_all(&stop));
    }

    async fn send_all(&self, stop: &CancellationToken) {
        let mut patient_at = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.desk.bell.notified() => {}
                () = tokio::time::sleep_until(patient_at), if self.desk.has_patient() => {}
            }
            loop {
                let is_time = patient_at <= Instant::now();
                let urgency = if is_time { Urgency::Patient } else { Urgency::Urgent };
                let speeches = self.desk.take(urgency);
                if speeches.is_empty() {
                    break;
                }
                if is_time && !self.desk.has_patient() {
                    patient_at = Instant::now() + PERIOD;
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.send(speeches) => {}
                }
            }
        }
    }

    async fn send(&self, speeches: Vec<Arc<Speech>>) {
        let taken = speeches.into_iter().filter_map(|speech| Some((speech.take()?, speech)));
        let (batch, speeches): (Vec<Report>, Vec<Arc<Speech>>) = taken.unzip();
        if batch.is_empty() {
            return;
        }
        let settled = self.settled(&batch).await;
        for (index, speech) in speeches.iter().enumerate() {
            let is_lost = settled.get(index) != Some(&Settled::Applied);
            if is_lost {
                self.lose(&speech.receipt);
            }
            speech.sent(is_lost);
        }
    }

    /// The answers of the store; empty if it takes no reports any more.
    ///
    /// Repeats a batch until the store has it: an item that it has is passed over. A line that
    /// it has is there twice then.
    async fn settled(&self, batch: &[Report]) -> Vec<Settled> {
        let mut pause = Pause::default();
        loop {
            match self.reports.report(batch).await {
                Ok(settled) => return settled,
                Err(BrokerError::Closed { .. } | BrokerError::Unsupported { .. }) => {
                    return Vec::new();
                }
                Err(error) => {
                    tracing::warn!(target: "hereafter::worker", error = error_chain(&error), jobs = batch.len(), "cannot write what jobs report; trying again");
                    let rest = pause.next(&mut rand::rng());
                    tokio::time::sleep(rest).await;
                }
            }
        }
    }

    /// The delivery is not this worker's any more: cancelled, or its lease is lost.
    fn lose(&self, receipt: &Receipt) {
        self.hand.interrupt(receipt, Reason::Lost);
    }
}

#[cfg(test)]
mod tests {
    use taskcore::{JobId, Outlet as _, Payload, Voice as _};

    use super::*;

    #[test]
    fn an_item_that_comes_while_its_delivery_is_taken_twice_is_listed_again() {
        let desk = Arc::<Desk>::default();
        let receipt = Receipt::new(b"receipt".to_vec());
        let speech = Speech::new(JobId::new(), receipt, desk.clone());
        speech.clone().message("it is listed as patient".to_owned());
        let mut items = speech.outlet(None, 100);
        let listed = desk.take(Urgency::Patient);
        assert_eq!(listed.len(), 2, "and as urgent");
        assert!(listed[0].take().is_some());
        items.put(Payload::from(b"1".to_vec())).unwrap();
        assert!(listed[1].take().is_none(), "its report is on its way");
        speech.sent(false);
        assert_eq!(desk.take(Urgency::Urgent).len(), 1);
    }
}
