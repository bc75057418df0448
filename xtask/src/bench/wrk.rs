//! Load: `wrk` with one thread, so that the server keeps the other processor.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;

use super::Bench;
use super::server::{self, Server};
use crate::shell;

/// What to send.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) headers: Vec<String>,
    pub(crate) connections: u32,
    /// A script for `wrk` that makes the requests.
    pub(crate) script: Option<PathBuf>,
    /// The server's process.
    pub(crate) process: u32,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Processor time of the server per request; neighbours hardly change it.
    pub(crate) cpu_us: f64,
    /// Answers with a status of 400 and above, and connections that broke.
    pub(crate) errors: u64,
}

impl Load {
    /// `GET` of a path.
    pub(crate) fn get(server: &Server, path: &str, connections: u32) -> Self {
        Load {
            address: server.address,
            path: path.to_owned(),
            headers: Vec::new(),
            connections,
            script: None,
            process: server.process(),
        }
    }

    /// Runs it for as long as the options say.
    pub(crate) fn run(&self, bench: &Bench<'_>) -> anyhow::Result<Measured> {
        let mut command = bench.workspace.command("wrk");
        let seconds = format!("-d{}s", bench.options.seconds);
        let connections = format!("-c{}", self.connections);
        command.args(["-t1", &connections, &seconds, "--latency"]);
        for header in &self.headers {
            command.args(["-H", header]);
        }
        if let Some(script) = &self.script {
            command.arg("-s").arg(script);
        }
        command.arg(format!("http://{}{}", self.address, self.path));
        let before = server::processor_time_us(self.process)?;
        let text = shell::output(&mut command)?;
        let used = server::processor_time_us(self.process)? - before;
        let (measured, requests) = parse(&text).with_context(|| format!("wrk said:\n{text}"))?;
        Ok(Measured { cpu_us: used / requests.max(1.0), ..measured })
    }
}

/// The figures, and the number of requests.
fn parse(text: &str) -> Option<(Measured, f64)> {
    let after = |prefix: &str| {
        text.lines().find_map(|line| line.trim().strip_prefix(prefix)).map(str::trim)
    };
    let refused = after("Non-2xx or 3xx responses:").and_then(|count| count.parse().ok());
    let broken = after("Socket errors:").map_or(0, |line| {
        let numbers = line.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok());
        numbers.sum()
    });
    let count = text.lines().find_map(|line| line.trim().split_once(" requests in "));
    let measured = Measured {
        per_second: after("Requests/sec:")?.parse().ok()?,
        p50_us: microseconds(after("50%")?)?,
        p99_us: microseconds(after("99%")?)?,
        cpu_us: 0.0,
        errors: refused.unwrap_or(0) + broken,
    };
    Some((measured, count?.0.parse().ok()?))
}

fn microseconds(text: &str) -> Option<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 6e7)];
    units.into_iter().find_map(|(unit, scale)| {
        text.strip_suffix(unit)?.parse::<f64>().ok().map(|value| value * scale)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_understood() {
        let text = "Running 3s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  \
                    Latency Distribution\n     50%  532.00us\n     75%    1.00ms\n     99%    \
                    1.30ms\n  10 requests in 3.00s\n  Socket errors: connect 0, read 1, write 0, \
                    timeout 2\n  Non-2xx or 3xx responses: 4\nRequests/sec: 108000.12\n";
        let expected = Measured {
            per_second: 108_000.12,
            p50_us: 532.0,
            p99_us: 1300.0,
            cpu_us: 0.0,
            errors: 7,
        };
        assert_eq!(parse(text), Some((expected, 10.0)));
        assert_eq!(parse("wrk: command not found"), None);
    }
}
