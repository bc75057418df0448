//! Who may do what: pure decisions over immutable snapshots. No I/O, no clock.

mod authenticator;
mod authorize;
mod scope;
mod session;
mod token;
mod webhook;

pub use authenticator::{Authenticated, Authenticator, Entry};
pub use authorize::{Denied, Reason, authorize};
pub use scope::{ScopeError, parse_scope, parse_scopes, scope_word};
pub use session::{SessionError, Sessions};
pub use token::{Token, TokenError, TokenHash};
pub use webhook::{SignatureError, Signed, WebhookKeys};
