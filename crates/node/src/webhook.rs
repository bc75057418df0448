//! Webhooks: a signed request of somebody else becomes an event for one function.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use nexus_model::record::StoredEvent;
use nexus_model::resource::{FunctionSpec, Resource, TriggerSpec, WebhookScheme, WebhookTrigger};
use nexus_model::view::AcceptedEvent;
use nexus_model::{AttributeValue, Code, Event, EventId, Name, OpContext, Partition, Timestamp};
use nexus_policy::{SignatureError, Signed, WebhookKeys};

use crate::catalog::Route;
use crate::doors::{Leads, Webhook};
use crate::emit::Targeted;
use crate::{Error, Node};

/// Keys that were read already, by project, secret and scheme.
pub(crate) type KnownKeys = HashMap<(Name, Name, &'static str), Arc<WebhookKeys>>;

impl Node {
    /// Takes a request to a webhook: checks its signature and makes an event of it for the route's
    /// function. Durable when it returns. A repetition with the same id is a duplicate.
    ///
    /// # Errors
    /// The signature is missing, wrong or too old; the signing key cannot be used; the body breaks the schema of its type; a limit.
    pub async fn webhook(
        &self,
        ctx: &OpContext,
        route: &Route,
        (headers, body): (&HeaderMap, Bytes),
    ) -> Result<AcceptedEvent, Error> {
        let Leads::Webhook(hook) = &route.door.leads else {
            return Err(Error::new(Code::NoRoute, "no webhook answers on this path"));
        };
        if self.is_draining() {
            return Err(Error::new(Code::ShuttingDown, "the server is shutting down"));
        }
        let now = self.parts.clock.now();
        let keys = self.webhook_keys(route.project(), hook).await?;
        verify((&keys, hook), (headers, &body), now)?;
        let id: EventId = self.parts.mint.mint(Partition::of(route.project().as_str(), ""));
        let event = event_of((route, hook), (headers, body), (id, now));
        event.validate().map_err(|error| Error::new(Code::BadRequest, error.to_string()))?;
        let warnings = self.check_schemas(route.project(), std::slice::from_ref(&event))?;
        let targeted = Targeted {
            id,
            event: StoredEvent::from(&event),
            target: route.function().to_string(),
            trigger: route.door.trigger().map(Name::to_string).unwrap_or_default(),
            cause: crate::emit::Cause::default(),
        };
        let mut accepted = self.accept_targeted((ctx, route.project()), targeted).await?;
        accepted.warning = warnings.into_iter().flatten().next();
        Ok(accepted)
    }

    async fn webhook_keys(
        &self,
        project: &Name,
        hook: &Webhook,
    ) -> Result<Arc<WebhookKeys>, Error> {
        let Some(secret) = &hook.secret else {
            // Only those have none that take requests of everybody.
            let keys = WebhookKeys::new(hook.verify, "");
            return keys.map(Arc::new).map_err(|error| {
                Error::new(Code::KeyUnusable, "the webhook names no secret").with_source(error)
            });
        };
        let key = (project.clone(), secret.clone(), word(hook.verify));
        if let Some(known) = self.webhook_keys.load().get(&key) {
            return Ok(Arc::clone(known));
        }
        let keys = self.signing_keys(project, secret, hook.verify).await;
        let keys = Arc::new(keys.map_err(|error| {
            match error.code() {
                // No fault of the sender: it is accepted again once the secret is right.
                Code::BadResource => Error::new(Code::KeyUnusable, error.detail())
                    .with_hint(error.hint().unwrap_or_default())
                    .with_source(error),
                _ => error,
            }
        })?);
        self.webhook_keys.rcu(|known| {
            let mut known = KnownKeys::clone(known);
            known.insert(key.clone(), Arc::clone(&keys));
            known
        });
        Ok(keys)
    }

    async fn signing_keys(
        &self,
        project: &Name,
        secret: &Name,
        scheme: WebhookScheme,
    ) -> Result<WebhookKeys, Error> {
        let (_, value) = self.secret_value(project, secret, None).await?;
        WebhookKeys::new(scheme, &value).map_err(|error| {
            let reason = match error {
                SignatureError::BadKey(reason) => reason.to_owned(),
                error => error.to_string(),
            };
            let word = word(scheme);
            let detail = format!("secret '{secret}' is no signing key for '{word}': {reason}");
            let form = match scheme {
                WebhookScheme::Standard => "whsec_ and the key in base 64",
                _ => "the text that the sender signs with",
            };
            Error::new(Code::BadResource, detail)
                .with_hint(format!("set it to {form}: nexus secrets set {secret}"))
        })
    }

    /// The signing keys of a function's webhooks can be used: who declares them learns it, not who
    /// sends the first request. Those that `known` has already were accepted when they came.
    pub(crate) async fn check_webhooks(
        &self,
        project: &Name,
        hooks: &[WebhookTrigger],
        known: Option<&FunctionSpec>,
    ) -> Result<(), Error> {
        for (index, hook) in hooks.iter().enumerate() {
            if known.is_none_or(|known| !known.on.webhooks.contains(hook)) {
                self.check_webhook(project, &format!("spec.on.webhooks[{index}]"), hook).await?;
            }
        }
        Ok(())
    }

    /// The same for a webhook that is a resource of its own.
    pub(crate) async fn check_trigger_webhook(&self, resource: &Resource) -> Result<(), Error> {
        let read = |resource: &Resource| {
            serde_json::from_value::<TriggerSpec>(resource.spec.clone())
                .map_err(|error| Error::internal("read a trigger", error))
        };
        let (Some(project), Some(hook)) = (&resource.metadata.project, read(resource)?.webhook)
        else {
            return Ok(());
        };
        let known = self.parts.store.get(&resource.key()).await?;
        match known.map(|known| read(&known)).transpose()?.and_then(|known| known.webhook) {
            // To pause it, say, must not fail for a secret that was deleted.
            Some(known) if known == hook => Ok(()),
            _ => self.check_webhook(project, "spec.webhook", &hook).await,
        }
    }

    async fn check_webhook(
        &self,
        project: &Name,
        field: &str,
        hook: &WebhookTrigger,
    ) -> Result<(), Error> {
        let Some(secret) = &hook.secret else { return Ok(()) };
        let keys = self.signing_keys(project, secret, hook.verify).await;
        keys.map(drop).map_err(|error| {
            let hint = error.hint().unwrap_or_default().to_owned();
            Error::new(error.code(), format!("{field}.secret: {}", error.detail())).with_hint(hint)
        })
    }

    /// Makes the next request of every webhook of a project read its key again: a secret changed.
    pub(crate) fn forget_webhook_keys(&self, project: &Name) {
        self.webhook_keys.rcu(|known| {
            let mut known = KnownKeys::clone(known);
            known.retain(|(at, _, _), _| at != project);
            known
        });
    }
}

fn word(scheme: WebhookScheme) -> &'static str {
    match scheme {
        WebhookScheme::Standard => "standard",
        WebhookScheme::Github => "github",
        WebhookScheme::Stripe => "stripe",
        WebhookScheme::None => "none",
    }
}

/// A header that is there exactly once, as text.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn verify(
    (keys, hook): (&WebhookKeys, &Webhook),
    (headers, body): (&HeaderMap, &[u8]),
    now: Timestamp,
) -> Result<(), Error> {
    let header = |name: &str| single(headers, name);
    let signed = Signed { header: &header, body, now, tolerance: hook.tolerance };
    keys.verify(&signed).map_err(|error| refused(&error, hook.verify))
}

fn refused(error: &SignatureError, scheme: WebhookScheme) -> Error {
    let hint = match error {
        SignatureError::TooOld { .. } | SignatureError::InFuture { .. } => {
            "compare the clocks of sender and server; `tolerance` of the webhook widens the window"
        }
        SignatureError::NoMatch => {
            "compare the secret with the sender's; a proxy in between must not change the body"
        }
        _ => "compare `verify` of the webhook with what the sender does",
    };
    Error::new(Code::BadSignature, format!("{} ({})", error, word(scheme))).with_hint(hint)
}

/// The event of a request that was found to be genuine.
fn event_of(
    (route, hook): (&Route, &Webhook),
    (headers, body): (&HeaderMap, Bytes),
    (id, now): (EventId, Timestamp),
) -> Event {
    let json: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let field = |name: &str| json.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let header = |name: &str| single(headers, name).map(str::to_owned);
    let stated = match hook.verify {
        WebhookScheme::Standard => header("webhook-id"),
        WebhookScheme::Github => header("x-github-delivery"),
        WebhookScheme::Stripe => field("id"),
        WebhookScheme::None => header("webhook-id").or_else(|| header("x-github-delivery")),
    };
    let stated = stated.filter(|at| !at.is_empty());
    let source = format!("/nexus/{}/{}{}", route.project(), route.function(), route.door.path);
    let mut event =
        Event::new(stated.unwrap_or_else(|| id.to_string()), uri_safe(&source), &*hook.ty);
    event.time = Some(signed_at(hook.verify, headers).unwrap_or(now));
    event.subject = header("x-github-event").or_else(|| field("type")).filter(|at| !at.is_empty());
    for (name, from) in [
        ("githubhook", "x-github-hook-id"),
        ("githubtarget", "x-github-hook-installation-target-id"),
        ("traceparent", "traceparent"),
        ("tracestate", "tracestate"),
    ] {
        if let Some(value) = header(from).filter(|value| !value.is_empty()) {
            event.extensions.push((name.to_owned(), AttributeValue::String(value)));
        }
    }
    if !body.is_empty() {
        let stated = header("content-type").filter(|at| !at.is_empty());
        let guess = if json.is_some() { "application/json" } else { "application/octet-stream" };
        event.datacontenttype = Some(stated.unwrap_or_else(|| guess.to_owned()));
        event.data = Some(body);
    }
    event
}

/// When the sender signed it, in the schemes that say so.
fn signed_at(scheme: WebhookScheme, headers: &HeaderMap) -> Option<Timestamp> {
    let seconds = match scheme {
        WebhookScheme::Standard => single(headers, "webhook-timestamp")?,
        WebhookScheme::Stripe => single(headers, "stripe-signature")?
            .split(',')
            .find_map(|part| part.trim().strip_prefix("t="))?,
        WebhookScheme::Github | WebhookScheme::None => return None,
    };
    let seconds: i64 = seconds.parse().ok()?;
    seconds.checked_mul(1_000_000_000).map(Timestamp::from_unix_ns)
}

/// Paths may hold characters that URI references may not.
fn uri_safe(path: &str) -> String {
    let mut safe = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte) {
            safe.push(byte as char);
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    safe
}
