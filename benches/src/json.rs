//! Figures for programs: an object on each line.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::figures::{Figure, Figures};

/// A file of such lines.
#[derive(Debug)]
pub(crate) struct Lines(File);

impl Lines {
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path);
        Ok(Self(file.with_context(|| format!("cannot write to {}", path.display()))?))
    }

    pub(crate) fn write(&mut self, figures: &Figures) -> anyhow::Result<()> {
        for figure in &figures.all {
            let line = serde_json::to_string(&Line::of(figures.broker, figure))?;
            writeln!(self.0, "{line}")?;
        }
        Ok(())
    }
}

/// Medians, and the least and the greatest of ours. What has no floor has no ratio.
#[derive(Debug, Serialize)]
struct Line<'a> {
    broker: &'a str,
    what: &'a str,
    ours: f64,
    floor: Option<f64>,
    ratio: Option<f64>,
    unit: &'a str,
    spread: (f64, f64),
}

impl<'a> Line<'a> {
    fn of(broker: &'a str, figure: &'a Figure) -> Self {
        Self {
            broker,
            what: &figure.what,
            ours: figure.median(),
            floor: figure.floor(),
            ratio: figure.ratio(),
            unit: figure.unit,
            spread: figure.spread(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::What;

    #[test]
    fn a_line_has_the_keys_that_programs_look_for() {
        let mut figures = Figures::of("sqlite");
        let figure = figures.figure(What::Drain, "drain, one worker", "jobs/s");
        figure.ours.push(2.0);
        figure.floor.push(4.0);
        let line = serde_json::to_string(&Line::of("sqlite", &figures.all[0])).unwrap();
        assert_eq!(
            line,
            r#"{"broker":"sqlite","what":"drain, one worker","ours":2.0,"floor":4.0,"ratio":0.5,"unit":"jobs/s","spread":[2.0,2.0]}"#
        );
    }
}
