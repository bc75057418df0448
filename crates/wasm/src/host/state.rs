//! `nexus:function/state`: keys with versions, and streams of events.

use bytes::Bytes;
use nexus_exec::journal::{Fault, Function, Item, Outcome, hash_arguments};
use nexus_exec::{
    Keyed, Namespace, StateAppend, StateError as HostError, StateKey, StateScan, StateWrite,
};
use nexus_model::limits;
use nexus_wit::state::{self, Entry, KeyedEntry, StateError, StreamEvent};

use super::calls::shortened;
use super::operation::Operation;
use crate::state::State;

// Numbers are part of the journal's format and never reused.
const CONFLICT: u8 = 1;
const INVALID: u8 = 2;
const UNAVAILABLE: u8 = 3;

impl state::Host for State {
    async fn get(
        &mut self,
        namespace: Option<String>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Entry>, StateError>> {
        let key = state_key(namespace, key);
        let operation = operation(Function::StateGet, &key, &[]);
        let outcome = self
            .ask(&operation, |live| async move {
                outcome(live.host.state_get(&live.context, key).await.map(Vec::from_iter))
            })
            .await?;
        let items = self.items(operation.function, outcome)?;
        let first = items.map(|items| items.into_iter().next());
        let entry = |item: Item| Entry { value: item.value.to_vec(), version: item.version };
        Ok(first.map(|first| first.map(entry)))
    }

    async fn put(
        &mut self,
        namespace: Option<String>,
        key: String,
        value: Vec<u8>,
        expected: Option<u64>,
    ) -> wasmtime::Result<Result<u64, StateError>> {
        let key = state_key(namespace, key);
        let operation = operation(Function::StatePut, &key, &[&optional(expected), &value]);
        self.write(operation, (key, Some(Bytes::from(value))), expected).await
    }

    async fn delete(
        &mut self,
        namespace: Option<String>,
        key: String,
        expected: Option<u64>,
    ) -> wasmtime::Result<Result<(), StateError>> {
        let key = state_key(namespace, key);
        let operation = operation(Function::StateDelete, &key, &[&optional(expected)]);
        Ok(self.write(operation, (key, None), expected).await?.map(drop))
    }

    async fn scan(
        &mut self,
        namespace: Option<String>,
        prefix: String,
        after: Option<String>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<KeyedEntry>, StateError>> {
        let prefix = state_key(namespace, prefix);
        let after = after.unwrap_or_default();
        let rest: [&[u8]; 2] = [after.as_bytes(), &max.to_le_bytes()];
        let operation = operation(Function::StateScan, &prefix, &rest);
        let outcome = self
            .ask(&operation, |live| async move {
                let scan = StateScan { prefix, after, max };
                outcome(live.host.state_scan(&live.context, scan).await)
            })
            .await?;
        let items = self.items(operation.function, outcome)?;
        let entry = |item: Item| KeyedEntry {
            key: item.key,
            value: item.value.to_vec(),
            version: item.version,
        };
        Ok(items.map(|items| items.into_iter().map(entry).collect()))
    }

    async fn append(
        &mut self,
        namespace: Option<String>,
        name: String,
        events: Vec<Vec<u8>>,
        expected: Option<u64>,
    ) -> wasmtime::Result<Result<u64, StateError>> {
        let stream = state_key(namespace, name);
        let expects = optional(expected);
        let mut parts: Vec<&[u8]> = vec![&expects];
        parts.extend(events.iter().map(|event| &event[..]));
        let operation = operation(Function::StreamAppend, &stream, &parts);
        let outcome = self
            .effect(&operation, |live| async move {
                let events = events.into_iter().map(Bytes::from).collect();
                let operation = live.repeatable();
                let append = StateAppend { stream, expected, events, operation };
                version(live.host.stream_append(&live.context, append).await)
            })
            .await?;
        self.version_of(operation.function, outcome)
    }

    async fn read(
        &mut self,
        namespace: Option<String>,
        name: String,
        after: u64,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<StreamEvent>, StateError>> {
        let stream = state_key(namespace, name);
        let rest: [&[u8]; 2] = [&after.to_le_bytes(), &max.to_le_bytes()];
        let operation = operation(Function::StreamRead, &stream, &rest);
        let outcome = self
            .ask(&operation, |live| async move {
                outcome(live.host.stream_read(&live.context, stream, (after, max)).await)
            })
            .await?;
        let items = self.items(operation.function, outcome)?;
        let event = |item: Item| StreamEvent { version: item.version, data: item.value.to_vec() };
        Ok(items.map(|items| items.into_iter().map(event).collect()))
    }
}

impl State {
    async fn write(
        &mut self,
        operation: Operation,
        (key, value): (StateKey, Option<Bytes>),
        expected: Option<u64>,
    ) -> wasmtime::Result<Result<u64, StateError>> {
        let outcome = self
            .effect(&operation, |live| async move {
                let operation = live.repeatable();
                let write = StateWrite { key, value, expected, operation };
                version(live.host.state_write(&live.context, write).await)
            })
            .await?;
        self.version_of(operation.function, outcome)
    }

    fn version_of(
        &self,
        function: Function,
        outcome: Outcome,
    ) -> wasmtime::Result<Result<u64, StateError>> {
        Ok(match outcome {
            Outcome::Number(version) => Ok(version),
            Outcome::Failed(fault) => Err(from_fault(fault)),
            other => return Err(self.unexpected(function, &other)),
        })
    }

    fn items(
        &self,
        function: Function,
        outcome: Outcome,
    ) -> wasmtime::Result<Result<Vec<Item>, StateError>> {
        Ok(match outcome {
            Outcome::Items(items) => Ok(items),
            Outcome::Failed(fault) => Err(from_fault(fault)),
            other => return Err(self.unexpected(function, &other)),
        })
    }
}

fn state_key(namespace: Option<String>, key: String) -> StateKey {
    StateKey { namespace: namespace.map_or(Namespace::Own, Namespace::Shared), key }
}

fn operation(function: Function, key: &StateKey, rest: &[&[u8]]) -> Operation {
    let (namespace, text) = match &key.namespace {
        Namespace::Own => ("", key.key.clone()),
        Namespace::Shared(shared) => (shared.as_str(), format!("{shared}: {}", key.key)),
    };
    let own = [u8::from(key.namespace == Namespace::Own)];
    let mut parts: Vec<&[u8]> = vec![&own, namespace.as_bytes(), key.key.as_bytes()];
    parts.extend(rest);
    Operation { function, arguments: hash_arguments(&parts), text: shortened(&text) }
}

/// `None` and every number are different.
fn optional(version: Option<u64>) -> Vec<u8> {
    version.map(|version| version.to_le_bytes().to_vec()).unwrap_or_default()
}

fn outcome(result: Result<Vec<Keyed>, HostError>) -> Outcome {
    let item = |found: Keyed| Item { key: found.key, version: found.version, value: found.value };
    match result {
        Ok(found) => {
            Outcome::Items(found.into_iter().take(limits::STATE_ITEMS_MAX).map(item).collect())
        }
        Err(error) => Outcome::Failed(to_fault(error)),
    }
}

fn version(result: Result<u64, HostError>) -> Outcome {
    match result {
        Ok(version) => Outcome::Number(version),
        Err(error) => Outcome::Failed(to_fault(error)),
    }
}

fn to_fault(error: HostError) -> Fault {
    match error {
        HostError::Conflict { version } => {
            Fault { code: CONFLICT, text: String::new(), number: Some(version) }
        }
        HostError::Invalid(text) => Fault { code: INVALID, text, number: None },
        HostError::Unavailable(text) => Fault { code: UNAVAILABLE, text, number: None },
    }
}

fn from_fault(fault: Fault) -> StateError {
    match fault.code {
        CONFLICT => StateError::Conflict(fault.number.unwrap_or_default()),
        UNAVAILABLE => StateError::Unavailable(fault.text),
        _ => StateError::Invalid(fault.text),
    }
}
