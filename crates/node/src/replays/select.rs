//! Which invocations a batch replays.

use futures::stream::{self, Stream, StreamExt as _};
use nexus_model::view::ReplaySelection;
use nexus_model::{Cursor, InvocationFilter, InvocationId, Name, OpContext, TimeRange, limits};

use crate::search::Wanted;
use crate::suites::Saved;
use crate::{Error, Node, PageOptions};

/// An invocation to be replayed.
pub(crate) enum Selected {
    /// One in the log.
    Recorded(InvocationId),
    /// One of a suite.
    Saved(Box<Saved>),
}

/// A page of a selection, and where the next one begins.
type Pages = Option<Option<Cursor>>;

impl Node {
    /// The invocations of a selection, the newest first, read as they are asked for.
    pub(crate) fn select_recordings<'a>(
        &'a self,
        ctx: &'a OpContext,
        project: &'a Name,
        select: &'a ReplaySelection,
    ) -> impl Stream<Item = Result<Selected, Error>> + Send + 'a {
        let limit = select.limit.unwrap_or(limits::REPLAY_INVOCATIONS_MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let found = match (&select.suite, select.ids.is_empty()) {
            (Some(suite), _) => self.saved_recordings(project, suite).left_stream(),
            (None, false) => {
                let ids = select.ids.iter().copied();
                stream::iter(ids.map(|id| Ok(Selected::Recorded(id)))).left_stream().right_stream()
            }
            (None, true) => self.pages(ctx, project, select).right_stream().right_stream(),
        };
        found.take(limit)
    }

    fn saved_recordings<'a>(
        &'a self,
        project: &'a Name,
        suite: &'a Name,
    ) -> impl Stream<Item = Result<Selected, Error>> + Send + 'a {
        let cases = async move {
            match self.suite_spec(project, suite).await {
                Ok(spec) => spec.cases.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        };
        stream::once(cases).flat_map(stream::iter).then(move |case| async move {
            let saved = self.saved(&case?).await?;
            Ok(Selected::Saved(Box::new(saved)))
        })
    }

    fn pages<'a>(
        &'a self,
        ctx: &'a OpContext,
        project: &'a Name,
        select: &'a ReplaySelection,
    ) -> impl Stream<Item = Result<Selected, Error>> + Send + 'a {
        let begin: Pages = Some(None);
        stream::unfold(begin, move |cursor| async move {
            let cursor = cursor?;
            match self.page(ctx, (project, select), cursor).await {
                Ok((ids, next)) => {
                    let ids: Vec<_> =
                        ids.into_iter().map(|id| Ok(Selected::Recorded(id))).collect();
                    Some((ids, next.map(Some)))
                }
                Err(error) => Some((vec![Err(error)], None)),
            }
        })
        .flat_map(stream::iter)
    }

    async fn page(
        &self,
        ctx: &OpContext,
        (project, select): (&Name, &ReplaySelection),
        cursor: Option<Cursor>,
    ) -> Result<(Vec<InvocationId>, Option<Cursor>), Error> {
        let filter = InvocationFilter {
            project: Some(project.to_string()),
            range: TimeRange { since: select.since, until: select.until },
            function: select.function.as_ref().map(ToString::to_string),
            statuses: select.status.clone(),
            ..InvocationFilter::default()
        };
        let limit = limits::PAGE_ITEMS_MAX;
        let page = PageOptions { cursor, limit, data: false };
        if select.text.is_none() && select.expression.is_none() {
            let found = self.parts.log.invocations(&filter, cursor, limit).await?;
            let ids = found.items.into_iter().map(|row| row.id).collect();
            return Ok((ids, next_of(found.next.as_deref())?));
        }
        let wanted = Wanted { text: select.text.clone(), expression: select.expression.clone() };
        let found = self.search_invocations(ctx, filter, (wanted, page)).await?;
        let ids = found.items.into_iter().map(|row| row.id).collect();
        Ok((ids, next_of(found.next.as_deref())?))
    }
}

fn next_of(text: Option<&str>) -> Result<Option<Cursor>, Error> {
    let parse = |text: &str| text.parse().map_err(|at| Error::internal("read a cursor", at));
    text.map(parse).transpose()
}
