//! State of functions as people see it from outside: where there is some, keys, values and streams.
//!
//! Keys are guarded as values are: functions make both of what users sent.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use nexus_exec::StateError;
use nexus_model::view::{
    StateKeyView, StateNamespaceView, StateValue, StreamEventView, StreamView,
};
use nexus_model::{Code, CursorError, Name, OpContext, Page, Scope, document, limits};
use nexus_store::{ReadLimit, StateId, StateItem};

use crate::history::page_size;
use crate::state::{OWN, SHARED, check_key, own, shared};
use crate::views::bytes_value;
use crate::{Error, Node};

/// How the cursors of these lists begin.
const CURSOR: &str = "k1-";
/// Names that are looked at to find the one that was meant.
const NEAR_MAX: usize = 1_000;
/// Namespaces of the largest size that are counted for one page.
const NAMESPACES_COUNTED: u64 = 10;

/// Where state is: a function's own, or what the functions of a project share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StateSpace {
    /// Of this function, which may have been deleted.
    Function(Name),
    /// With this name.
    Shared(String),
}

impl StateSpace {
    fn of(namespace: &str) -> Option<Self> {
        if let Some(name) = namespace.strip_prefix(OWN) {
            return Some(StateSpace::Function(Name::new(name).ok()?));
        }
        namespace.strip_prefix(SHARED).map(|name| StateSpace::Shared(name.to_owned()))
    }

    fn namespace(&self) -> Result<String, Error> {
        match self {
            StateSpace::Function(name) => Ok(own(name)),
            StateSpace::Shared(name) => shared(name).map_err(invalid),
        }
    }

    /// As the command line names it.
    fn arguments(&self) -> String {
        match self {
            StateSpace::Function(name) => name.to_string(),
            StateSpace::Shared(name) => format!("--shared {}", word(name)),
        }
    }
}

impl fmt::Display for StateSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateSpace::Function(name) => write!(f, "function '{name}'"),
            StateSpace::Shared(name) => write!(f, "the shared namespace '{name}'"),
        }
    }
}

/// Which keys or streams of a namespace.
#[derive(Clone, Debug, Default)]
pub struct StateQuery {
    /// Whose names begin with this.
    pub prefix: String,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// How many at most; 0 for the default.
    pub limit: usize,
    /// With values: then a page ends at [`limits::STATE_READ_BYTES_MAX`], too.
    pub values: bool,
}

/// Which events of a stream.
#[derive(Clone, Debug, Default)]
pub struct StreamQuery {
    /// Behind this version.
    pub after: u64,
    /// The `next` of the page before, which goes before `after`.
    pub cursor: Option<String>,
    /// How many at most; 0 for the default.
    pub limit: usize,
}

/// A key or a stream of a project's state.
#[derive(Clone, Copy, Debug)]
pub struct StatePlace<'a> {
    /// The project.
    pub project: &'a Name,
    /// Where in it.
    pub space: &'a StateSpace,
    /// The key, or the stream's name.
    pub key: &'a str,
}

impl Node {
    /// Where functions of a project keep state, with how much it is, by name.
    ///
    /// # Errors
    /// The project does not exist, or the caller may not read it; the cursor is none.
    pub async fn state_namespaces(
        &self,
        ctx: &OpContext,
        project: &Name,
        (cursor, limit): (Option<&str>, usize),
    ) -> Result<Page<StateNamespaceView>, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        self.require_project(project)?;
        let (store, limit) = (&self.parts.store, page_size(limit));
        let (mut after, mut items) = (text_of(cursor)?, Vec::new());
        let mut counted = 0;
        while let Some(namespace) = store.next_state_namespace(project, &after).await? {
            if items.len() == limit || counted >= limits::STATE_COUNTED_MAX * NAMESPACES_COUNTED {
                return Ok(Page { items, next: Some(cursor_of(&after)) });
            }
            if let Some(space) = StateSpace::of(&namespace) {
                let max = limits::STATE_COUNTED_MAX;
                let found = store.state_summary(project, &namespace, max).await?;
                counted += found.keys + found.events;
                let deleted = !self.is_kept(project, &space);
                let (function, shared) = match space {
                    StateSpace::Function(name) => (Some(name), None),
                    StateSpace::Shared(name) => (None, Some(name)),
                };
                items.push(StateNamespaceView {
                    function,
                    shared,
                    deleted,
                    keys: found.keys,
                    key_bytes: found.key_bytes,
                    streams: found.streams,
                    events: found.events,
                    event_bytes: found.event_bytes,
                    more: found.more,
                });
            }
            after = namespace;
        }
        Ok(Page { items, next: None })
    }

    /// Keys of a namespace, by key.
    ///
    /// # Errors
    /// The caller may not read payloads there; there is neither such a function nor state of one; the
    /// cursor is none.
    pub async fn state_keys(
        &self,
        ctx: &OpContext,
        (project, space): (&Name, &StateSpace),
        query: StateQuery,
    ) -> Result<Page<StateKeyView>, Error> {
        let prefix = self.readable(ctx, StatePlace { project, space, key: &query.prefix }).await?;
        let (store, limit) = (&self.parts.store, page_size(query.limit));
        let after = text_of(query.cursor.as_deref())?;
        let items: Vec<StateKeyView> = match query.values {
            true => {
                let limit = ReadLimit { items: limit, bytes: limits::STATE_READ_BYTES_MAX };
                let found = store.state_scan(&prefix, &after, limit).await?;
                found.into_iter().map(key_view).collect()
            }
            false => {
                let found = store.state_keys(&prefix, &after, limit).await?;
                let view = |row: nexus_store::StateRow| StateKeyView {
                    key: row.key,
                    version: row.version,
                    bytes: row.bytes,
                    value: StateValue::default(),
                };
                found.into_iter().map(view).collect()
            }
        };
        let next = match items.last() {
            Some(last) if !store.state_keys(&prefix, &last.key, 1).await?.is_empty() => {
                Some(cursor_of(&last.key))
            }
            _ => None,
        };
        Ok(Page { items, next })
    }

    /// The value of a key, as it is, with its version.
    ///
    /// # Errors
    /// The key does not exist, or the caller may not read payloads there.
    pub async fn state_value(
        &self,
        ctx: &OpContext,
        place: StatePlace<'_>,
    ) -> Result<(u64, Bytes), Error> {
        check_key(place.key).map_err(invalid)?;
        let id = self.readable(ctx, place).await?;
        match self.parts.store.state(&id).await? {
            Some(item) => Ok((item.version, item.value)),
            None => Err(self.no_key(ctx, place, &id).await?),
        }
    }

    /// Streams of a namespace, by name.
    ///
    /// # Errors
    /// As [`state_keys`](Self::state_keys).
    pub async fn state_streams(
        &self,
        ctx: &OpContext,
        (project, space): (&Name, &StateSpace),
        query: StateQuery,
    ) -> Result<Page<StreamView>, Error> {
        let prefix = self.readable(ctx, StatePlace { project, space, key: &query.prefix }).await?;
        let (store, limit) = (&self.parts.store, page_size(query.limit));
        let after = text_of(query.cursor.as_deref())?;
        let found = store.state_streams(&prefix, &after, limit).await?;
        let next = match found.last() {
            Some(last) if !store.state_streams(&prefix, &last.name, 1).await?.is_empty() => {
                Some(cursor_of(&last.name))
            }
            _ => None,
        };
        let view = |row: nexus_store::StreamRow| StreamView {
            name: row.name,
            version: row.version,
            events: row.events,
        };
        Ok(Page { items: found.into_iter().map(view).collect(), next })
    }

    /// Events of a stream, oldest first. A page ends at [`limits::STATE_READ_BYTES_MAX`], too.
    ///
    /// # Errors
    /// The stream does not exist, or the caller may not read payloads there; the cursor is none.
    pub async fn state_stream(
        &self,
        ctx: &OpContext,
        place: StatePlace<'_>,
        query: StreamQuery,
    ) -> Result<Page<StreamEventView>, Error> {
        check_key(place.key).map_err(invalid)?;
        let id = self.readable(ctx, place).await?;
        let after = match text_of(query.cursor.as_deref())?.as_str() {
            "" => query.after,
            text => text.parse().map_err(|_| malformed(query.cursor.as_deref()))?,
        };
        let limit =
            ReadLimit { items: page_size(query.limit), bytes: limits::STATE_READ_BYTES_MAX };
        let found = self.parts.store.stream(&id, after, limit).await?;
        let one = ReadLimit { items: 1, bytes: 0 };
        let next = match found.last() {
            None if self.parts.store.stream(&id, 0, one).await?.is_empty() => {
                return Err(self.no_stream(ctx, place, &id).await?);
            }
            None => None,
            Some(last) => {
                let more = !self.parts.store.stream(&id, last.version, one).await?.is_empty();
                more.then(|| cursor_of(&last.version.to_string()))
            }
        };
        let view = |item: StateItem| StreamEventView {
            version: item.version,
            bytes: item.value.len() as u64,
            value: value_view(&item.value),
        };
        Ok(Page { items: found.into_iter().map(view).collect(), next })
    }

    /// A place that the caller may look at. Keys are guarded as values are.
    async fn readable(&self, ctx: &OpContext, place: StatePlace<'_>) -> Result<StateId, Error> {
        nexus_policy::authorize(ctx, Scope::ReadPayload, Some(place.project))?;
        self.known_state(place).await
    }

    /// Refuses names behind which nothing is: of no function, and without state.
    pub(crate) async fn known_state(&self, place: StatePlace<'_>) -> Result<StateId, Error> {
        self.require_project(place.project)?;
        let id = state_id(place)?;
        let declared = matches!(place.space, StateSpace::Function(_))
            && self.is_kept(place.project, place.space);
        if declared || self.parts.store.state_summary(&id.project, &id.namespace, 0).await?.more {
            return Ok(id);
        }
        let name = match place.space {
            StateSpace::Function(name) => return Err(self.no_function(place.project, name)),
            StateSpace::Shared(name) => name,
        };
        let detail = format!("nothing is in {} of project '{}'", place.space, place.project);
        let mut known = Vec::new();
        let mut after = SHARED.to_owned();
        while let Some(next) = self.parts.store.next_state_namespace(place.project, &after).await?
            && known.len() < NEAR_MAX
        {
            let name = next.strip_prefix(SHARED).filter(|name| !name.contains(char::is_control));
            known.extend(name.map(str::to_owned));
            after = next;
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        Err(Error::new(Code::NotFound, detail).with_hint(match document::nearest(name, &known) {
            Some(near) => format!("did you mean '{near}'?"),
            None => "nexus state list shows where there is state".to_owned(),
        }))
    }

    /// Whether a namespace belongs to something that is there.
    fn is_kept(&self, project: &Name, space: &StateSpace) -> bool {
        let StateSpace::Function(function) = space else { return true };
        let known = self.catalog.project(project);
        known.is_some_and(|known| known.functions.iter().any(|at| at.name == *function))
    }

    /// Names what there is instead, for those who may see it.
    pub(crate) async fn no_key(
        &self,
        ctx: &OpContext,
        place: StatePlace<'_>,
        id: &StateId,
    ) -> Result<Error, Error> {
        let StatePlace { space, key, .. } = place;
        let error = Error::not_found(format_args!("key '{key}' of {space}"));
        if !ctx.allows(Scope::ReadPayload, Some(place.project)) {
            return Ok(error);
        }
        let store = &self.parts.store;
        let one = ReadLimit { items: 1, bytes: 0 };
        if !store.stream(id, 0, one).await?.is_empty() {
            let command = format!("nexus state stream {} {}", space.arguments(), word(key));
            return Ok(error.with_hint(format!("there is a stream of this name: {command}")));
        }
        let folder = StateId { key: folder_of(key).to_owned(), ..id.clone() };
        let near = store.state_keys(&folder, "", NEAR_MAX).await?;
        let near: Vec<&str> = near.iter().map(|row| row.key.as_str()).collect();
        Ok(error.with_hint(near_or_list(key, &near, &format!("list {}", space.arguments()))))
    }

    pub(crate) async fn no_stream(
        &self,
        ctx: &OpContext,
        place: StatePlace<'_>,
        id: &StateId,
    ) -> Result<Error, Error> {
        let StatePlace { space, key, .. } = place;
        let error = Error::not_found(format_args!("stream '{key}' of {space}"));
        if !ctx.allows(Scope::ReadPayload, Some(place.project)) {
            return Ok(error);
        }
        let store = &self.parts.store;
        if store.state(id).await?.is_some() {
            let command = format!("nexus state get {} {}", space.arguments(), word(key));
            return Ok(error.with_hint(format!("there is a key of this name: {command}")));
        }
        let folder = StateId { key: folder_of(key).to_owned(), ..id.clone() };
        let near = store.state_streams(&folder, "", NEAR_MAX / 10).await?;
        let near: Vec<&str> = near.iter().map(|row| row.name.as_str()).collect();
        let list = format!("list {} --streams", space.arguments());
        Ok(error.with_hint(near_or_list(key, &near, &list)))
    }
}

/// What a key lies in, as people write keys: up to its last `/` or `:`.
fn folder_of(key: &str) -> &str {
    key.rfind(['/', ':']).map_or("", |at| &key[..=at])
}

/// A name as a word of a shell.
fn word(name: &str) -> String {
    format!("'{}'", name.replace('\'', r"'\''"))
}

fn near_or_list(name: &str, known: &[&str], list: &str) -> String {
    // Functions make keys of what users sent: what could command a terminal is not repeated.
    let known: Vec<&str> =
        known.iter().copied().filter(|name| !name.contains(char::is_control)).collect();
    match document::nearest(name, &known) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("nexus state {list} shows what there is"),
    }
}

pub(crate) fn state_id(place: StatePlace<'_>) -> Result<StateId, Error> {
    Ok(StateId {
        project: place.project.clone(),
        namespace: place.space.namespace()?,
        key: place.key.to_owned(),
    })
}

/// A value as the API shows bytes.
pub fn value_view(value: &Bytes) -> StateValue {
    let mut view = StateValue::default();
    match bytes_value(value) {
        ("json", value) => view.json = Some(value),
        (name, serde_json::Value::String(text)) => match name {
            "text" => view.text = Some(text),
            _ => view.base64 = Some(text),
        },
        _ => {}
    }
    view
}

fn key_view(item: StateItem) -> StateKeyView {
    StateKeyView {
        key: item.key,
        version: item.version,
        bytes: item.value.len() as u64,
        value: value_view(&item.value),
    }
}

/// The place behind a name, as text for the outside.
fn cursor_of(name: &str) -> String {
    format!("{CURSOR}{}", URL_SAFE_NO_PAD.encode(name))
}

/// The name that a cursor leads behind; empty without one.
fn text_of(cursor: Option<&str>) -> Result<String, Error> {
    let Some(text) = cursor.filter(|text| !text.is_empty()) else { return Ok(String::new()) };
    let name = text.strip_prefix(CURSOR).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    name.and_then(|name| String::from_utf8(name).ok()).ok_or_else(|| malformed(cursor))
}

fn malformed(cursor: Option<&str>) -> Error {
    let text = cursor.unwrap_or_default().to_owned();
    Error::new(Code::BadRequest, CursorError::Malformed { text }.to_string())
}

pub(crate) fn invalid(error: StateError) -> Error {
    match error {
        StateError::Invalid(reason) => Error::new(Code::BadRequest, reason),
        error => Error::internal("read a name", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_carry_any_name() {
        for name in ["a", "cart/1", "\u{0}", "ä\u{10ffff}", "../.."] {
            let cursor = cursor_of(name);
            assert_eq!(text_of(Some(&cursor)).unwrap(), name);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            assert!(cursor.bytes().all(plain), "{cursor}");
        }
        assert_eq!(text_of(None).unwrap(), "");
        for wrong in ["a", "c1-0-2a", "k1-*", "k1-_w"] {
            assert!(text_of(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_json_text_or_base_64() {
        let form = |value: &[u8]| {
            let view = value_view(&Bytes::copy_from_slice(value));
            serde_json::to_string(&view).unwrap()
        };
        assert_eq!(form(br#"{"a":1}"#), r#"{"json":{"a":1}}"#);
        assert_eq!(form(b"\"a\""), r#"{"json":"a"}"#);
        assert_eq!(form(b"12"), r#"{"text":"12"}"#);
        assert_eq!(form(b"{"), r#"{"text":"{"}"#);
        assert_eq!(form(b""), r#"{"text":""}"#);
        assert_eq!(form(b"\xff"), r#"{"base64":"/w=="}"#);
    }

    #[test]
    fn names_in_commands_are_words_and_never_commands_of_a_terminal() {
        assert_eq!(StateSpace::Shared("it's".to_owned()).arguments(), r"--shared 'it'\''s'");
        assert_eq!(
            near_or_list("cart/1", &["cart/\u{1b}"], "list f"),
            "nexus state list f shows what there is"
        );
        assert_eq!(near_or_list("cart/1", &["cart/2"], "list f"), "did you mean 'cart/2'?");
    }

    #[test]
    fn the_folder_of_a_key_ends_with_its_separator() {
        assert_eq!(folder_of("cart/42/items"), "cart/42/");
        assert_eq!(folder_of("cart:42"), "cart:");
        assert_eq!(folder_of("cart"), "");
    }
}
