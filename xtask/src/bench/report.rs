//! Results: a table for people, JSON for machines.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::shell::{self, Workspace};

/// One quantity of one candidate.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: String,
    /// One per round.
    pub(crate) values: Vec<f64>,
    /// The candidate that it is divided by, in the same unit.
    pub(crate) baseline: Option<String>,
}

/// Everything that was measured in one run.
pub(crate) struct Report {
    about: Value,
    rows: Vec<Row>,
    ratios: Vec<(String, f64)>,
    failures: Vec<(String, String)>,
}

impl Row {
    fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            length if length % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }
}

impl Report {
    /// An empty report about this machine and this commit.
    pub(crate) fn new(workspace: &Workspace) -> anyhow::Result<Self> {
        let ask = |program: &str, arguments: &[&str]| {
            shell::output(workspace.command(program).args(arguments))
                .map(|text| text.trim().to_owned())
        };
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let about = json!({
            "date": ask("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])?,
            "commit": ask("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_default(),
            "processors": std::thread::available_parallelism().map_or(0, usize::from),
            "processor": cpu.trim_start_matches([' ', '\t', ':']),
            "kernel": ask("uname", &["-r"])?,
        });
        Ok(Report { about, rows: Vec::new(), ratios: Vec::new(), failures: Vec::new() })
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The quotient of two rows, each given by name and unit.
    pub(crate) fn ratio(&mut self, name: &str, over: (&str, &str), under: (&str, &str)) {
        if let (Some(over), Some(under)) = (self.find(over), self.find(under)) {
            let ratio = over.median() / under.median();
            self.ratios.push((name.to_owned(), ratio));
        }
    }

    /// A part that could not be measured.
    pub(crate) fn failed(&mut self, part: &str, why: &str) {
        self.failures.push((part.to_owned(), why.to_owned()));
    }

    fn find(&self, (name, unit): (&str, &str)) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name && row.unit == unit)
    }

    fn ratio_of(&self, row: &Row) -> Option<f64> {
        let baseline = self.find((row.baseline.as_deref()?, &row.unit))?;
        Some(row.median() / baseline.median())
    }

    pub(crate) fn print(&self) {
        println!("\n{:<58} {:>12} {:>8}  unit", "what", "median", "ratio");
        for row in &self.rows {
            let ratio = self.ratio_of(row).map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            println!("{:<58} {:>12} {ratio:>8}  {}", row.name, short(row.median()), row.unit);
        }
        for (name, ratio) in &self.ratios {
            println!("{name:<58} {:>12} {ratio:>8.2}  ratio", "");
        }
        for (part, why) in &self.failures {
            println!("{part}: not measured: {why}");
        }
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name,
                    "unit": row.unit,
                    "median": row.median(),
                    "values": row.values,
                    "baseline": row.baseline,
                    "ratio": self.ratio_of(row),
                })
            })
            .collect();
        let pairs = |pairs: &[(String, f64)]| -> Vec<Value> {
            pairs.iter().map(|(name, ratio)| json!({ "name": name, "ratio": ratio })).collect()
        };
        let failures: Vec<Value> =
            self.failures.iter().map(|(part, why)| json!({ "part": part, "why": why })).collect();
        let report = json!({
            "about": self.about, "rows": rows, "ratios": pairs(&self.ratios), "failures": failures,
        });
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("failed to create {}", folder.display()))?;
        }
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("failed to write {}", path.display()))?;
        println!("\nwritten to {}", path.display());
        Ok(())
    }
}

/// Three digits are enough; large numbers without fraction.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let row = |values: &[f64]| Row {
            name: String::new(),
            unit: String::new(),
            values: values.to_vec(),
            baseline: None,
        };
        assert_eq!(row(&[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(row(&[4.0, 1.0]).median(), 2.5);
        assert!(row(&[]).median().is_nan());
    }
}
