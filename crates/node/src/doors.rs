//! The ways on the ingress to a function: its own routes and webhooks, and those of triggers.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use nexus_model::Name;
use nexus_model::resource::{
    HttpRoute, RouteAuth, TriggerSpec, Triggers, WebhookScheme, WebhookTrigger, World,
};

use crate::Mode;
use crate::catalog::{Current, Function};
use crate::routes::Pattern;

/// The type of events that webhooks make, where nothing else is said.
pub(crate) const WEBHOOK_TYPE: &str = "dev.nexus.webhook";
/// How old a signed timestamp may be, where nothing else is said.
const TOLERANCE_DEFAULT: Duration = Duration::from_secs(300);

/// One way to a function.
#[derive(Clone)]
pub(crate) struct RouteEntry {
    pub(crate) function: Arc<Function>,
    pub(crate) door: Arc<Door>,
}

/// A way to a function, before it is known to which version.
pub(crate) struct Door {
    /// Which of its function's routes or webhooks it is.
    index: u32,
    pub(crate) path: Box<str>,
    pub(crate) leads: Leads,
    /// What most ways do not say.
    said: Option<Box<Said>>,
}

#[derive(Default, PartialEq)]
struct Said {
    trigger: Option<Name>,
    host: Option<Box<str>>,
    methods: Box<[Method]>,
}

impl Said {
    fn of(host: Option<&String>, methods: Box<[Method]>) -> Self {
        Said { trigger: None, host: host.map(|at| at.to_ascii_lowercase().into()), methods }
    }

    fn boxed(self) -> Option<Box<Said>> {
        (self != Said::default()).then(|| Box::new(self))
    }
}

/// The ways of one function: mostly one.
pub(crate) enum Doors {
    One(Arc<Door>),
    Many(Box<[Arc<Door>]>),
}

impl Default for Doors {
    fn default() -> Self {
        Doors::Many(Box::default())
    }
}

impl Deref for Doors {
    type Target = [Arc<Door>];

    fn deref(&self) -> &[Arc<Door>] {
        match self {
            Doors::One(door) => std::slice::from_ref(door),
            Doors::Many(doors) => doors,
        }
    }
}

impl FromIterator<Door> for Doors {
    fn from_iter<I: IntoIterator<Item = Door>>(doors: I) -> Self {
        let mut doors: Vec<Arc<Door>> = doors.into_iter().map(Arc::new).collect();
        match doors.pop() {
            Some(only) if doors.is_empty() => Doors::One(only),
            last => Doors::Many(doors.into_iter().chain(last).collect()),
        }
    }
}

/// What happens to a request.
pub(crate) enum Leads {
    /// The function answers it.
    Call(RouteAuth),
    /// It becomes an event.
    Webhook(Box<Webhook>),
}

/// How a request becomes an event.
pub(crate) struct Webhook {
    pub(crate) verify: WebhookScheme,
    pub(crate) secret: Option<Name>,
    pub(crate) tolerance: Duration,
    pub(crate) ty: Box<str>,
}

impl Door {
    fn http(route: &HttpRoute, index: usize, mode: Mode) -> Self {
        let auth = route.auth.unwrap_or(match mode {
            Mode::Dev => RouteAuth::None,
            // What `serve` insists on is checked at apply; a default route there takes tokens.
            Mode::Serve => RouteAuth::Token,
        });
        let methods = route.methods.iter().filter_map(|at| at.to_ascii_uppercase().parse().ok());
        Door {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            path: route.path.as_str().into(),
            leads: Leads::Call(auth),
            said: Said::of(route.host.as_ref(), methods.collect()).boxed(),
        }
    }

    fn webhook(hook: &WebhookTrigger, index: usize) -> Self {
        // `OPTIONS` is how senders of CloudEvents ask whether they may send.
        let methods = [Method::POST, Method::OPTIONS].into();
        Door {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            path: hook.path.as_str().into(),
            said: Said::of(hook.host.as_ref(), methods).boxed(),
            leads: Leads::Webhook(Box::new(Webhook {
                verify: hook.verify,
                secret: hook.secret.clone(),
                tolerance: hook.tolerance.map_or(TOLERANCE_DEFAULT, |at| at.duration()),
                ty: hook.ty.as_deref().unwrap_or(WEBHOOK_TYPE).into(),
            })),
        }
    }

    /// The Trigger resource that it comes from; `None` for the function's own.
    pub(crate) fn trigger(&self) -> Option<&Name> {
        self.said.as_ref()?.trigger.as_ref()
    }

    /// The host in lowercase; `None` for the project's own.
    pub(crate) fn host(&self) -> Option<&str> {
        self.said.as_ref()?.host.as_deref()
    }

    /// Empty for all.
    pub(crate) fn methods(&self) -> &[Method] {
        self.said.as_ref().map_or(&[], |said| &said.methods)
    }

    /// What it matches. The path was checked when it was applied; one that an older version let
    /// pass matches nothing.
    pub(crate) fn pattern(&self) -> Option<Pattern> {
        match &self.leads {
            Leads::Call(_) => Pattern::parse(&self.path).ok(),
            Leads::Webhook(_) => Pattern::exactly(&self.path).ok(),
        }
    }

    /// The field that says it, for errors.
    pub(crate) fn field(&self) -> String {
        match (self.trigger(), &self.leads) {
            (Some(_), Leads::Call(_)) => "spec.http".to_owned(),
            (Some(_), Leads::Webhook(_)) => "spec.webhook".to_owned(),
            (None, Leads::Call(_)) => format!("on.http[{}]", self.index),
            (None, Leads::Webhook(_)) => format!("on.webhooks[{}]", self.index),
        }
    }

    /// Whether a request of this method may come in.
    pub(crate) fn takes(&self, method: &Method) -> bool {
        let methods = self.methods();
        methods.is_empty()
            // Who answers GET answers HEAD.
            || methods.iter().any(|at| at == method || (method == Method::HEAD && at == Method::GET))
    }

    /// Whether a request could go to either.
    pub(crate) fn overlaps(&self, other: &Door) -> bool {
        let (methods, others) = (self.methods(), other.methods());
        methods.is_empty() || others.is_empty() || methods.iter().any(|at| others.contains(at))
    }
}

/// The ways of a function itself.
pub(crate) fn of_function(
    name: &Name,
    on: &Triggers,
    (current, mode): (Option<Current>, Mode),
) -> Doors {
    let routes = effective_routes(name, current, &on.http);
    let routes = routes.iter().enumerate().map(|(at, route)| Door::http(route, at, mode));
    let hooks = on.webhooks.iter().enumerate().map(|(at, hook)| Door::webhook(hook, at));
    routes.chain(hooks).collect()
}

/// The way of a trigger, where it is one on the ingress.
pub(crate) fn of_trigger(name: &Name, spec: &TriggerSpec, mode: Mode) -> Option<Door> {
    let door = match (&spec.http, &spec.webhook) {
        (Some(route), _) => Door::http(route, 0, mode),
        (None, Some(hook)) => Door::webhook(hook, 0),
        (None, None) => return None,
    };
    let said = door.said.map(|said| *said).unwrap_or_default();
    Some(Door { said: Said { trigger: Some(name.clone()), ..said }.boxed(), ..door })
}

/// The routes of a function: those that it states, or `/{name}` for an HTTP function that has none.
pub(crate) fn effective_routes(
    name: &Name,
    current: Option<Current>,
    stated: &[HttpRoute],
) -> Vec<HttpRoute> {
    let http = current.is_some_and(|at| at.world == World::Http);
    if !stated.is_empty() || !http {
        return stated.to_vec();
    }
    vec![HttpRoute { path: format!("/{name}"), methods: Vec::new(), host: None, auth: None }]
}
