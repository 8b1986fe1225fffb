//! Charts of what was measured, as SVG on a white ground: the same figures give the same bytes.

use std::path::Path;

use anyhow::Context;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::figures::{Figure, Figures};
use crate::measure::{AT_ONCE, BULK, FINISHED, ONE_WORKER, TO_RESULT, TO_START, WAITING};
use crate::table::{grouped, number};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws what there are figures for into a folder.
pub(crate) fn draw(folder: &Path, measured: &[Figures]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    ratios(&folder.join("ratio.svg"), measured).context("cannot draw ratios")?;
    latencies(&folder.join("latency.svg"), measured).context("cannot draw latencies")?;
    growth(&folder.join("growth.svg"), measured).context("cannot draw growth")
}

const BLUE: RGBColor = RGBColor(31, 99, 178);
const ORANGE: RGBColor = RGBColor(217, 119, 6);
const GREEN: RGBColor = RGBColor(47, 133, 90);
const GREY: RGBColor = RGBColor(150, 150, 150);
const RED: RGBColor = RGBColor(190, 50, 60);
const VIOLET: RGBColor = RGBColor(128, 90, 180);

/// A bar for each of these in each group.
struct Bars<'a> {
    title: &'a str,
    /// Each with its colour.
    legend: &'a [(&'a str, RGBColor)],
    groups: Vec<Group>,
}

/// A broker, and its bars in the order of the legend.
struct Group {
    name: &'static str,
    heights: Vec<Option<f64>>,
}

fn ratios(path: &Path, measured: &[Figures]) -> anyhow::Result<()> {
    let ratio = |figure: Option<&Figure>| figure.and_then(Figure::ratio);
    let groups = measured.iter().map(|figures| {
        let bulk = figures.all.iter().find(|it| it.what.starts_with(BULK));
        let heights = [figures.find(ONE_WORKER), figures.find(AT_ONCE), bulk].map(ratio).to_vec();
        Group { name: figures.broker, heights }
    });
    let bars = Bars {
        title: "Jobs per second, as a ratio to the raw driver (1 is as fast)",
        legend: &[(ONE_WORKER, BLUE), (AT_ONCE, ORANGE), ("enqueue, bulk", GREEN)],
        groups: drawn(groups),
    };
    if bars.groups.is_empty() {
        return Ok(());
    }
    let highest = bars.highest().max(1.0);
    with(path, 900, 420, |area| bars.draw(area, 0.0..highest * 1.15, 0.0, Some(1.0)))
}

fn latencies(path: &Path, measured: &[Figures]) -> anyhow::Result<()> {
    let groups = measured.iter().map(|figures| {
        let start = figures.find(&format!("{TO_START}p50"));
        let result = figures.find(&format!("{TO_RESULT}p50")).map(Figure::median);
        let heights = vec![start.and_then(Figure::floor), start.map(Figure::median), result];
        Group { name: figures.broker, heights }
    });
    let bars = Bars {
        title: "Latency of an idle system, p50, ms (logarithmic)",
        legend: &[
            ("raw driver: commit, wake-up, claim", GREY),
            ("`.delay()` to handler started", BLUE),
            ("`.delay()` to result at the caller", ORANGE),
        ],
        groups: drawn(groups),
    };
    if bars.groups.is_empty() {
        return Ok(());
    }
    let highest = bars.highest().max(1.0);
    let range = (LEAST_MS..highest * 3.0).log_scale();
    with(path, 900, 420, |area| bars.draw(area, range, LEAST_MS, None))
}

/// Where a logarithmic axis begins.
const LEAST_MS: f64 = 0.01;

/// Those that have a bar.
fn drawn(groups: impl Iterator<Item = Group>) -> Vec<Group> {
    groups.filter(|group| group.heights.iter().any(Option::is_some)).collect()
}

impl Bars<'_> {
    fn highest(&self) -> f64 {
        let heights = self.groups.iter().flat_map(|group| &group.heights);
        heights.flatten().copied().fold(0.0, f64::max)
    }

    /// From `base` on, with a line across where it is asked for.
    fn draw<Y>(&self, area: &Area<'_>, range: Y, base: f64, line: Option<f64>) -> anyhow::Result<()>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64> + Ranged<ValueType = f64>,
    {
        let count = self.groups.len() as f64;
        let (head, body) = area.split_vertically(HEAD);
        heading(&head, self.title, self.legend)?;
        let mut chart = ChartBuilder::on(&body)
            .margin(12)
            .x_label_area_size(32)
            .y_label_area_size(56)
            .build_cartesian_2d(-0.5..(count - 0.5).max(0.5), range)?;
        let name = |place: &f64| {
            let is_centre = place.fract().abs() < 1e-6 && *place >= 0.0;
            let group = is_centre.then(|| self.groups.get(place.round() as usize)).flatten();
            group.map(|group| group.name.to_owned()).unwrap_or_default()
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .max_light_lines(0)
            .x_labels(self.groups.len() * 2 + 1)
            .x_label_formatter(&name)
            .y_label_formatter(&|height| number(*height))
            .label_style((FONT, 14))
            .draw()?;
        let above = TextStyle::from((FONT, 12)).pos(Pos::new(HPos::Left, VPos::Bottom));
        let width = 0.8 / self.legend.len() as f64;
        for (place, (_, color)) in self.legend.iter().enumerate() {
            let bars = self.groups.iter().enumerate().filter_map(|(group, bars)| {
                let left = group as f64 - 0.4 + place as f64 * width;
                let height = bars.heights.get(place).copied().flatten()?;
                Some((left, left + width * 0.92, height))
            });
            let bars: Vec<_> = bars.collect();
            chart.draw_series(bars.iter().map(|(left, right, height)| {
                Rectangle::new([(*left, base), (*right, *height)], color.filled())
            }))?;
            chart.draw_series(bars.iter().map(|(left, _, height)| {
                Text::new(number(*height), (*left, *height), above.clone())
            }))?;
        }
        if let Some(line) = line {
            let ends = [(-0.5, line), (count - 0.5, line)];
            chart.draw_series([PathElement::new(ends, BLACK.mix(0.6))])?;
        }
        Ok(())
    }
}

/// The title, and under it what the colours mean.
fn heading(area: &Area<'_>, title: &str, legend: &[(&str, RGBColor)]) -> anyhow::Result<()> {
    area.draw(&Text::new(title, (16, 10), (FONT, 18)))?;
    let style = TextStyle::from((FONT, 14));
    let mut left = 16;
    for (label, color) in legend {
        area.draw(&Rectangle::new([(left, 40), (left + 12, 52)], color.filled()))?;
        area.draw(&Text::new(*label, (left + 18, 39), style.clone()))?;
        // What is wider here than the estimate has room in the gap.
        left += 18 + i32::try_from(area.estimate_text_size(label, &style)?.0)? + 32;
    }
    Ok(())
}

/// The height of a heading.
const HEAD: u32 = 60;

fn growth(path: &Path, measured: &[Figures]) -> anyhow::Result<()> {
    if !measured.iter().any(|it| it.all.iter().any(|figure| figure.others.is_some())) {
        return Ok(());
    }
    let colors = [BLUE, ORANGE, GREEN, RED, VIOLET, GREY];
    let legend: Vec<_> = measured.iter().map(|it| it.broker).zip(colors).collect();
    let title = "Jobs per second with other jobs in the store, as a ratio to the fewest of them";
    with(path, 900, 420, |area| {
        let (head, body) = area.split_vertically(HEAD);
        heading(&head, title, &legend)?;
        for (panel, kind) in body.split_evenly((1, 2)).iter().zip([WAITING, FINISHED]) {
            let lines = measured.iter().zip(&legend);
            let lines = lines.map(|(figures, (_, color))| (points(figures, kind), *color));
            panel_of(panel, kind, &lines.collect::<Vec<_>>())?;
        }
        Ok(())
    })
}

/// How many others, and the ratio to the fewest.
type Points = Vec<(f64, f64)>;

fn points(figures: &Figures, kind: &str) -> Points {
    let figures = figures.all.iter().filter(|figure| figure.what.contains(kind));
    // The fewest are divided by nothing.
    let point = |it: &Figure| Some((it.others? as f64, it.ratio().unwrap_or(1.0)));
    figures.filter_map(point).collect()
}

fn panel_of(area: &Area<'_>, kind: &str, lines: &[(Points, RGBColor)]) -> anyhow::Result<()> {
    let all = || lines.iter().flat_map(|(points, _)| points);
    let Some(first) = all().map(|point| point.0).reduce(f64::min) else { return Ok(()) };
    let last = all().map(|point| point.0).fold(first * 10.0, f64::max);
    let highest = all().map(|point| point.1).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(48)
        .build_cartesian_2d((first..last * 1.05).log_scale(), 0.0..highest * 1.15)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_labels(4)
        .x_desc(kind)
        .x_label_formatter(&|others| grouped(others.round() as u64))
        .y_label_formatter(&|ratio| number(*ratio))
        .label_style((FONT, 13))
        .draw()?;
    for (points, color) in lines {
        let line = LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3);
        chart.draw_series(line)?;
    }
    Ok(())
}

/// Draws on a white picture of so many pixels.
fn with(
    path: &Path,
    width: u32,
    height: u32,
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let area = SVGBackend::new(path, (width, height)).into_drawing_area();
    area.fill(&WHITE)?;
    draw(&area)?;
    Ok(area.present()?)
}

/// Whatever the reader's system has.
const FONT: &str = "sans-serif";

#[cfg(test)]
mod tests {
    use std::fs::read_to_string;

    use super::*;
    use crate::measure::What;

    fn figures() -> Figures {
        let mut figures = Figures::of("sqlite");
        let mut add = |what: &str, others, ours, floor| {
            let figure = figures.figure(What::Drain, what, "jobs/s");
            figure.others = others;
            figure.ours.push(ours);
            figure.floor.push(floor);
        };
        add(ONE_WORKER, None, 8.0, 10.0);
        add(&format!("{TO_START}p50"), None, 2.0, 0.5);
        add(&format!("drain, 100 {WAITING}"), Some(100), 10.0, 10.0);
        add(&format!("drain, 1,000 {WAITING}"), Some(1_000), 9.0, 10.0);
        figures
    }

    #[test]
    fn the_same_figures_give_the_same_charts_with_their_text() {
        let folder = tempfile::tempdir().unwrap();
        let read = || {
            draw(folder.path(), &[figures()]).unwrap();
            ["ratio.svg", "latency.svg", "growth.svg"]
                .map(|name| read_to_string(folder.path().join(name)).unwrap())
        };
        let charts = read();
        assert_eq!(charts, read());
        for (chart, text) in charts.iter().zip(["0.80", "2.00", "1,000"]) {
            assert!(chart.contains("<text"), "a text is no picture");
            assert!(chart.contains(text), "{text} is missing in {chart}");
        }
    }

    #[test]
    fn what_was_not_measured_has_no_chart() {
        let folder = tempfile::tempdir().unwrap();
        draw(folder.path(), &[Figures::of("memory")]).unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
