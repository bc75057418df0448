//! The two text formats that Prometheus reads: its own, 0.0.4, and OpenMetrics 1.0.
//!
//! They differ in few places: OpenMetrics names a family without the suffix of its samples
//! (`_total`, `_info`), knows units and information, and ends with a mark. Bounds of buckets are
//! written in the same way in both, so that a change of the format begins no new time series.

use std::fmt::{Display, Write as _};

use crate::sharded::{BOUNDS, Snapshot};

/// How the metrics are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
    /// The text format of OpenMetrics, version 1.0.
    OpenMetrics,
}

impl Format {
    /// Its media type, with parameters.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What the numbers of a family are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// It only grows. Samples have the suffix `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
    /// Always 1: what it says is in its labels. Samples have the suffix `_info`.
    Info,
}

/// A label's name and value.
pub(crate) type Label<'a> = (&'a str, &'a str);

/// Metrics as text.
#[derive(Debug)]
pub(crate) struct Text {
    format: Format,
    out: String,
}

impl Text {
    pub(crate) fn new(format: Format) -> Self {
        Text { format, out: String::new() }
    }

    /// Begins a family; its samples follow. `name` has no suffix; one that ends with `_seconds` or
    /// `_bytes` says its unit.
    pub(crate) fn family(&mut self, name: &'static str, help: &str, kind: Kind) -> Family<'_> {
        let suffix = match kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        let (stated, word) = match (self.format, kind) {
            (Format::OpenMetrics, Kind::Info) => ("", "info"),
            (Format::Prometheus, Kind::Info) => (suffix, "gauge"),
            (Format::OpenMetrics, Kind::Counter) => ("", "counter"),
            (Format::Prometheus, Kind::Counter) => (suffix, "counter"),
            (_, Kind::Gauge) => ("", "gauge"),
            (_, Kind::Histogram) => ("", "histogram"),
        };
        self.line(format_args!("# HELP {name}{stated} {help}"));
        self.line(format_args!("# TYPE {name}{stated} {word}"));
        let unit = ["seconds", "bytes"]
            .into_iter()
            .find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')));
        if let (Format::OpenMetrics, Some(unit)) = (self.format, unit) {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
        Family { text: self, name, suffix }
    }

    /// All of it.
    pub(crate) fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.out, "{line}");
    }

    fn labels<'a>(&mut self, labels: impl IntoIterator<Item = Label<'a>>) {
        let mut before = '{';
        for (name, value) in labels {
            self.out.push(before);
            before = ',';
            self.out.push_str(name);
            self.out.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    other => self.out.push(other),
                }
            }
            self.out.push('"');
        }
        if before == ',' {
            self.out.push('}');
        }
    }
}

/// A family whose samples are being written.
pub(crate) struct Family<'a> {
    text: &'a mut Text,
    name: &'static str,
    suffix: &'static str,
}

impl Family<'_> {
    /// A number: of a counter, a gauge or an information.
    pub(crate) fn sample(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.write(self.suffix, labels.iter().copied(), value);
    }

    /// A histogram.
    pub(crate) fn histogram(&mut self, labels: &[Label<'_>], snapshot: &Snapshot) {
        let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        let mut so_far = 0;
        for (bound, count) in bounds.zip(snapshot.buckets) {
            so_far += count;
            self.write("_bucket", labels.iter().copied().chain([("le", bound)]), so_far);
        }
        self.write("_sum", labels.iter().copied(), snapshot.sum_seconds);
        self.write("_count", labels.iter().copied(), snapshot.count);
    }

    fn write<'a>(
        &mut self,
        suffix: &str,
        labels: impl IntoIterator<Item = Label<'a>>,
        value: impl Display,
    ) {
        self.text.out.push_str(self.name);
        self.text.out.push_str(suffix);
        self.text.labels(labels);
        self.text.line(format_args!(" {value}"));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(format: Format, expect: Expect) {
        let mut text = Text::new(format);
        let mut calls = text.family("calls", "Calls", Kind::Counter);
        calls.sample(&[("who", "a\\b\"c\nd"), ("how", "é")], 7_u64);
        text.family("used_bytes", "Bytes used", Kind::Gauge).sample(&[], u64::MAX);
        text.family("cpu_seconds", "Time", Kind::Counter).sample(&[], 0.000_08);
        text.family("build", "Version", Kind::Info).sample(&[("version", "1.2")], 1_u64);
        text.family("seconds", "No unit", Kind::Gauge);
        expect.assert_eq(&text.end());
    }

    #[test]
    fn prometheus_names_families_as_their_samples() {
        check(
            Format::Prometheus,
            expect![[r##"
                # HELP calls_total Calls
                # TYPE calls_total counter
                calls_total{who="a\\b\"c\nd",how="é"} 7
                # HELP used_bytes Bytes used
                # TYPE used_bytes gauge
                used_bytes 18446744073709551615
                # HELP cpu_seconds_total Time
                # TYPE cpu_seconds_total counter
                cpu_seconds_total 0.00008
                # HELP build_info Version
                # TYPE build_info gauge
                build_info{version="1.2"} 1
                # HELP seconds No unit
                # TYPE seconds gauge
            "##]],
        );
    }

    #[test]
    fn open_metrics_names_them_without_suffix_and_has_units_and_an_end() {
        check(
            Format::OpenMetrics,
            expect![[r##"
                # HELP calls Calls
                # TYPE calls counter
                calls_total{who="a\\b\"c\nd",how="é"} 7
                # HELP used_bytes Bytes used
                # TYPE used_bytes gauge
                # UNIT used_bytes bytes
                used_bytes 18446744073709551615
                # HELP cpu_seconds Time
                # TYPE cpu_seconds counter
                # UNIT cpu_seconds seconds
                cpu_seconds_total 0.00008
                # HELP build Version
                # TYPE build info
                build_info{version="1.2"} 1
                # HELP seconds No unit
                # TYPE seconds gauge
                # EOF
            "##]],
        );
    }

    #[test]
    fn buckets_of_histograms_are_cumulative() {
        let histogram = crate::Histogram::default();
        for ms in [1, 2, 400_000] {
            histogram.record(std::time::Duration::from_millis(ms));
        }
        let mut text = Text::new(Format::Prometheus);
        text.family("took_seconds", "Time", Kind::Histogram)
            .histogram(&[("who", "a")], &histogram.snapshot());
        let text = text.end();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), BOUNDS.len() + 3);
        for line in [
            r#"took_seconds_bucket{who="a",le="0.0005"} 0"#,
            r#"took_seconds_bucket{who="a",le="0.001"} 1"#,
            r#"took_seconds_bucket{who="a",le="0.0025"} 2"#,
            r#"took_seconds_bucket{who="a",le="300.0"} 2"#,
            r#"took_seconds_bucket{who="a",le="+Inf"} 3"#,
            r#"took_seconds_sum{who="a"} 400.003"#,
            r#"took_seconds_count{who="a"} 3"#,
        ] {
            assert!(lines.contains(&line), "{line} is not in\n{text}");
        }
    }
}
