//! Structured log lines; each is kept with its level, trace id and invocation id.

pub use crate::bindings::nexus::function::log::Level;

/// A value of a field, as JSON text.
pub trait FieldValue {
    /// The JSON text.
    fn to_field(&self) -> String;
}

macro_rules! plain {
    ($($ty:ty),*) => {$(
        impl FieldValue for $ty {
            fn to_field(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

plain!(bool, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

impl FieldValue for f64 {
    fn to_field(&self) -> String {
        if self.is_finite() { self.to_string() } else { quote(&self.to_string()) }
    }
}

impl FieldValue for str {
    fn to_field(&self) -> String {
        quote(self)
    }
}

impl FieldValue for String {
    fn to_field(&self) -> String {
        quote(self)
    }
}

impl<T: FieldValue + ?Sized> FieldValue for &T {
    fn to_field(&self) -> String {
        (**self).to_field()
    }
}

impl<T: FieldValue> FieldValue for Option<T> {
    fn to_field(&self) -> String {
        self.as_ref().map_or_else(|| "null".to_owned(), FieldValue::to_field)
    }
}

fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            other if other < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(other))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// Writes a line. The macros [`crate::info!`] and so on are shorter. On your own machine, that is in
/// tests, lines go to standard error.
pub fn write(level: Level, message: &str, fields: &[(String, String)]) {
    if cfg!(target_arch = "wasm32") {
        crate::bindings::nexus::function::log::write(level, message, fields);
    } else {
        eprintln!("{level:?} {message} {fields:?}");
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $message:expr $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::log::write(
            $crate::log::Level::$level,
            &::std::string::String::from($message),
            &[$((
                ::std::string::String::from(stringify!($name)),
                $crate::log::FieldValue::to_field(&$value),
            )),*],
        )
    };
}

/// `debug!("message", field = value, …)`.
#[macro_export]
macro_rules! debug { ($($all:tt)*) => { $crate::__log!(Debug, $($all)*) }; }

/// `info!("message", field = value, …)`.
#[macro_export]
macro_rules! info { ($($all:tt)*) => { $crate::__log!(Info, $($all)*) }; }

/// `warn!("message", field = value, …)`.
#[macro_export]
macro_rules! warn { ($($all:tt)*) => { $crate::__log!(Warn, $($all)*) }; }

/// `error!("message", field = value, …)`.
#[macro_export]
macro_rules! error { ($($all:tt)*) => { $crate::__log!(Error, $($all)*) }; }
