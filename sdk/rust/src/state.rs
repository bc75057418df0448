//! State that outlives an invocation: values by key, with versions, and streams of events.
//!
//! ```ignore
//! let cart = state::key("cart/42");
//! let found = cart.get::<Cart>()?;
//! let version = cart.put_if(&changed, found.map_or(0, |found| found.version))?;
//! ```

use crate::bindings::nexus::function::state as host;
use crate::{Error, FromData, ToData};

/// Why state was not read or written. By `?` a conflict becomes a transient [`Error`]: the retry
/// reads again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StateError {
    /// It has this version (0: it does not exist); another one was expected.
    Conflict(u64),
    /// A name breaks a rule, something is larger than its limit, or a value does not fit its type.
    Invalid(String),
    /// The store cannot do it now; a retry may help.
    Unavailable(String),
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Conflict(version) => Error::Transient(format!(
                "the state has changed meanwhile: its version is {version}"
            )),
            StateError::Invalid(reason) => Error::Permanent(reason),
            StateError::Unavailable(reason) => Error::Transient(reason),
        }
    }
}

impl From<host::StateError> for StateError {
    fn from(error: host::StateError) -> Self {
        match error {
            host::StateError::Conflict(version) => StateError::Conflict(version),
            host::StateError::Invalid(reason) => StateError::Invalid(reason),
            host::StateError::Unavailable(reason) => StateError::Unavailable(reason),
        }
    }
}

/// A value, or an event of a stream, with its version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// Of a key: a number that no earlier value of it had, and higher. Of an event: its place.
    pub version: u64,
}

/// A key of the function's own state.
pub fn key(key: impl Into<String>) -> Key {
    Key { namespace: None, key: key.into() }
}

/// A stream of the function's own.
pub fn stream(name: impl Into<String>) -> Stream {
    Stream { namespace: None, name: name.into() }
}

/// The value of a key, if it exists.
pub fn get<T: FromData>(key: &str) -> Result<Option<T>, StateError> {
    Ok(self::key(key).get()?.map(|found| found.value))
}

/// Writes the value of a key; gives its version.
pub fn put(key: &str, value: &impl ToData) -> Result<u64, StateError> {
    self::key(key).put(value)
}

/// Deletes a key, if it exists.
pub fn delete(key: &str) -> Result<(), StateError> {
    self::key(key).delete()
}

/// Keys and values that begin with a prefix, by key; at most so many.
pub fn list<T: FromData>(
    prefix: &str,
    max: u32,
) -> Result<Vec<(String, Versioned<T>)>, StateError> {
    self::key(prefix).list_after(None, max)
}

/// A key, or the beginning of keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    namespace: Option<String>,
    key: String,
}

impl Key {
    /// In a namespace that the functions of the project share.
    pub fn shared(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The value, if it exists.
    pub fn get<T: FromData>(&self) -> Result<Option<Versioned<T>>, StateError> {
        let found = host::get(self.namespace.as_deref(), &self.key)?;
        found.map(|found| versioned(found.value, found.version)).transpose()
    }

    /// Writes the value; gives its version.
    pub fn put(&self, value: &impl ToData) -> Result<u64, StateError> {
        self.write(value, None)
    }

    /// Writes the value only if the key has this version (0: only if it does not exist).
    pub fn put_if(&self, value: &impl ToData, version: u64) -> Result<u64, StateError> {
        self.write(value, Some(version))
    }

    fn write(&self, value: &impl ToData, version: Option<u64>) -> Result<u64, StateError> {
        let data = encode(value)?;
        Ok(host::put(self.namespace.as_deref(), &self.key, &data, version)?)
    }

    /// Deletes it, if it exists.
    pub fn delete(&self) -> Result<(), StateError> {
        Ok(host::delete(self.namespace.as_deref(), &self.key, None)?)
    }

    /// Deletes it only if it has this version.
    pub fn delete_if(&self, version: u64) -> Result<(), StateError> {
        Ok(host::delete(self.namespace.as_deref(), &self.key, Some(version))?)
    }

    /// Keys and values that begin with this one and follow `after`, by key; at most so many.
    pub fn list_after<T: FromData>(
        &self,
        after: Option<&str>,
        max: u32,
    ) -> Result<Vec<(String, Versioned<T>)>, StateError> {
        let found = host::scan(self.namespace.as_deref(), &self.key, after, max)?;
        let entry = |found: host::KeyedEntry| {
            Ok((found.key, versioned(found.value, found.version)?))
        };
        found.into_iter().map(entry).collect()
    }
}

/// A stream of events: only appended to, each event with the next version from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    namespace: Option<String>,
    name: String,
}

impl Stream {
    /// In a namespace that the functions of the project share.
    pub fn shared(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Appends events, all or none; gives the version of the last one. With a version only if the
    /// stream has it (0: only if it is empty).
    pub fn append<T: ToData>(
        &self,
        events: &[T],
        version: Option<u64>,
    ) -> Result<u64, StateError> {
        let events: Vec<_> = events.iter().map(encode).collect::<Result<_, _>>()?;
        Ok(host::append(self.namespace.as_deref(), &self.name, &events, version)?)
    }

    /// Up to `max` events after a version, oldest first.
    pub fn read<T: FromData>(
        &self,
        after: u64,
        max: u32,
    ) -> Result<Vec<Versioned<T>>, StateError> {
        let found = host::read(self.namespace.as_deref(), &self.name, after, max)?;
        found.into_iter().map(|event| versioned(event.data, event.version)).collect()
    }
}

fn encode(value: &impl ToData) -> Result<Vec<u8>, StateError> {
    let encoded = value.to_data().map_err(|error| StateError::Invalid(error.message().to_owned()));
    Ok(encoded?.0)
}

fn versioned<T: FromData>(data: Vec<u8>, version: u64) -> Result<Versioned<T>, StateError> {
    let value = T::from_data(data);
    let value = value.map_err(|error| StateError::Invalid(error.message().to_owned()))?;
    Ok(Versioned { value, version })
}
