//! What the specs of functions and triggers mean for deliveries. Most say the same, or nothing:
//! equal settings are kept once, so that a hundred thousand functions take little memory.

use std::collections::HashMap;
use std::sync::Arc;

use nexus_model::resource::{CronTrigger, EventTrigger, FunctionConfig, FunctionSpec, TriggerSpec};
use nexus_model::resource::{DeliveryConfig, Triggers};

use crate::settings::Settings;

/// Below this nothing is looked through for what nobody uses any more.
const SWEEP_MIN: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Specs {
    undeclared: Arc<Settings>,
    /// By what they were made of.
    settings: HashMap<Arc<str>, Arc<Settings>>,
    /// How many there may be before those are forgotten that nobody uses.
    sweep_at: usize,
}

/// A function's spec, as far as it matters here.
pub(crate) struct OfFunction {
    /// It as JSON; empty for a function that was deleted.
    pub(crate) text: Arc<str>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) events: Vec<EventTrigger>,
    pub(crate) cron: Vec<CronTrigger>,
}

impl Specs {
    /// The settings of a function that was called before it was declared.
    pub(crate) fn undeclared(&self) -> Arc<Settings> {
        Arc::clone(&self.undeclared)
    }

    /// Reads the spec of a function: a whole one, or the text of an [`OfFunction`].
    pub(crate) fn function(&mut self, json: &str) -> OfFunction {
        if let Some((text, settings)) = self.settings.get_key_value(json) {
            let (text, settings) = (Arc::clone(text), Arc::clone(settings));
            return OfFunction { text, settings, events: Vec::new(), cron: Vec::new() };
        }
        let spec = function_spec(json);
        let (on, delivery, config) = (spec.on, spec.delivery, spec.config);
        let mut part = FunctionSpec {
            delivery,
            config: FunctionConfig {
                concurrency: config.concurrency,
                attempts: config.attempts,
                durable: config.durable,
                ..FunctionConfig::default()
            },
            ..FunctionSpec::default()
        };
        // What settings are kept under is the text of a function without triggers.
        let made_of = text_of(&part);
        let (mut text, settings) = self.settings(made_of, || Settings::of(&part, None));
        part.on = Triggers { http: Vec::new(), webhooks: Vec::new(), ..on };
        if json.is_empty() {
            text = Arc::default();
        } else if part.on != Triggers::default() {
            text = text_of(&part).into();
        }
        OfFunction { text, settings, events: part.on.events, cron: part.on.cron }
    }

    /// The settings of a trigger of a function, or of what is left of one.
    pub(crate) fn trigger(
        &mut self,
        function: Option<&str>,
        trigger: Option<&TriggerSpec>,
    ) -> Arc<Settings> {
        let function = function.unwrap_or_default();
        let stated: Option<(bool, &DeliveryConfig)> = trigger.map(|at| (at.paused, &at.delivery));
        // No text of a function has a line break.
        let made_of = format!("{function}\n{}", text_of(&stated));
        self.settings(made_of, || Settings::of(&function_spec(function), trigger)).1
    }

    /// The settings that are made of this, with the one copy of what they are made of.
    fn settings(
        &mut self,
        made_of: String,
        make: impl FnOnce() -> Settings,
    ) -> (Arc<str>, Arc<Settings>) {
        if let Some((made_of, known)) = self.settings.get_key_value(made_of.as_str()) {
            return (Arc::clone(made_of), Arc::clone(known));
        }
        if self.settings.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.settings.retain(|_, settings| Arc::strong_count(settings) > 1);
            self.sweep_at = self.settings.len() * 2;
        }
        let (made_of, made) = (Arc::from(made_of), Arc::new(make()));
        self.settings.insert(Arc::clone(&made_of), Arc::clone(&made));
        (made_of, made)
    }
}

/// What was read can be written.
fn text_of(spec: &impl serde::Serialize) -> String {
    serde_json::to_string(spec).unwrap_or_default()
}

/// The node refuses what is invalid; what slips through says nothing.
pub(crate) fn function_spec(json: &str) -> FunctionSpec {
    serde_json::from_str(json).unwrap_or_default()
}

pub(crate) fn trigger_spec(json: &str) -> Option<TriggerSpec> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_for_deliveries_is_left_out_and_what_is_equal_kept_once() {
        let mut specs = Specs::default();
        let a = specs.function(
            r#"{"description":"a","on":{"http":[{"path":"/a"}]},"env":{"X":"1"},"attempts":3}"#,
        );
        let b = specs.function(r#"{"on":{"http":[{"path":"/b"}]},"attempts":3,"timeout-ms":9}"#);
        assert_eq!(&*a.text, r#"{"on":{},"attempts":3,"record":"always"}"#);
        assert!(Arc::ptr_eq(&a.text, &b.text) && Arc::ptr_eq(&a.settings, &b.settings));
        let other = specs.function(r#"{"attempts":4}"#);
        assert_ne!(other.settings, a.settings);

        let events = specs.function(r#"{"on":{"events":[{"type":"t"}]},"attempts":3}"#);
        assert!(Arc::ptr_eq(&events.settings, &a.settings));
        assert_eq!((events.events.len(), events.cron.len()), (1, 0));
        let text = r#"{"on":{"events":[{"type":"t"}]},"attempts":3,"record":"always"}"#;
        assert_eq!(&*events.text, text);
    }

    #[test]
    fn a_text_is_read_as_what_it_was_made_of() {
        for json in [
            "",
            "{}",
            "nonsense",
            r#"{"durable":true,"concurrency":3,"delivery":{"key":"subject","order":"relaxed"}}"#,
            r#"{"on":{"cron":[{"schedule":"* * * * *"}],"events":[{"type":"a"},{"type":"b"}]}}"#,
        ] {
            let made = Specs::default().function(json);
            assert_eq!(made.text.is_empty(), json.is_empty());
            for specs in [&mut Specs::default(), &mut {
                let mut at = Specs::default();
                at.function(json);
                at
            }] {
                let again = specs.function(&made.text);
                assert_eq!(again.text, made.text, "{json}");
                assert_eq!(again.settings, made.settings, "{json}");
                assert_eq!((again.events, again.cron), (made.events.clone(), made.cron.clone()));
            }
            assert_eq!(*made.settings, Settings::of(&function_spec(json), None), "{json}");
        }
    }

    #[test]
    fn settings_of_triggers_are_those_of_both_and_nobodys_are_forgotten() {
        let mut specs = Specs::default();
        let function = r#"{"on":{},"attempts":3}"#;
        let spec = |json: &str| trigger_spec(json).unwrap();
        let one = spec(r#"{"function":"f","event":{"type":"a"},"delivery":{"concurrency":2}}"#);
        let two = spec(r#"{"function":"f","event":{"type":"b"},"delivery":{"concurrency":2}}"#);
        let (a, b) =
            (specs.trigger(Some(function), Some(&one)), specs.trigger(Some(function), Some(&two)));
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!(*a, Settings::of(&function_spec(function), Some(&one)));
        let paused = spec(r#"{"function":"f","paused":true,"delivery":{"concurrency":2}}"#);
        assert!(specs.trigger(Some(function), Some(&paused)).paused);
        // Nothing stated is not the same as no trigger: its limits are the function's.
        let none = spec(r#"{"function":"f"}"#);
        assert_eq!(*specs.trigger(None, None), Settings::of(&FunctionSpec::default(), None));
        assert_eq!(
            *specs.trigger(None, Some(&none)),
            Settings::of(&FunctionSpec::default(), Some(&none))
        );

        for attempts in 0..10_000 {
            specs.function(&format!(r#"{{"attempts":{attempts}}}"#));
        }
        assert!(specs.settings.len() <= SWEEP_MIN, "{}", specs.settings.len());
    }
}
