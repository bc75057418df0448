//! Tokens, authentication, authorisation: tables and properties.

mod authorization;
mod scopes;
mod tokens;
