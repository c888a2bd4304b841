//! The table: medians, ratios, aims, as text or as Markdown.

use crate::figures::{median, number};
use crate::rows::{Aim, Row};
use crate::run::Run;

const TITLES: [&str; 10] = [
    "load", "cost", "", "", "ratio", "aim", "", "", "ratio", "aim",
];

/// One cost of a row with its figures, as it is printed.
pub struct Line([String; 10]);

impl Line {
    /// A line for each cost of a row. The runs are the first subject's and the
    /// second's, which may be none.
    pub fn all(row: &Row, runs: &[Vec<Run>; 2]) -> Vec<Line> {
        let costs = 0..row.costs.len();
        costs.map(|at| Line::new(row, at, runs)).collect()
    }

    fn new(row: &Row, at: usize, runs: &[Vec<Run>; 2]) -> Line {
        let unit = row.load.units()[at];
        // µs alone, of "p50 µs".
        let bare = unit.rsplit(' ').next().unwrap_or(unit);
        let cost = Figure::new(runs, |run| Some(run.costs[at]));
        let rate = Figure::new(runs, |run| run.per_second);
        let (cost_aim, kept) = match row.costs[at] {
            Aim::Ratio(aim) => (format!("≤ {aim:.2}"), cost.ratio.is_some_and(|x| x <= aim)),
            Aim::Value(aim) => (
                format!("≤ {} {bare}", number(aim)),
                cost.medians[0].is_some_and(|x| x <= aim),
            ),
            Aim::Open => (String::new(), true),
        };
        let (rate_aim, reached) = match row.rate {
            Some(aim) => (format!("≥ {aim:.2}"), rate.ratio.is_some_and(|x| x >= aim)),
            None => (String::new(), true),
        };
        let marked = |aim: String, met: bool| if met { aim } else { format!("{aim} ✗") };
        let [our_cost, their_cost, cost_ratio] = cost.cells();
        let [our_rate, their_rate, rate_ratio] = rate.cells();
        Line([
            row.name.clone(),
            unit.to_owned(),
            our_cost,
            their_cost,
            cost_ratio,
            marked(cost_aim, kept),
            our_rate,
            their_rate,
            rate_ratio,
            marked(rate_aim, reached),
        ])
    }
}

/// One figure of both subjects.
struct Figure {
    medians: [Option<f64>; 2],
    ratio: Option<f64>,
}

impl Figure {
    fn new(runs: &[Vec<Run>; 2], shown: impl Fn(&Run) -> Option<f64>) -> Figure {
        let [ours, theirs] = runs
            .each_ref()
            .map(|runs| runs.iter().filter_map(&shown).collect::<Vec<f64>>());
        let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
        let some = |values: Vec<f64>| (!values.is_empty()).then(|| median(values));
        Figure {
            medians: [some(ours), some(theirs)],
            // As it is printed, lest a row seem to miss what it shows.
            ratio: some(ratios).map(|ratio| (ratio * 100.0).round() / 100.0),
        }
    }

    fn cells(&self) -> [String; 3] {
        let ratio = self.ratio.map(|ratio| format!("{ratio:.2}"));
        let [ours, theirs] = self
            .medians
            .map(|value| value.map(number).unwrap_or_default());
        [ours, theirs, ratio.unwrap_or_default()]
    }
}

/// The table of these lines, with the subjects' names over their figures.
pub fn render(subjects: [&str; 2], lines: &[Line], markdown: bool) -> String {
    let mut titles = TITLES.map(str::to_owned);
    for (at, subject) in [(2, 0), (3, 1), (6, 0), (7, 1)] {
        let what = if at < 4 { "" } else { " per second" };
        titles[at] = format!("{}{what}", subjects[subject]);
    }
    let all = || std::iter::once(&titles).chain(lines.iter().map(|line| &line.0));
    let width = |column: usize| all().map(|cells| cells[column].chars().count()).max();
    let widths: [usize; 10] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut out = String::new();
    for (at, cells) in all().enumerate() {
        let padded = cells
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                // Words to the left, numbers to the right.
                match column {
                    0 | 1 => format!("{cell:width$}"),
                    _ => format!("{cell:>width$}"),
                }
            });
        let padded: Vec<String> = padded.collect();
        match markdown {
            true => out.push_str(&format!("| {} |\n", padded.join(" | "))),
            false => out.push_str(&format!("{}\n", padded.join("  ").trim_end())),
        }
        if markdown && at == 0 {
            let sides = "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
            out.push_str(sides);
        }
    }
    out
}
