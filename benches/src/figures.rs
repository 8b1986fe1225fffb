//! [`Figures`]: what was measured, a value for each run of each side.

use crate::measure::What;

/// What was measured of one broker, in the order in which it was first seen.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) broker: &'static str,
    pub(crate) all: Vec<Figure>,
}

/// One thing that was measured.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) of: What,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    /// How many jobs were in the way, where that is what changes.
    pub(crate) others: Option<u64>,
    pub(crate) ours: Vec<f64>,
    /// Empty where there is no floor.
    pub(crate) floor: Vec<f64>,
}

impl Figures {
    pub(crate) fn of(broker: &'static str) -> Self {
        Self { broker, all: Vec::new() }
    }

    /// What has this name; new if there is none yet.
    pub(crate) fn figure(&mut self, of: What, what: &str, unit: &'static str) -> &mut Figure {
        let known = self.all.iter().position(|it| it.of == of && it.what == what);
        let place = known.unwrap_or_else(|| {
            let (ours, floor) = (Vec::new(), Vec::new());
            self.all.push(Figure { of, what: what.to_owned(), unit, others: None, ours, floor });
            self.all.len() - 1
        });
        &mut self.all[place]
    }

    pub(crate) fn find(&self, what: &str) -> Option<&Figure> {
        self.all.iter().find(|figure| figure.what == what)
    }
}

impl Figure {
    /// The median of ours. There is at least one run.
    pub(crate) fn median(&self) -> f64 {
        median(&self.ours).unwrap_or(f64::NAN)
    }

    pub(crate) fn floor(&self) -> Option<f64> {
        median(&self.floor)
    }

    /// Ours by the floor, of the medians.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.floor().filter(|floor| *floor > 0.0).map(|floor| self.median() / floor)
    }

    /// The least and the greatest of ours.
    pub(crate) fn spread(&self) -> (f64, f64) {
        let start = (f64::INFINITY, f64::NEG_INFINITY);
        self.ours.iter().fold(start, |(min, max), it| (min.min(*it), max.max(*it)))
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (upper, lower) = (sorted.get(sorted.len() / 2)?, sorted.get((sorted.len() - 1) / 2)?);
    Some(f64::midpoint(*lower, *upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_of_what_was_measured() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn what_has_no_floor_has_no_ratio() {
        let mut figures = Figures::of("memory");
        let figure = figures.figure(What::Idle, "idle", "ms");
        figure.ours.extend([2.0, 4.0, 3.0]);
        assert_eq!((figure.ratio(), figure.spread()), (None, (2.0, 4.0)));
        figure.floor.push(2.0);
        assert_eq!(figure.ratio(), Some(1.5));
    }
}
