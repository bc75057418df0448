//! Which format of the metrics a client wants.

use http::HeaderMap;
use http::header::ACCEPT;
use nexus_observe::Format;

/// Media type and version of each.
const PROMETHEUS: [&str; 3] = ["text", "plain", "0.0.4"];
const OPEN_METRICS: [&str; 3] = ["application", "openmetrics-text", "1.0.0"];

/// The format that the client likes better; where it likes both alike, OpenMetrics if it names that,
/// else Prometheus' own. A client that takes neither gets the latter: it is made for people, too.
pub(super) fn wanted(headers: &HeaderMap) -> Format {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<Range<'_>> =
        lines.flat_map(|line| line.split(',')).filter_map(Range::read).collect();
    let open = Liking::of(&ranges, OPEN_METRICS);
    let plain = Liking::of(&ranges, PROMETHEUS);
    let as_well = open.weight == plain.weight && open.weight > 0.0 && open.precision >= NAMED;
    match open.weight > plain.weight || as_well {
        true => Format::OpenMetrics,
        false => Format::Prometheus,
    }
}

/// A part of an `Accept` header, such as `text/plain;version=0.0.4;q=0.5`.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    version: Option<&'a str>,
    /// From 0, not at all, to 1.
    weight: f32,
}

impl<'a> Range<'a> {
    /// `None` for what is none.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut range = Range { kind, subtype, version: None, weight: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            if name.eq_ignore_ascii_case("q") {
                range.weight = value.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?;
            } else if name.eq_ignore_ascii_case("version") {
                range.version = Some(value);
            }
        }
        Some(range)
    }

    /// How precisely it names a format; `None` when it means others.
    fn precision(&self, [kind, subtype, version]: [&str; 3]) -> Option<u8> {
        let is = |stated: &str, own: &str| stated.eq_ignore_ascii_case(own);
        match self.version {
            _ if self.kind == "*" && self.subtype == "*" => Some(ANYTHING),
            _ if !is(self.kind, kind) => None,
            _ if self.subtype == "*" => Some(KIND),
            _ if !is(self.subtype, subtype) => None,
            None => Some(NAMED),
            Some(stated) => (stated == version).then_some(VERSION),
        }
    }
}

const ANYTHING: u8 = 0;
const KIND: u8 = 1;
const NAMED: u8 = 2;
const VERSION: u8 = 3;

/// How much a client likes a format: what names it most precisely says so.
#[derive(Default)]
struct Liking {
    precision: u8,
    weight: f32,
}

impl Liking {
    fn of(ranges: &[Range<'_>], format: [&str; 3]) -> Self {
        let mut liking = Liking::default();
        for range in ranges {
            let Some(precision) = range.precision(format) else { continue };
            let better = precision == liking.precision && range.weight > liking.weight;
            if precision > liking.precision || better {
                liking = Liking { precision, weight: range.weight };
            }
        }
        liking
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(accept: &[&str], expected: Format) {
        let lines = accept.iter().map(|line| (ACCEPT, HeaderValue::from_str(line).unwrap()));
        assert_eq!(wanted(&lines.collect()), expected, "{accept:?}");
    }

    #[test]
    fn clients_get_what_they_like_better() {
        use Format::{OpenMetrics, Prometheus};
        for (accept, expected) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Prometheus),
            ("application/json", Prometheus),
            ("text/*", Prometheus),
            ("application/*", OpenMetrics),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8", OpenMetrics),
            ("text/plain, application/openmetrics-text", OpenMetrics),
            ("text/plain;version=0.0.4, application/openmetrics-text;q=0.9", Prometheus),
            ("*/*, application/openmetrics-text;q=0.5", Prometheus),
            ("*/*;q=0.5, application/openmetrics-text;q=0.5", OpenMetrics),
            ("application/openmetrics-text;q=0", Prometheus),
            ("application/openmetrics-text;q=0, application/*", Prometheus),
            ("application/openmetrics-text;q=much", Prometheus),
            ("application/openmetrics-text;q=7", Prometheus),
            ("application/openmetrics-text;version=0.0.1", Prometheus),
            ("application/openmetrics-text;version=2.0.0, */*;q=0.1", Prometheus),
            ("openmetrics-text, ;;, /, =", Prometheus),
        ] {
            check(&[accept], expected);
        }
        check(&[], Prometheus);
        check(&["text/plain;q=0.5", "application/openmetrics-text;q=0.6"], OpenMetrics);
    }

    #[test]
    fn prometheus_gets_what_it_is_set_up_for() {
        for (accept, expected) in [
            // 2.42.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                 version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            // 3, as it comes.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            // `scrape_protocols: [PrometheusText0.0.4, OpenMetricsText1.0.0]`.
            (
                "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;\
                 escaping=underscores;q=0.5,*/*;q=0.4",
                Format::Prometheus,
            ),
            // With protocol buffers before everything else.
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
        ] {
            check(&[accept], expected);
        }
    }
}
