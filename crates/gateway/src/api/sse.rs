//! Live streams as server-sent events. Each carries the cursor of its item as the event's id, so
//! that a client that lost its connection goes on behind the last item it saw. An id without data
//! comes first: it leads to where the stream began.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt as _, stream};
use http::HeaderMap;
use nexus_model::Cursor;
use nexus_node::Following;
use serde::Serialize;

use super::App;
use super::caller::SignedIn;
use super::extract::cursor;
use crate::fault::Fault;

/// How often a silent stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to go on: `Last-Event-ID` of a client that lost its connection, else `after`.
pub(super) fn resume(headers: &HeaderMap, after: Option<&str>) -> Result<Option<Cursor>, Fault> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    cursor(last.filter(|last| !last.is_empty()).or(after))
}

/// Sends items as events called `kind` until the client leaves, may not read any more, or the server
/// stops.
pub(super) fn live<T: Serialize + Send + 'static>(
    (app, reader): (&App, SignedIn),
    kind: &'static str,
    following: Following<T>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + Send + 'static + use<T>> {
    let app = app.clone();
    let begin = stream::once(std::future::ready(Ok(Event::default().id(following.from))));
    let events = following.items.filter_map(move |followed| async move {
        // Views always serialize; an item that did not would only be missing.
        let event = Event::default().event(kind).id(followed.cursor);
        event.json_data(&followed.item).ok().map(Ok)
    });
    let events = begin.chain(events).take_until(async move {
        tokio::select! {
            () = app.closing.cancelled() => {}
            () = locked_out(&app, &reader) => {}
        }
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive"))
}

/// Returns when the token of the reader was deleted or their session has ended.
async fn locked_out(app: &App, reader: &SignedIn) {
    loop {
        tokio::time::sleep(KEEP_ALIVE).await;
        if !reader.lasts(app) {
            return;
        }
    }
}
