//! How many events per second are matched with 10 to 100,000 subscriptions; prints JSON.
//!
//! `cargo run --release -p nexus-content --example match_rates -- [seconds] [largest]`
//!
//! - `seconds` per measurement (default 1).
//! - `largest`: skips sizes above it (default 100000).
//!
//! Each kind of subscription is measured alone: all of one size differ in what the kind looks at, so
//! that each event meets one (of the prefixes a few). The last kind has nothing to look up and shows what the index
//! saves.

use std::time::{Duration, Instant};

use nexus_content::{Content, Filter, Index, Selector};
use nexus_model::{AttributeValue, Event};

type Failure = Box<dyn std::error::Error>;

const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];
/// Sizes above it are not measured for the kind that is linear by its nature.
const LINEAR_SIZE_MAX: usize = 10_000;

/// A name and what the subscription with a number selects.
type Kind = (&'static str, fn(usize) -> Selector);

const KINDS: [Kind; 6] = [
    ("type exact", |n| Selector { ty: Some(format!("com.shop.{n}")), ..Selector::default() }),
    ("type prefix", |n| Selector { ty: Some(format!("com.shop.{n}*")), ..Selector::default() }),
    ("sql equality", |n| filter(Filter::Sql(format!("tenant = 't{n}' AND EXISTS subject")))),
    ("shared type, subject", |n| Selector {
        ty: Some("com.shop.*".into()),
        subject: Some(format!("order/{n}")),
        ..Selector::default()
    }),
    ("data equality", |n| filter(data(n))),
    ("sql without equality", |n| filter(Filter::Sql(format!("subject LIKE '%/{n}'")))),
];

fn filter(filter: Filter) -> Selector {
    Selector { filters: vec![filter], ..Selector::default() }
}

fn data(number: usize) -> Filter {
    let mut pattern = serde_json::Map::new();
    pattern.insert("customer".into(), serde_json::json!({ "id": [number] }));
    Filter::Data(nexus_content::DataPattern(pattern))
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let seconds: f64 = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let largest: usize = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let time = Duration::from_secs_f64(seconds);
    let mut rows = Vec::new();
    for (name, make) in KINDS {
        for size in SIZES.into_iter().filter(|size| *size <= largest) {
            if name != "sql without equality" || size <= LINEAR_SIZE_MAX {
                rows.push(measure(name, make, size, time)?);
            }
        }
    }
    #[expect(clippy::print_stdout, reason = "the output is the purpose")]
    {
        println!("{:#}", serde_json::json!({ "matching": rows }));
    }
    Ok(())
}

fn measure(
    name: &str,
    make: fn(usize) -> Selector,
    size: usize,
    time: Duration,
) -> Result<serde_json::Value, Failure> {
    let begin = Instant::now();
    let mut index = Index::new();
    for number in 0..size {
        index.insert(number, make(number).compile()?);
    }
    let built = begin.elapsed();
    let events: Vec<Event> = (0..64).map(|at| event(at * 7_919 % size)).collect();
    let evaluations: usize =
        events.iter().map(|event| index.evaluations(&Content::from(event))).sum();
    let (mut matched, mut found) = (0_u64, 0);
    let begin = Instant::now();
    while begin.elapsed() < time {
        for event in &events {
            // A new view for each event: the data is parsed again where it is looked at.
            found += index.matching(&Content::from(event)).len();
            matched += 1;
        }
    }
    let rate = matched as f64 / begin.elapsed().as_secs_f64();
    Ok(serde_json::json!({
        "kind": name,
        "subscriptions": size,
        "events_per_s": rate.round(),
        "us_per_event": (1e8 / rate).round() / 100.0,
        "evaluations_per_event": evaluations as f64 / events.len() as f64,
        "matches_per_event": found as f64 / matched as f64,
        "build_us_per_subscription": (built.as_secs_f64() * 1e8 / size as f64).round() / 100.0,
    }))
}

fn event(number: usize) -> Event {
    let mut event = Event::new("1", "/shop", format!("com.shop.{number}"));
    event.subject = Some(format!("order/{number}"));
    event.extensions = vec![("tenant".into(), AttributeValue::String(format!("t{number}")))];
    let note = "x".repeat(700);
    let data = format!(
        r#"{{"customer":{{"id":{number},"country":"FR"}},"items":[{{"sku":"a","price":5}}],"note":"{note}"}}"#
    );
    event.data = Some(data.into_bytes().into());
    event
}
