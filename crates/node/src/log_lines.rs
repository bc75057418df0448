//! What functions wrote, page by page from the newest lines back.

use std::str::FromStr;

use nexus_log::Scanned;
use nexus_model::view::LogView;
use nexus_model::{
    Cursor, CursorError, InvocationFilter, Name, OpContext, Page, Scope, TimeRange, limits,
};

use crate::history::reach;
use crate::{Error, LogFilter, Node, views};

/// Log lines on one page where nothing was asked for.
const LINES_DEFAULT: usize = 200;
/// Invocations that are looked at for one page.
const INVOCATIONS_MAX: usize = 2_000;
/// Records that are read from the log at a time.
const BATCH: usize = 64;

/// Where the next page of log lines begins: behind some lines of an invocation, from its last one
/// back. Written `c1-0-2a.3`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogPlace {
    /// Invocations that were recorded before this place.
    before: Cursor,
    /// Lines of the newest of them that were shown.
    shown: usize,
}

impl std::fmt::Display for LogPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.before, self.shown)
    }
}

impl FromStr for LogPlace {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let malformed = || CursorError::Malformed { text: text.to_owned() };
        let (before, shown) = text.split_once('.').ok_or_else(malformed)?;
        Ok(LogPlace {
            before: before.parse().map_err(|_| malformed())?,
            shown: shown.parse().map_err(|_| malformed())?,
        })
    }
}

impl Node {
    /// The newest log lines, the oldest of a page first; the next page has older ones. `limit` 0 asks
    /// for the default number. A page may have fewer lines than that, or none, and not be the last.
    ///
    /// # Errors
    /// The caller may not read payloads there; retention has removed the place; the log cannot be
    /// read.
    pub async fn logs(
        &self,
        ctx: &OpContext,
        filter: LogFilter,
        (from, limit): (Option<LogPlace>, usize),
    ) -> Result<Page<LogView>, Error> {
        let limit = if limit == 0 { LINES_DEFAULT } else { limit.min(limits::PAGE_ITEMS_MAX) };
        let invocations = log_invocations(ctx, &filter)?;
        if from.is_none() {
            self.parts.log.settle().await;
        }
        let mut cursor = from.map(|from| from.before);
        let mut shown = from.map_or(0, |from| from.shown);
        let (mut lines, mut looked_at) = (Vec::new(), 0);
        let next = 'page: loop {
            let Scanned { items, more } =
                self.parts.log.invocation_records(&invocations, cursor, BATCH).await?;
            looked_at += items.len();
            for (behind, record) in items {
                let mut own: Vec<LogView> = views::log_views(&record)
                    .filter(|line| filter.until.is_none_or(|until| line.at < until))
                    .collect();
                own.truncate(own.len().saturating_sub(shown));
                let left = limit - lines.len();
                if own.len() > left {
                    lines.extend(own.drain(own.len() - left..));
                    let before = Cursor { sequence: behind.sequence + 1, ..behind };
                    break 'page Some(LogPlace { before, shown: shown + left });
                }
                lines.extend(own);
                (cursor, shown) = (Some(behind), 0);
            }
            match cursor {
                Some(before) if more && (lines.len() == limit || looked_at >= INVOCATIONS_MAX) => {
                    break Some(LogPlace { before, shown: 0 });
                }
                _ if !more => break None,
                _ => {}
            }
        };
        lines.sort_by_key(|line| line.at);
        Ok(Page { items: lines, next: next.map(|next| next.to_string()) })
    }
}

/// The invocations whose log lines a filter means; log lines are payload.
pub(crate) fn log_invocations(
    ctx: &OpContext,
    filter: &LogFilter,
) -> Result<InvocationFilter, Error> {
    let mut project = filter.project.as_ref().map(Name::to_string);
    reach(ctx, &mut project)?;
    let name = project.as_deref().and_then(|at| Name::new(at).ok());
    nexus_policy::authorize(ctx, Scope::ReadPayload, name.as_ref())?;
    Ok(InvocationFilter {
        project,
        function: filter.function.as_ref().map(Name::to_string),
        // What began later has written nothing before.
        range: TimeRange { since: filter.since, until: filter.until },
        ..InvocationFilter::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        let place = LogPlace { before: Cursor { shard: 0, sequence: 42 }, shown: 3 };
        assert_eq!(place.to_string(), "c1-0-2a.3");
        assert_eq!("c1-0-2a.3".parse(), Ok(place));
        for wrong in ["", "c1-0-2a", "c1-0-2a.", ".3", "c1-0-2a.x"] {
            assert!(wrong.parse::<LogPlace>().is_err(), "{wrong}");
        }
    }
}
