//! [`Lab`]: one broker, what was measured of it, and the order of measurements.

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::broker::Broker;
use crate::chart;
use crate::figures::{Figure, Figures};
use crate::floor::{self, Driver, Floor};
use crate::json::Lines;
use crate::measure::What;
use crate::options::{Options, Scale};
use crate::progress::Progress;
use crate::subject::{self, Store, Subject};
use crate::table::{grouped, table};

/// Floors by their drivers, the one of ours first.
pub(crate) type Floors = Vec<(Driver, Box<dyn Floor>)>;

/// Where measurements are made.
pub(crate) struct Lab {
    pub(crate) subject: Box<dyn Subject>,
    pub(crate) scale: Scale,
    figures: Figures,
    stores: u32,
    /// What is measured now.
    of: What,
}

/// Measures what is asked for, and prints a table for each broker when it is done with it.
pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    let (brokers, scale) = (options.brokers(), options.scale());
    let mut lines = options.json.as_deref().map(Lines::create).transpose()?;
    let plan = |broker: Broker| {
        let chosen = options.measurements().into_iter().filter(move |what| what.is_of(broker));
        chosen.map(move |what| (what, what.runs(scale)))
    };
    let steps = brokers.iter().flat_map(|broker| plan(*broker)).map(|(_, runs)| u64::from(runs));
    let progress = Progress::of(steps.sum());
    let mut measured = Vec::new();
    for broker in brokers {
        progress.begin(format!("{}: starting", broker.name()));
        let mut lab = Lab::of(broker, scale);
        for (what, runs) in plan(broker) {
            for run in 1..=runs {
                progress.begin(format!("{}: {}, run {run} of {runs}", broker.name(), what.name()));
                lab.of = what;
                let of = || format!("cannot measure {} on {}", what.name(), broker.name());
                what.measure(&mut lab, run).with_context(of)?;
                progress.end();
            }
        }
        progress.print(&format!("{}\n\n{}\n", lab.heading(), table(&lab.figures)));
        if let Some(lines) = &mut lines {
            lines.write(&lab.figures)?;
        }
        measured.push(lab.figures);
    }
    match &options.plot {
        Some(folder) => chart::draw(folder, &measured),
        None => Ok(()),
    }
}

impl Lab {
    fn of(broker: Broker, scale: Scale) -> Self {
        let subject = subject::start(broker);
        let figures = Figures::of(broker.name());
        Self { subject, scale, figures, stores: 0, of: What::ALL[0] }
    }

    fn heading(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let most = match self.scale.jobs(u64::MAX) {
            u64::MAX => String::new(),
            most => format!("; at most {} jobs at once", grouped(most)),
        };
        format!(
            "{}. {cores} cores; medians of {} alternating runs{most}",
            self.subject.about(),
            self.scale.runs
        )
    }

    pub(crate) fn broker(&self) -> Broker {
        self.subject.broker()
    }

    /// A store that nobody has used, and a place for the floor beside it.
    pub(crate) fn new_store(&mut self) -> Store {
        self.stores += 1;
        self.subject.store(self.stores)
    }

    /// The same with its floors, which are empty.
    pub(crate) fn new_store_and_floors(&mut self) -> anyhow::Result<(Store, Floors)> {
        let store = self.new_store();
        let floors = self.floors(&store);
        for (_, floor) in &floors {
            run(floor.prepare())?;
        }
        Ok((store, floors))
    }

    /// The floor of this store, and others that are told beside it.
    pub(crate) fn floors(&self, store: &Store) -> Floors {
        let drivers = self.subject.drivers().iter();
        drivers.map(|driver| (*driver, floor::open(*driver, &store.raw(*driver)))).collect()
    }

    pub(crate) fn figure(&mut self, what: &str, unit: &'static str) -> &mut Figure {
        self.figures.figure(self.of, what, unit)
    }

    /// Where a value of a floor goes: with that of ours, or on a line that says whose it is.
    pub(crate) fn floor_figure(
        &mut self,
        what: &str,
        unit: &'static str,
        driver: Driver,
    ) -> &mut Figure {
        if self.subject.drivers().first() == Some(&driver) {
            return self.figure(what, unit);
        }
        let ours = self.figure(what, unit).ours.clone();
        let beside = self.figure(&format!("{what}, beside {}", driver.name()), unit);
        beside.ours = ours;
        beside
    }
}

/// Runs a future on a runtime that nothing else has used.
pub(crate) fn run<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    Runtime::new()?.block_on(future)
}
