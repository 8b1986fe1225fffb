//! [`Chaos`]: what happens to workers, and [`Store`]: a world in which it does.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hereafter::broker::{Connection, Keep, Settled, Settlement, Verdict};
use hereafter::prelude::*;
use hereafter::worker::{Shutdown, Worker, WorkerBuilder, WorkerConfig};
use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prop_oneof;
use proptest::strategy::{Just, Strategy};
use taskconformance::{Fault, Faulty, Operation};
use tasksystem::World;

use crate::broker::Watched;
use crate::graph::{End, Graph};
use crate::task::Runs;

/// What happens to workers.
#[derive(Debug, Clone)]
pub(crate) enum Chaos {
    /// One dies once so many more jobs have started, with all that it holds.
    Dies { after: usize },
    /// One takes so many jobs and is never heard of again, until it is too late.
    Stalls { jobs: u32 },
    /// The leases of all that is held end, also of jobs that still run.
    LeasesEnd { after: usize },
    /// The broker does not answer once.
    Silence(Operation, Fault),
}

/// What goes wrong with one expression.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    /// With the first batch that is stored.
    pub(crate) enqueue: Option<Fault>,
    /// Where in the expression something happens, modulo its length.
    pub(crate) halfway: usize,
    /// There.
    pub(crate) meanwhile: Vec<Chaos>,
    /// Once all of it is delayed.
    pub(crate) afterwards: Vec<Chaos>,
}

/// Few enough for every job to survive all of them: it would end as lost after its fifth loss.
pub(crate) fn troubles() -> impl Strategy<Value = Trouble> {
    let faults = || prop_oneof![Just(Fault::LostCall), Just(Fault::LostReply)];
    let operations = || prop_oneof![Just(Operation::Settle), Just(Operation::Reserve)];
    let event = || {
        prop_oneof![
            (0..60_usize).prop_map(|after| Chaos::Dies { after }),
            (1..20_u32).prop_map(|jobs| Chaos::Stalls { jobs }),
            (0..60_usize).prop_map(|after| Chaos::LeasesEnd { after }),
            (operations(), faults())
                .prop_map(|(operation, fault)| Chaos::Silence(operation, fault)),
        ]
    };
    let trouble = (of(faults()), any::<usize>(), vec(event(), 0..2), vec(event(), 0..4));
    trouble.prop_map(|(enqueue, halfway, meanwhile, afterwards)| Trouble {
        enqueue,
        halfway,
        meanwhile,
        afterwards,
    })
}

/// A world whose workers die.
pub(crate) struct Store<'a> {
    world: &'a World,
    client: Client,
    faulty: Faulty,
    watched: Arc<Watched>,
    runs: Runs,
    /// Of workers that are gone.
    late: Mutex<Vec<Settlement>>,
}

/// Each ends what is held and makes due what failed once; far more than any expression needs.
const ROUNDS: usize = 20;

impl<'a> Store<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        let open = world.client.connection().expect("a world is connected").clone();
        let watched = Arc::new(Watched::new(open.broker.clone()));
        let faulty = Faulty::new(watched.clone());
        let client = Client::new(Connection { broker: Arc::new(faulty.clone()), ..open });
        Self { world, client, faulty, watched, runs: Runs::new(), late: Mutex::default() }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn spoil_enqueue(&self, fault: Option<Fault>) {
        if let Some(fault) = fault {
            self.faulty.next(Operation::Enqueue, fault);
        }
    }

    /// A worker that runs few jobs at a time and ends when nothing is due.
    fn worker(&self) -> WorkerBuilder {
        let mut config = WorkerConfig::default();
        config.concurrency = NonZeroU32::MIN.saturating_add(3);
        let worker = Worker::builder(self.client.clone()).without_hooks().config(config);
        worker.provide(self.runs.clone()).burst()
    }

    pub(crate) async fn live_through(&self, events: Vec<Chaos>) {
        for event in events {
            self.live_through_one(event).await;
        }
    }

    async fn live_through_one(&self, event: Chaos) {
        match event {
            Chaos::Dies { after } => {
                let worker = self.worker().build();
                let shutdown = Shutdown::new();
                let wanted = self.runs.all().len() + after;
                tokio::select! {
                    biased;
                    () = self.runs.until(wanted) => {}
                    ended = worker.run(&shutdown) => ended.expect("the worker starts"),
                }
            }
            Chaos::Stalls { jobs } => {
                let keep = Keep::For(Duration::from_secs(60 * 60));
                let taken = self.world.take(jobs).await.into_iter().map(|taken| {
                    let verdict = Verdict::Done { result: Some(b"1".to_vec().into()), keep };
                    Settlement { job: taken.job, receipt: taken.receipt, verdict }
                });
                self.late.lock().unwrap_or_else(PoisonError::into_inner).extend(taken);
            }
            Chaos::LeasesEnd { after } => {
                let worker = self.worker().build();
                let shutdown = Shutdown::new();
                let wanted = self.runs.all().len() + after;
                let passes = async {
                    self.runs.until(wanted).await;
                    self.world.advance(World::LEASE);
                    self.world.upkeep().await;
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = passes => {}
                    ended = worker.run(&shutdown) => ended.expect("the worker starts"),
                }
            }
            Chaos::Silence(operation, fault) => self.faulty.next(operation, fault),
        }
    }

    /// Runs everything that is left, until every job is final.
    pub(crate) async fn run_to_the_end(&self) {
        for _ in 0..ROUNDS {
            let worker = self.worker().build();
            worker.run(&Shutdown::new()).await.expect("the worker starts");
            if self.world.jobs().await.iter().all(|job| job.state.is_final()) {
                return;
            }
            self.world.advance(World::LEASE);
            self.world.upkeep().await;
        }
        let jobs = self.world.jobs().await;
        let left: Vec<_> = jobs.iter().filter(|job| !job.state.is_final()).collect();
        panic!("{} jobs never end: {left:?}", left.len());
    }

    /// Asserts that exactly those nodes ran that had to, each as one job, and that one verdict on
    /// each counted.
    pub(crate) fn assert_settled_once(&self, graph: &Graph, expected: &[End]) {
        let mut jobs = BTreeMap::<usize, BTreeSet<_>>::new();
        for (place, job) in self.runs.all() {
            jobs.entry(place).or_default().insert(job);
        }
        let must_run = (0..graph.nodes.len()).filter(|place| expected[*place].is_run());
        assert!(jobs.keys().copied().eq(must_run), "others ran than had to: {jobs:?}");
        let mut ran: Vec<_> = jobs.into_values().flatten().collect();
        ran.sort();
        let mut ends = self.watched.ends();
        ends.sort();
        assert_eq!(ran, ends, "each ran as one job, and one verdict on it counted");
    }

    /// Asserts that workers which come back too late change nothing.
    pub(crate) async fn assert_late_verdicts_are_stale(&self) {
        let late = self.late.lock().unwrap_or_else(PoisonError::into_inner).split_off(0);
        let settled = self.world.broker().settle(&late).await.expect("the store is open");
        assert_eq!(settled, vec![Settled::Stale; late.len()]);
    }
}
