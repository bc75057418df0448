//! Tokens, authentication, authorisation: tables and properties.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod authorization;
mod scopes;
mod sessions;
mod tokens;
mod webhooks;
