//! Schemas as people see them: list, check an event, propose one from recorded events.

use nexus_content::{Content, Inference};
use nexus_model::resource::{Kind, SchemaSpec};
use nexus_model::view::{InferredSchema, SchemaCheck, SchemaView};
use nexus_model::{
    Code, Cursor, Event, EventFilter, Name, OpContext, Scope, TimeRange, Timestamp, limits,
};

use crate::bodies::Lost;
use crate::{Error, Node};

/// Events that one inference looks at.
const SAMPLES_MAX: usize = 10_000;

impl Node {
    /// The schemas of a project, by name.
    ///
    /// # Errors
    /// The project does not exist, or the caller may not read it.
    pub async fn schemas(&self, ctx: &OpContext, project: &Name) -> Result<Vec<SchemaView>, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        self.require_project(project)?;
        let mode = self.catalog.project(project).map(|at| at.schemas.mode()).unwrap_or_default();
        let resources = self.all_of(Kind::Schema, project).await?;
        let view = |resource: nexus_model::resource::Resource| {
            let spec: SchemaSpec = serde_json::from_value(resource.spec)
                .map_err(|error| Error::internal("read a schema", error))?;
            Ok(SchemaView {
                project: project.clone(),
                name: resource.metadata.name,
                ty: spec.ty,
                description: spec.description,
                compatibility: spec.compatibility,
                versions: spec.versions.keys().copied().collect(),
                mode,
            })
        };
        resources.into_iter().map(view).collect()
    }

    /// Holds an event against the schema of its type, whatever the project does with those that
    /// break it.
    ///
    /// # Errors
    /// The event is none; the project does not exist, or the caller may not read it.
    pub fn check_event(
        &self,
        ctx: &OpContext,
        project: &Name,
        event: &Event,
    ) -> Result<SchemaCheck, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        self.require_project(project)?;
        event.validate().map_err(|error| Error::new(Code::BadEvent, error.to_string()))?;
        let known = self.catalog.project(project);
        let known = known.ok_or_else(|| Error::not_found(format_args!("project '{project}'")))?;
        let breach = known.schemas.check(event);
        Ok(SchemaCheck {
            valid: breach.is_none(),
            schema: known.schemas.owner(&event.ty).cloned(),
            breach: breach.map(|breach| breach.to_string()),
            mode: known.schemas.mode(),
        })
    }

    /// A schema that the newest recorded events of a type follow, at most 10,000 of them.
    ///
    /// # Errors
    /// The caller may not read payloads there; there is no such event with JSON data.
    pub async fn infer_schema(
        &self,
        ctx: &OpContext,
        project: &Name,
        (ty, since): (&str, Option<Timestamp>),
    ) -> Result<InferredSchema, Error> {
        nexus_policy::authorize(ctx, Scope::ReadPayload, Some(project))?;
        self.require_project(project)?;
        let filter = EventFilter {
            project: Some(project.to_string()),
            ty: Some(ty.to_owned()),
            range: TimeRange { since, until: None },
            ..EventFilter::default()
        };
        let mut inference = Inference::new();
        let mut events = 0;
        let mut cursor: Option<Cursor> = None;
        let mut looked_at = 0;
        while looked_at < SAMPLES_MAX {
            let page = self.parts.log.events(&filter, cursor, limits::PAGE_ITEMS_MAX).await?;
            looked_at += page.items.len();
            for mut record in page.items {
                self.fetch_event(&mut record, Lost::IsSaid).await?;
                if let Some(data) = &mut record.event.data {
                    // It is here now.
                    data.blob.clear();
                }
                if let Some(json) = Content::from(&record.event).json() {
                    inference.add(json);
                    events += 1;
                }
            }
            cursor = page.next.as_deref().and_then(|next| next.parse().ok());
            if cursor.is_none() {
                break;
            }
        }
        if events == 0 {
            return Err(Error::new(
                Code::NotFound,
                format!("no event of the type '{ty}' with JSON data is recorded"),
            )
            .with_hint("look further back: --since 30d"));
        }
        Ok(InferredSchema { ty: ty.to_owned(), events, schema: inference.schema() })
    }
}
