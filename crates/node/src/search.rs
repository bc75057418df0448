//! Searches that look into payloads (decision 7): bounded, streamed over the log part by part, with
//! what was looked at.

use std::time::Instant;

use nexus_content::{Content, TransformError, Transformation};
use nexus_log::Scanned;
use nexus_model::record::{EventRecord, InvocationRecord};
use nexus_model::view::{EventView, InvocationRow, SearchPage};
use nexus_model::{
    Code, Cursor, EventFilter, InvocationFilter, Name, OpContext, Scope, Timestamp, limits,
};
use serde_json::Value;

use crate::bodies::Lost;
use crate::history::{page_size, reach};
use crate::views::{self, Payloads};
use crate::{Error, Node, PageOptions};

/// Records that are read from the log at a time.
const BATCH: usize = 64;

/// What payloads must have. Everything that is stated must hold; at least one must be stated.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// A text in any case of letters, somewhere in what was recorded.
    pub text: Option<String>,
    /// A jq expression over what `GET` shows that gives something other than `false` and `null`.
    pub expression: Option<String>,
}

/// [`Wanted`], ready to be asked.
struct Test {
    text: Option<String>,
    expression: Option<Transformation>,
}

impl Test {
    fn new(wanted: Wanted) -> Result<Self, Error> {
        let refused = |detail: String| Err(Error::new(Code::BadRequest, detail));
        let text = wanted.text.filter(|text| !text.is_empty());
        let expression = wanted.expression.filter(|text| !text.trim().is_empty());
        if text.is_none() && expression.is_none() {
            return refused("a search needs 'text' or 'where'".to_owned());
        }
        if let Some(size) = text.as_ref().map(String::len)
            && size > limits::SEARCH_TEXT_BYTES_MAX
        {
            let limit = limits::SEARCH_TEXT_BYTES_MAX;
            return refused(format!("text has {size} bytes; the limit is {limit} bytes"));
        }
        let compiled = expression.map(|text| Transformation::parse(&text)).transpose();
        match compiled {
            Ok(expression) => Ok(Test { text: text.map(|text| text.to_lowercase()), expression }),
            Err(error) => refused(format!("where: {error}")),
        }
    }

    /// Whether the texts of a value have the text.
    fn has_text(&self, value: &Value) -> bool {
        self.text.as_ref().is_none_or(|text| contains(value, text))
    }
}

fn contains(value: &Value, text: &str) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => value.to_string() == text,
        Value::Number(number) => number.to_string().contains(text),
        Value::String(value) => value.to_lowercase().contains(text),
        Value::Array(items) => items.iter().any(|item| contains(item, text)),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.to_lowercase().contains(text) || contains(value, text)),
    }
}

/// An expression that fails on a value, or yields nothing, does not hold for it.
fn holds(found: Result<Value, TransformError>) -> bool {
    found.is_ok_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
}

/// The part of a search that one request does.
struct Part<T> {
    page: SearchPage<T>,
    limit: usize,
    begun: Instant,
    /// The place behind the last record that was looked at.
    last: Option<Cursor>,
}

impl<T> Part<T> {
    fn new(limit: usize) -> Self {
        let page = SearchPage { items: Vec::new(), next: None, looked_at: 0, back_to: None };
        Part { page, limit, begun: Instant::now(), last: None }
    }

    fn is_full(&self) -> bool {
        self.page.items.len() >= self.limit
            || self.page.looked_at >= limits::SEARCH_RECORDS_MAX
            || self.begun.elapsed() >= limits::SEARCH_TIME_MAX
    }

    fn looked_at(&mut self, (cursor, at): (Cursor, i64), hit: Option<T>) {
        self.page.looked_at += 1;
        self.page.back_to = Some(Timestamp::from_unix_ns(at));
        self.page.items.extend(hit);
        self.last = Some(cursor);
    }

    fn close(mut self, more: bool) -> SearchPage<T> {
        self.page.next = self.last.filter(|_| more).map(|cursor| cursor.to_string());
        self.page
    }
}

impl Node {
    /// A part of a search through the payloads of invocations, newest first.
    ///
    /// # Errors
    /// The caller may not read payloads there; the expression is wrong; the cursor has expired; the
    /// log cannot be read.
    pub async fn search_invocations(
        &self,
        ctx: &OpContext,
        mut filter: InvocationFilter,
        (wanted, page): (Wanted, PageOptions),
    ) -> Result<SearchPage<InvocationRow>, Error> {
        may_search(ctx, &mut filter.project)?;
        let test = Test::new(wanted)?;
        let mut part = Part::new(page_size(page.limit));
        let mut cursor = page.cursor;
        loop {
            let Scanned { items, more } =
                self.parts.log.invocation_records(&filter, cursor, BATCH).await?;
            let read = items.len();
            for (index, (place, mut record)) in items.into_iter().enumerate() {
                let at = (place, record.accepted_ns);
                let hit = self.hit_in_invocation(&test, &mut record).await?;
                part.looked_at(at, views::row(&record).filter(|_| hit));
                if part.is_full() {
                    return Ok(part.close(more || index + 1 < read));
                }
            }
            if !more {
                return Ok(part.close(false));
            }
            cursor = part.last;
        }
    }

    async fn hit_in_invocation(
        &self,
        test: &Test,
        record: &mut InvocationRecord,
    ) -> Result<bool, Error> {
        self.fetch_bodies(record, Lost::IsSaid).await?;
        let event = self.input_event(record, Lost::IsSaid).await?;
        let Some(view) = views::invocation_view(record, event.as_ref(), Payloads::Shown) else {
            return Ok(false);
        };
        let Ok(value) = serde_json::to_value(view) else { return Ok(false) };
        Ok(test.has_text(&value)
            && test.expression.as_ref().is_none_or(|it| holds(it.apply_to(value))))
    }

    /// A part of a search through the data of events, newest first.
    ///
    /// # Errors
    /// As [`search_invocations`](Self::search_invocations).
    pub async fn search_events(
        &self,
        ctx: &OpContext,
        mut filter: EventFilter,
        (wanted, page): (Wanted, PageOptions),
    ) -> Result<SearchPage<EventView>, Error> {
        may_search(ctx, &mut filter.project)?;
        let test = Test::new(wanted)?;
        let shown = if page.data { Payloads::Shown } else { Payloads::Hidden };
        let mut part = Part::new(page_size(page.limit));
        let mut cursor = page.cursor;
        loop {
            let Scanned { items, more } =
                self.parts.log.event_records(&filter, cursor, BATCH).await?;
            let read = items.len();
            for (index, (place, mut record)) in items.into_iter().enumerate() {
                let at = (place, record.received_ns);
                let hit = self.hit_in_event(&test, &mut record).await?;
                part.looked_at(at, views::event_view(&record, shown).filter(|_| hit));
                if part.is_full() {
                    return Ok(part.close(more || index + 1 < read));
                }
            }
            if !more {
                return Ok(part.close(false));
            }
            cursor = part.last;
        }
    }

    async fn hit_in_event(&self, test: &Test, record: &mut EventRecord) -> Result<bool, Error> {
        self.fetch_event(record, Lost::IsSaid).await?;
        if test.text.is_some() {
            let event = serde_json::to_value(record.event.to_event()).unwrap_or_default();
            if !test.has_text(&event) {
                return Ok(false);
            }
        }
        let Some(expression) = &test.expression else { return Ok(true) };
        let data = record.event.data.as_ref().filter(|data| !data.dropped);
        let content = Content::from(&record.event);
        let content = match data {
            Some(data) => content.with_data(&data.inline),
            None => content,
        };
        Ok(holds(expression.apply(&content)))
    }
}

fn may_search(ctx: &OpContext, project: &mut Option<String>) -> Result<(), Error> {
    reach(ctx, project)?;
    let name = project.as_deref().and_then(|at| Name::new(at).ok());
    nexus_policy::authorize(ctx, Scope::ReadPayload, name.as_ref()).map_err(Error::from)
}
