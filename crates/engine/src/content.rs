//! Stand-in for the crate `content` until it is merged: attributes and plain paths only.
use nexus_model::record::StoredEvent;
use serde::Deserialize;

pub(crate) struct Content<'a>(&'a StoredEvent);
impl<'a> From<&'a StoredEvent> for Content<'a> {
    fn from(event: &'a StoredEvent) -> Self {
        Content(event)
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct KeyExpression(String);
impl KeyExpression {
    pub(crate) fn parse(text: &str) -> Result<Self, ()> {
        Ok(KeyExpression(text.to_owned()))
    }
    pub(crate) fn key(&self, content: &Content<'_>) -> Option<String> {
        match self.0.as_str() {
            "subject" => content.0.subject.clone(),
            "type" => Some(content.0.ty.clone()),
            "id" => Some(content.0.id.clone()),
            name => content.0.extensions.iter().find(|at| at.name == name)?.string.clone(),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Selector {
    #[serde(rename = "type")]
    ty: Option<String>,
    source: Option<String>,
    subject: Option<String>,
}
impl Selector {
    pub(crate) fn compile(&self) -> Result<Selector, ()> {
        Ok(self.clone())
    }
}
#[derive(Debug)]
pub(crate) struct Index<K>(std::collections::BTreeMap<K, Selector>);
impl<K> Default for Index<K> {
    fn default() -> Self {
        Index(std::collections::BTreeMap::new())
    }
}
impl<K: Clone + Ord> Index<K> {
    pub(crate) fn insert(&mut self, key: K, selector: Selector) {
        self.0.insert(key, selector);
    }
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }
    pub(crate) fn matching(&self, content: &Content<'_>) -> Vec<K> {
        let fits = |pattern: &Option<String>, text: Option<&str>| match (pattern, text) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(pattern), Some(text)) => match pattern.strip_suffix('*') {
                Some(prefix) => text.starts_with(prefix),
                None => pattern == text,
            },
        };
        let event = content.0;
        let hit = |at: &Selector| {
            fits(&at.ty, Some(&event.ty))
                && fits(&at.source, Some(&event.source))
                && fits(&at.subject, event.subject.as_deref())
        };
        self.0.iter().filter(|(_, at)| hit(at)).map(|(key, _)| key.clone()).collect()
    }
}
