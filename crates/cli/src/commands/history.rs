//! What lists of history share: time filters, limits, and following.

use std::collections::HashSet;
use std::time::Duration;

use clap::Args;
use nexus_model::view::{CountView, SearchPage};
use nexus_model::{Code, Timestamp, limits};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::away::Away;
use crate::client::Place;
use crate::{Error, Paint, Session, Terminal, Tone, units};

/// How long before a stream that ended is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Flags of every list of history.
#[derive(Args, Clone, Debug)]
pub struct RangeArgs {
    /// From here on: 1h, 30m, a date or a time
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Up to here: 1h, 30m, a date or a time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// At most this many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = limits::PAGE_ITEMS_DEFAULT)]
    pub limit: usize,
    /// Go on with what happens from now on
    #[arg(short, long, conflicts_with = "until")]
    pub follow: bool,
    /// In all projects
    #[arg(short = 'A', long)]
    pub all_projects: bool,
}

impl RangeArgs {
    /// Adds the time filters to a place.
    pub(crate) fn filter(&self, place: Place, terminal: &Terminal) -> Result<Place, Error> {
        // Following may begin with nothing of what was before.
        if self.limit == 0 && !self.follow {
            return Err(Error::usage("--limit 0 lists nothing"));
        }
        let since = moment(self.since.as_deref(), terminal)?;
        let until = moment(self.until.as_deref(), terminal)?;
        Ok(place.maybe("since", since).maybe("until", until))
    }

    /// How many past items a command that follows shows first.
    pub(crate) fn past(&self) -> usize {
        match (self.follow, &self.since) {
            // Following alone means: from now on, with a little of what was before.
            (true, None) => self.limit.min(10),
            _ => self.limit,
        }
    }
}

/// Flags of lists of history that count, or look into payloads.
#[derive(Args, Clone, Debug, Default)]
pub struct SearchArgs {
    /// With this text somewhere in what was recorded, in any case of letters
    #[arg(long, value_name = "TEXT", conflicts_with = "follow")]
    pub text: Option<String>,
    /// For which this jq expression holds: '.data.total > 100', '.output.status == 404'
    #[arg(long = "where", value_name = "JQ", conflicts_with = "follow")]
    pub expression: Option<String>,
    /// Print only how many there are
    #[arg(long, conflicts_with_all = ["follow", "text", "expression"])]
    pub count: bool,
}

impl SearchArgs {
    /// Whether payloads have to be looked into.
    pub(crate) fn is_search(&self) -> bool {
        self.text.is_some() || self.expression.is_some()
    }

    /// Adds what is searched for to a place.
    pub(crate) fn filter(&self, place: Place) -> Place {
        place.maybe("text", self.text.as_ref()).maybe("where", self.expression.as_ref())
    }
}

/// Prints how many there are.
pub(crate) fn count(session: &mut Session, place: Place) -> Result<(), Error> {
    let found: CountView = session.client.get(place)?;
    match session.terminal.json() {
        true => session.terminal.value(&found),
        false => session.terminal.line(found.count),
    }
}

/// Shows hits of a search as they are found, and how far it has come. Says whether there may be more
/// than `limit`.
pub(crate) fn search<T: DeserializeOwned>(
    session: &mut Session,
    place: Place,
    limit: usize,
    show: &mut dyn FnMut(&mut Terminal, T) -> Result<(), Error>,
) -> Result<bool, Error> {
    let (mut left, mut cursor, mut looked_at) = (limit, None::<String>, 0);
    loop {
        let place = place.clone().with("limit", left.clamp(1, limits::PAGE_ITEMS_MAX));
        let part: SearchPage<T> = session.client.get(place.maybe("cursor", cursor.as_ref()))?;
        looked_at += part.looked_at;
        for item in part.items {
            left = left.saturating_sub(1);
            show(&mut session.terminal, item)?;
        }
        let Some(next) = part.next else { return Ok(false) };
        if left == 0 {
            return Ok(true);
        }
        if let Some(back_to) = part.back_to {
            let back_to = session.terminal.time(back_to);
            let progress = format!("searched back to {back_to}: {looked_at} looked at");
            session.terminal.say(Paint(Tone::Faint, progress));
        }
        cursor = Some(next);
    }
}

pub(crate) fn moment(text: Option<&str>, terminal: &Terminal) -> Result<Option<Timestamp>, Error> {
    text.map(|text| units::parse_moment(text, terminal.now, &terminal.zone))
        .transpose()
        .map_err(Error::usage)
}

/// Says that a list is empty; and that it has to be, where it is about a function or a project that
/// there is not.
pub(crate) fn say_empty(
    session: &mut Session,
    what: &str,
    (all_projects, function): (bool, Option<&str>),
) -> Result<(), Error> {
    let mut why = String::new();
    if !all_projects {
        let place = match function {
            Some(function) => session.place(["functions", function])?,
            None => session.place([])?,
        };
        let asked = session.client.get::<IgnoredAny>(place);
        // Other failures are not worth a word: the list itself was told.
        if let Err(Error::Problem(problem)) = asked
            && problem.code == Code::NotFound
        {
            why = format!(": {}", problem.detail);
        }
    }
    session.terminal.say(format_args!("no {what}{why}"));
    Ok(())
}

/// How many a list shows at most.
pub(crate) fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit @ 1..) => Ok(limit),
        _ => Err("it is at least 1".to_owned()),
    }
}

/// Says that a list was cut.
pub(crate) fn say_more(terminal: &mut Terminal, limit: usize) {
    terminal.say(Paint(Tone::Faint, format_args!("the newest {limit}; there are more: --limit N")));
}

/// Items of a history that can be followed.
pub(crate) trait Item: DeserializeOwned {
    /// Puts what was, as the server lists it page by page, in order: the oldest first.
    fn in_order(pages: Vec<Vec<Self>>) -> Vec<Self> {
        let mut items: Vec<Self> = pages.into_iter().flatten().collect();
        items.reverse();
        items
    }

    /// What tells two of them apart.
    fn key(&self) -> String;
}

/// Where a history is listed and streamed.
pub(crate) struct Places {
    pub(crate) list: Place,
    pub(crate) stream: Place,
    pub(crate) past: usize,
}

/// Shows what was and then what happens, each once, oldest first. A server that goes away is waited
/// for.
pub(crate) fn follow<T: Item>(
    session: &mut Session,
    places: &Places,
    show: &mut dyn FnMut(&mut Terminal, &T) -> Result<(), Error>,
) -> Result<(), Error> {
    let Session { client, terminal, .. } = session;
    // The stream is opened first, so that nothing falls between it and the list.
    let mut stream = client.stream(places.stream.clone(), None)?;
    let mut pages: Vec<Vec<T>> = Vec::new();
    client.whole_pages(places.list.clone(), places.past, &mut |page| {
        pages.push(page);
        Ok(())
    })?;
    let past = T::in_order(pages);
    let mut listed: HashSet<String> = past.iter().map(Item::key).collect();
    for item in past {
        show(terminal, &item)?;
    }
    let mut away = Away::until(None).met();
    let mut shown = Shown::default();
    loop {
        while let Some(data) = stream.next() {
            let item: T = serde_json::from_str(&data).map_err(|error| Error::Protocol {
                what: "a message of the stream".to_owned(),
                reason: error.to_string(),
            })?;
            let key = item.key();
            if shown.is_new(&key, stream.last()) && !listed.remove(&key) {
                show(terminal, &item)?;
            }
        }
        shown.again();
        let last = stream.last().map(str::to_owned);
        let opened = away.ask(terminal, || {
            // A stream that ends at once, again and again, must not be asked for without a pause.
            std::thread::sleep(RECONNECT_PAUSE);
            client.stream(places.stream.clone(), last.as_deref())
        });
        stream = match opened {
            Err(Error::Problem(gone)) if matches!(gone.code, Code::Gone | Code::CursorExpired) => {
                terminal.say("what happened meanwhile was removed by retention");
                client.stream(places.stream.clone(), None)?
            }
            opened => opened?,
        };
    }
}

/// Which items of a stream may come again after it broke: those since the place from which it goes
/// on, which leads to before all items of one record until the last of them has come.
#[derive(Default)]
struct Shown {
    place: Option<String>,
    since: Vec<String>,
    again: Vec<String>,
}

impl Shown {
    /// Whether an item, which leads to `place`, was not shown yet.
    fn is_new(&mut self, key: &str, place: Option<&str>) -> bool {
        if self.place.as_deref() != place {
            self.place = place.map(str::to_owned);
            self.since.clear();
        }
        self.since.push(key.to_owned());
        match self.again.iter().position(|again| again == key) {
            Some(at) => {
                self.again.swap_remove(at);
                false
            }
            None => true,
        }
    }

    /// The stream broke.
    fn again(&mut self) {
        self.again = std::mem::take(&mut self.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_twice_and_nothing_is_left_out() {
        // Two records: `a` with three lines, two of them alike, and `b`. The stream breaks within `a`.
        let stream = [("one", "0"), ("same", "0"), ("same", "a"), ("two", "b")];
        for broken_after in 0..=stream.len() {
            let mut shown = Shown::default();
            let mut told = Vec::new();
            let mut take = |shown: &mut Shown, items: &[(&'static str, &str)]| {
                for (key, place) in items {
                    if shown.is_new(key, Some(place)) {
                        told.push(*key);
                    }
                }
            };
            take(&mut shown, &stream[..broken_after]);
            shown.again();
            let rest = match broken_after {
                0..=2 => &stream[..],
                3 => &stream[3..],
                _ => &[],
            };
            take(&mut shown, rest);
            assert_eq!(told, ["one", "same", "same", "two"], "broken after {broken_after}");
        }
    }
}
