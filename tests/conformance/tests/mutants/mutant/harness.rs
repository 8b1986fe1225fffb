//! [`MutantHarness`]: a store, or a transport, all connections of which have one defect.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use taskbroker_memory::MemoryBroker;
use taskconformance::{Harness, Transport, async_trait};
use taskcore::Clock;
use taskcore::broker::Connection;

use super::{Mutant, Notes};
use crate::defect::Defect;
use crate::reference::Reference;

/// A sound broker, spoilt.
pub(crate) struct MutantHarness {
    sound: Box<dyn Harness>,
    defect: Defect,
    notes: Arc<Mutex<Notes>>,
    /// The one connection that all are a part of, under the defect that shares leases.
    shared: tokio::sync::OnceCell<Connection>,
}

impl MutantHarness {
    pub(crate) fn of_store(defect: Defect) -> Self {
        Self::of(Box::new(Memory::new()), defect)
    }

    pub(crate) fn of_transport(defect: Defect) -> Self {
        Self::of(Box::new(Transport(Reference::new())), defect)
    }

    fn of(sound: Box<dyn Harness>, defect: Defect) -> Self {
        Self { sound, defect, notes: Arc::default(), shared: tokio::sync::OnceCell::new() }
    }

    /// The sound connection of a mutant.
    async fn connect_sound(&self) -> Connection {
        if self.defect != Defect::SharesLeases {
            return self.sound.connect().await;
        }
        let shared = self.shared.get_or_init(|| self.sound.connect()).await.clone();
        Connection { broker: shared.broker.duplicate().await.unwrap(), ..shared }
    }
}

#[async_trait]
impl Harness for MutantHarness {
    async fn connect(&self) -> Connection {
        let inner = self.connect_sound().await;
        let (is_store, notes) = (inner.results.is_some(), self.notes.clone());
        let mutant = Arc::new(Mutant { inner, defect: self.defect, notes });
        if is_store {
            return Connection::of(mutant.clone()).with_outbox(mutant);
        }
        Connection {
            broker: mutant.clone(),
            results: None,
            operate: Some(mutant),
            schedules: None,
            reports: None,
            history: None,
            outbox: None,
        }
    }

    fn tick(&self) -> Duration {
        self.sound.tick()
    }

    async fn elapse(&self, span: Duration) {
        self.sound.elapse(span).await;
    }

    async fn elapse_leases(&self, span: Duration) {
        self.sound.elapse_leases(span).await;
    }

    fn events_kept(&self) -> u64 {
        self.sound.events_kept()
    }

    fn lag(&self) -> Duration {
        self.sound.lag()
    }

    fn is_transport(&self) -> bool {
        self.sound.is_transport()
    }
}

/// A store in this process.
struct Memory {
    clock: Clock,
    store: MemoryBroker,
}

impl Memory {
    fn new() -> Self {
        let clock = Clock::system();
        let store = MemoryBroker::with_clock(clock.clone()).keeping_events(100);
        Self { clock, store }
    }
}

#[async_trait]
impl Harness for Memory {
    async fn connect(&self) -> Connection {
        self.store.connection()
    }

    fn tick(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn elapse(&self, span: Duration) {
        self.clock.advance(span);
    }

    fn events_kept(&self) -> u64 {
        100
    }
}
