//! What changed lately: the audit events of resources, for people.

use nexus_model::record::EventRecord;
use nexus_model::view::ChangeView;
use nexus_model::{EventFilter, Name, OpContext, Page, Timestamp};
use serde_json::Value;

use crate::history::{page_size, reach};
use crate::{Error, Node, PageOptions};

/// How the types of audit events begin.
const AUDIT: &str = "dev.nexus.resource.";

impl Node {
    /// Changes of resources, the newest first. What was changed is not in it, only that.
    ///
    /// # Errors
    /// The caller may not read there; the cursor has expired; the log cannot be read.
    pub async fn changes(
        &self,
        ctx: &OpContext,
        mut project: Option<String>,
        page: PageOptions,
    ) -> Result<Page<ChangeView>, Error> {
        reach(ctx, &mut project)?;
        let filter =
            EventFilter { project, ty: Some(format!("{AUDIT}*")), ..EventFilter::default() };
        let found = self.parts.log.events(&filter, page.cursor, page_size(page.limit)).await?;
        Ok(Page { items: found.items.iter().filter_map(change).collect(), next: found.next })
    }
}

fn change(record: &EventRecord) -> Option<ChangeView> {
    let event = record.event.to_event();
    // The subject is `Function shop/hello`, or `Project shop`.
    let (kind, key) = event.subject.as_deref()?.split_once(' ')?;
    let (project, name) = match key.split_once('/') {
        Some((project, name)) => (Name::new(project).ok(), name),
        None => (None, key),
    };
    let data: Value = serde_json::from_slice(event.data.as_deref()?).ok()?;
    Some(ChangeView {
        at: event.time.unwrap_or(Timestamp::from_unix_ns(record.received_ns)),
        event: record.event_id()?,
        principal: record.meta.principal.clone(),
        action: event.ty.strip_prefix(AUDIT)?.to_owned(),
        kind: kind.to_owned(),
        project,
        name: name.to_owned(),
        revision: data["revision"].as_u64(),
    })
}
