//! The application layer: one method per use case, and the only implementer of [`nexus_exec::Host`].
//!
//! It never sees a web framework: requests come as `http` types, errors leave as [`Error`] with a
//! stable code. The [`OpContext`](nexus_model::OpContext) is the first parameter of every use case,
//! and authorisation is its first step.
//!
//! ```text
//!   serve.rs      the synchronous path: route → admission → guest → answer; recording behind it
//!   delivery.rs   the asynchronous path: attempts for the engine, also those that go on
//!   waited.rs     callers that wait for durable functions
//!   guarded.rs    breakers, fallbacks and cached results of synchronous calls
//!   invoke.rs     direct calls; deferred.rs: those that nobody waits for; unbegun.rs: those without
//!                 an attempt; underway.rs: those that have not ended;
//!                 ongoing.rs: those whose callers wait
//!   webhook.rs, schedules.rs, dead_letters.rs, cancel.rs   events on their way
//!   why.rs, decisions.rs                                   where they are, and what they came to
//!   host.rs       what guests may do to the world, with calls.rs, state.rs and durable.rs
//!   deploy.rs, resources.rs, functions.rs, triggers.rs, schemas.rs, secrets.rs   what is declared
//!   state_views.rs, state_edits.rs                         state of functions, from outside
//!   sessions.rs   browsers that sign in
//!   emit.rs, history.rs, log_lines.rs, follow.rs, replay.rs  what happened and what ran
//!   stats.rs, search.rs, graph.rs, changes.rs, nodes.rs, metrics.rs  the same as a whole
//!   debug.rs, profile.rs                                   looking into what ran
//!   collect.rs    what nobody refers to any more
//!   compare.rs, replays.rs, suites.rs, cases.rs            other versions in what ran
//! ```

mod admission;
mod answer;
mod audit;
mod bodies;
mod buckets;
mod cache_key;
mod call_policy;
mod calls;
mod cancel;
mod cases;
mod catalog;
mod chain;
mod changes;
mod collect;
mod compare;
mod config;
mod dead_letters;
mod debug;
mod decisions;
mod default_project;
mod deferred;
mod deleted;
mod delivery;
mod deploy;
mod deployment;
mod doors;
mod durable;
mod egress;
mod emit;
mod error;
mod follow;
mod functions;
mod graph;
mod guarded;
mod history;
mod host;
mod invoke;
mod keys;
mod loaded;
mod log_lines;
mod memory;
mod metrics;
mod missing;
mod node;
mod nodes;
mod ongoing;
mod outbound;
mod pieces;
mod profile;
mod readiness;
mod record;
mod redact;
mod replay;
mod replays;
mod resources;
mod result_cache;
mod routes;
mod schedules;
mod schema_views;
mod schemas;
mod search;
mod secrets;
mod serve;
mod sessions;
mod sets;
mod sources;
mod stack;
mod state;
mod state_edits;
mod state_views;
mod stats;
mod suites;
mod tasks;
mod tokens;
mod trace;
mod trigger_views;
mod triggers;
mod types;
mod unbegun;
mod underway;
mod upload;
mod validate;
mod versions;
mod views;
mod waited;
mod waiters;
mod webhook;
mod why;
mod words;

pub use bodies::sound_blob;
pub use catalog::Route;
pub use collect::Collected;
pub use config::{Mode, NodeConfig, Parts};
pub use dead_letters::{DeadLetterFilter, RedriveOptions};
pub use deferred::{Later, ResultOf};
pub use deployment::Deployment;
pub use error::Error;
pub use graph::GraphOptions;
pub use keys::MasterKey;
pub use log_lines::LogPlace;
pub use nexus_engine::checkpoint_position;
pub use nexus_log::{LogStats, VerifyReport};
pub use node::{BlobArtifacts, CHECKPOINT_FILE, Node};
pub use profile::ProfileFormat;
pub use search::Wanted;
pub use sessions::{OpenedSession, SessionLink, SignIn};
pub use sets::{Application, SET};
pub use state_views::{StatePlace, StateQuery, StateSpace, StreamQuery, value_view};
pub use stats::StatsQuery;
pub use tasks::Tasks;
pub use types::{
    AppliedView, CreatedToken, Deploy, DeploymentView, Followed, Following, Identity, InvokeInput,
    InvokeOutput, LogFilter, NewToken, PageOptions, Readiness, ReplayOptions,
};
