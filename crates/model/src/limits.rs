//! Every limit that is the same everywhere. Those that can be configured have their default here.
//! `nexus limits` prints [`ALL`]; each error that a limit causes names the size and the limit.

mod list;

use std::time::Duration;

pub use list::{ALL, Limit};

/// The name of a CloudEvents extension attribute, in bytes (the specification advises 20).
pub const EXTENSION_NAME_BYTES_MAX: usize = 64;
/// One event with its data, in bytes.
pub const EVENT_BYTES_MAX: usize = 1 << 20;
/// Events in one batch request.
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// One batch request, in bytes.
pub const BATCH_BYTES_MAX: usize = 16 << 20;
/// One request body to a function, in bytes.
pub const REQUEST_BODY_BYTES_MAX: usize = 64 << 20;
/// One body that is kept in a recording, in bytes; a larger one makes the invocation not replayable.
pub const RECORD_BODY_BYTES_MAX: usize = 8 << 20;
/// What is kept inside a record; larger journals and bodies go to the blob store. In bytes.
pub const RECORD_INLINE_BYTES_MAX: usize = 256 << 10;
/// One journal, in bytes; a longer one makes the invocation not replayable.
pub const JOURNAL_BYTES_MAX: usize = 64 << 20;
/// Log lines kept per invocation.
pub const LOG_LINES_MAX: usize = 1_000;
/// Log text kept per invocation, in bytes.
pub const LOG_BYTES_MAX: usize = 256 << 10;
/// One log line, in bytes; longer ones are cut.
pub const LOG_LINE_BYTES_MAX: usize = 16 << 10;
/// Result of an event function or standard output of a command, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 16 << 20;
/// What a function says of its failure, in bytes; longer texts are cut.
pub const FAILURE_BYTES_MAX: usize = 16 << 10;
/// The media type of a result, in bytes.
pub const MEDIA_TYPE_BYTES_MAX: usize = 1 << 10;
/// Events that one invocation may return or emit.
pub const EMITTED_EVENTS_MAX: usize = 1_000;
/// Linear memory of one instance by default, in bytes.
pub const MEMORY_BYTES_DEFAULT: usize = 128 << 20;
/// Linear memory that a function may be given at least: one page, in bytes.
pub const MEMORY_BYTES_MIN: usize = 64 << 10;
/// Linear memory of one instance at most, in bytes.
pub const MEMORY_BYTES_MAX: usize = 1 << 30;
/// Elements of all tables of one core instance.
pub const TABLE_ELEMENTS_MAX: usize = 100_000;
/// How long a function may run by default.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// How long a function may run at most.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(15 * 60);
/// Instances that run at the same time on one node, by default.
pub const CONCURRENCY_DEFAULT: usize = 1_000;
/// Calls that wait for a slot on one node.
pub const WAITING_CALLS_MAX: usize = 10_000;
/// Outbound requests of one invocation.
pub const OUTBOUND_REQUESTS_MAX: usize = 1_000;
/// Outbound requests of one invocation at the same time.
pub const OUTBOUND_CONCURRENT_MAX: usize = 100;
/// What a function has written of its outbound requests and the network has not taken, in bytes.
pub const OUTBOUND_BUFFER_BYTES_MAX: usize = 64 << 20;
/// Header fields that one invocation sets, in bytes together.
pub const HEADERS_BYTES_MAX: usize = 64 << 20;
/// Things of the host that one instance holds at the same time: requests, streams, open files.
pub const HANDLES_MAX: usize = 100_000;
/// One component, in bytes.
pub const COMPONENT_BYTES_MAX: usize = 256 << 20;
/// Files of a function's read-only bundle, in bytes.
pub const BUNDLE_BYTES_MAX: usize = 64 << 20;
/// Source files that are kept beside a version, in bytes together.
pub const SOURCES_BYTES_MAX: usize = 4 << 20;
/// One source file that is kept beside a version, in bytes.
pub const SOURCE_FILE_BYTES_MAX: usize = 512 << 10;
/// Source files that are kept beside a version.
pub const SOURCE_FILES_MAX: usize = 2_000;
/// Private scratch files of one invocation, in bytes; each name counts, too.
pub const SCRATCH_BYTES_MAX: usize = 64 << 20;
/// The path of a file that a function opens, in bytes.
pub const FILE_PATH_BYTES_MAX: usize = 4 << 10;
/// Lists of folders that a function reads at the same time, in bytes.
pub const FILE_LISTS_BYTES_MAX: usize = 16 << 20;
/// One resource, in bytes of JSON.
pub const RESOURCE_BYTES_MAX: usize = 1 << 20;
/// Resources in one apply.
pub const APPLY_RESOURCES_MAX: usize = 1_000;
/// Functions in one deployment.
pub const DEPLOY_FUNCTIONS_MAX: usize = 200;
/// Items on one page of a list.
pub const PAGE_ITEMS_MAX: usize = 1_000;
/// Items on one page of a list where nothing was asked for.
pub const PAGE_ITEMS_DEFAULT: usize = 50;
/// Stretches of time in one answer with numbers.
pub const STATS_BUCKETS_MAX: usize = 1_000;
/// Functions in one answer with numbers.
pub const STATS_FUNCTIONS_MAX: usize = 1_000;
/// Records that one request of a search looks into.
pub const SEARCH_RECORDS_MAX: u64 = 10_000;
/// How long one request of a search looks, about.
pub const SEARCH_TIME_MAX: Duration = Duration::from_millis(1_500);
/// The text of a search, in bytes.
pub const SEARCH_TEXT_BYTES_MAX: usize = 1 << 10;
/// Steps in a graph of causes and effects.
pub const GRAPH_DEPTH_MAX: u32 = 100;
/// Events and invocations in a graph of causes and effects.
pub const GRAPH_NODES_MAX: usize = 1_000;
/// Browsers that are signed in at the same time on one node.
pub const SESSIONS_MAX: usize = 1_000;
/// Browsers that are signed in with the same token; the one that was not used for the longest time
/// makes room.
pub const SESSIONS_OF_TOKEN_MAX: usize = 50;
/// How long somebody stays signed in without doing anything.
pub const SESSION_IDLE_MAX: Duration = Duration::from_secs(12 * 3600);
/// How long somebody stays signed in at most.
pub const SESSION_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Sign-in links that were made and not used.
pub const SESSION_LINKS_MAX: usize = 1_000;
/// How long a sign-in link works.
pub const SESSION_LINK_AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// Invocations that may be lost from the recording by a crash: this long ago…
pub const RECORDING_DELAY_MAX: Duration = Duration::from_millis(50);
/// …or this many bytes.
pub const RECORDING_BUFFER_BYTES: usize = 4 << 20;
/// A server whose data folder has less free space than this is not ready, in bytes.
pub const DISK_FREE_BYTES_MIN: u64 = 16 << 20;
/// Attempts of a delivery before it is dead, by default.
pub const ATTEMPTS_DEFAULT: u32 = 3;
/// Attempts of a delivery at most.
pub const ATTEMPTS_MAX: u32 = 100;
/// The wait before the second attempt; it doubles with each further one.
pub const RETRY_DELAY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(300);
/// Deliveries that wait, run or wait for a retry, per shard; beyond it events are not accepted.
pub const PENDING_DELIVERIES_MAX: usize = 1_000_000;
/// Deliveries that run at the same time on a node, by default.
pub const DELIVERIES_RUNNING_DEFAULT: usize = 256;
/// Debug sessions on one node at the same time.
pub const DEBUG_SESSIONS_MAX: usize = 8;
/// A debug session without a command for this long ends.
pub const DEBUG_IDLE_MAX: Duration = Duration::from_secs(15 * 60);
/// How long a guest computes for one command of a debugger before it stands still.
pub const DEBUG_COMMAND_TIME_MAX: Duration = Duration::from_secs(30);
/// Instructions between two operations over which a debugger steps back.
pub const DEBUG_STEPS_MAX: u64 = 5_000_000;
/// Breakpoints of one debug session.
pub const DEBUG_BREAKPOINTS_MAX: usize = 256;
/// Answers that are edited in one debug session.
pub const DEBUG_EDITS_MAX: usize = 256;
/// A part of a memory that a debugger shows, in bytes.
pub const DEBUG_MEMORY_BYTES_MAX: u32 = 64 << 10;
/// Frames of a stack that a debugger shows.
pub const DEBUG_FRAMES_MAX: usize = 128;
/// Newest invocations of a project among which the last call of a trigger is looked for.
pub const LAST_CALLS_MAX: usize = 1_000_000;
/// Values inside of a value that the debugger shows where nobody says how many.
pub const DEBUG_VARIABLES: u32 = 100;
/// Values inside of a value that the debugger shows at once.
pub const DEBUG_VARIABLES_MAX: u32 = 1_000;
/// How long a profile may replay an invocation.
pub const PROFILE_TIME_MAX: Duration = Duration::from_secs(10);
/// Samples for which a profile replays a short invocation again.
pub const PROFILE_SAMPLES: usize = 2_000;
/// The largest factor between two waits of a retry policy.
pub const RETRY_FACTOR_MAX: f64 = 10.0;
/// The oldest event that a retry policy may still try, and the longest wait that it may have.
pub const RETRY_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Events in one delivered batch.
pub const DELIVERY_BATCH_MAX: u32 = 1_000;
/// How long the first event of a batch may wait for others.
pub const DELIVERY_BATCH_WAIT_MAX: Duration = Duration::from_secs(300);
/// Scheduled events that have not happened, per shard.
pub const SCHEDULES_MAX: usize = 1_000_000;
/// How far ahead an event may be scheduled, and how long a durable function may sleep.
pub const SCHEDULE_AHEAD_MAX: Duration = Duration::from_secs(5 * 365 * 24 * 3600);
/// Missed firings of a cron trigger that are made up for.
pub const CRON_CATCH_UP_MAX: usize = 1_000;
/// Triggers of one project.
pub const TRIGGERS_MAX: usize = 100_000;
/// Functions that call functions that call functions: how deep.
pub const CALL_DEPTH_MAX: u32 = 16;
/// Functions and events that lead to one another: so many links by default, before what a function
/// sends is refused.
pub const CHAIN_LINKS_DEFAULT: u32 = 256;
/// What a function starts with so long a delay, or a longer one, begins a new chain.
pub const CHAIN_DELAY_MIN: Duration = Duration::from_secs(1);
/// What an invocation sends after it has been there for so long begins a new chain.
pub const CHAIN_AGE_MIN: Duration = Duration::from_secs(60);
/// Calls to other functions of one invocation.
pub const CALLS_MAX: usize = 1_000;
/// The data of one signal, in bytes.
pub const SIGNAL_BYTES_MAX: usize = 256 << 10;
/// Signals that wait for one durable invocation to ask for them.
pub const SIGNALS_WAITING_MAX: usize = 100;
/// How often a durable invocation may be under way when its node crashes without getting any further.
/// In the second half of these it goes on while no other such invocation does.
pub const RESUMES_WITHOUT_PROGRESS_MAX: u32 = 10;
/// How long a request may wait for the result of an asynchronous invocation.
pub const RESULT_WAIT_MAX: Duration = Duration::from_secs(60);
/// Dead letters in one bulk redrive or drop.
pub const DEAD_LETTERS_BULK_MAX: usize = 100_000;
/// Results kept by the result cache of a node, in bytes.
pub const RESULT_CACHE_BYTES_MAX: usize = 64 << 20;
/// One result in the result cache, in bytes.
pub const RESULT_CACHE_ITEM_BYTES_MAX: usize = 1 << 20;
/// How long (source, id) pairs are remembered for deduplication.
pub const DEDUP_AGE: Duration = Duration::from_secs(24 * 3600);
/// How many (source, id) pairs a shard remembers.
pub const DEDUP_ENTRIES_MAX: usize = 1_000_000;
/// Components that are loaded at the same time (three memory mappings each).
pub const LOADED_COMPONENTS_MAX: usize = 10_000;
/// The longest sleep or wait of a durable function for which its instance stays; for longer ones it
/// suspends.
pub const DURABLE_WAIT_INLINE_MAX: Duration = Duration::from_secs(1);
/// One request that a durable function sends, and one response that it gets, in bytes.
pub const DURABLE_HTTP_BYTES_MAX: usize = 8 << 20;
/// The name of a signal, in bytes.
pub const SIGNAL_NAME_BYTES_MAX: usize = 256;
/// What is taken over of a caller's `tracestate`, in bytes (W3C Trace Context, section 3.3.1.5).
pub const TRACESTATE_BYTES_MAX: usize = 512;
/// Input of a function that another one calls, in bytes.
pub const CALL_BYTES_MAX: usize = 1 << 20;
/// Calls of one `invoke-all` that run at the same time.
pub const CALLS_CONCURRENT_MAX: usize = 16;
/// A message about progress, in bytes; longer ones are cut.
pub const PROGRESS_BYTES_MAX: usize = 1 << 10;
/// A key of a function's state, a stream's name, or a shared namespace, in bytes.
pub const STATE_KEY_BYTES_MAX: usize = 512;
/// One value of a function's state, or one event of a stream, in bytes.
pub const STATE_VALUE_BYTES_MAX: usize = 1 << 20;
/// Values or events that one read gives.
pub const STATE_ITEMS_MAX: usize = 1_000;
/// Values or events that one read gives, in bytes; one is always given.
pub const STATE_READ_BYTES_MAX: usize = 4 << 20;
/// Events that are appended to a stream at once.
pub const STREAM_APPEND_MAX: usize = 1_000;
/// Events of one stream.
pub const STREAM_EVENTS_MAX: u64 = 1_000_000;
/// Keys, and events, that are counted in one namespace of state when somebody looks at what there is.
pub const STATE_COUNTED_MAX: u64 = 10_000;
/// Keys and events that one request removes from a namespace of state; the rest takes further ones.
pub const STATE_CLEARED_MAX: u64 = 100_000;
/// How long it is remembered what a write of a durable function came to: so much later it may still
/// be resumed after a crash.
pub const STATE_OPERATION_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Invocations of one batch of replays.
pub const REPLAY_INVOCATIONS_MAX: u64 = 100_000;
/// Batches of replays that run or pause at the same time.
pub const REPLAYS_RUNNING_MAX: usize = 4;
/// Batches of replays that a project keeps; the oldest that ended go.
pub const REPLAYS_KEPT_MAX: usize = 100;
/// One case file, in bytes.
pub const CASE_BYTES_MAX: usize = 32 << 20;
/// Cases that are brought from a server at once.
pub const CASES_FETCHED_MAX: u32 = 10_000;
/// Recordings of one suite.
pub const SUITE_CASES_MAX: usize = 10_000;
/// JSON paths that a comparison of two versions ignores.
pub const DIFF_PATHS_MAX: usize = 64;
/// One such path, in bytes.
pub const DIFF_PATH_BYTES_MAX: usize = 512;
/// Changes that a comparison shows; it counts the rest.
pub const COMPARISON_CHANGES_MAX: usize = 200;
/// A CloudEvents SQL expression, in bytes.
pub const CESQL_BYTES_MAX: usize = 4 << 10;
/// Brackets, functions and signs around each other in a CloudEvents SQL expression.
pub const CESQL_DEPTH_MAX: usize = 64;
/// Dialects, attributes, fields and alternatives in one filter.
pub const FILTER_NODES_MAX: usize = 1_000;
/// Filters or fields inside each other.
pub const FILTER_DEPTH_MAX: usize = 32;
/// A key expression, in bytes.
pub const KEY_EXPRESSION_BYTES_MAX: usize = 1 << 10;
/// A key made from an event, in bytes; a longer one is replaced by its digest.
pub const KEY_BYTES_MAX: usize = 256;
/// A transformation's expression, in bytes.
pub const TRANSFORM_BYTES_MAX: usize = 4 << 10;
/// Parts inside each other in a transformation's expression; each `|` counts as one.
pub const TRANSFORM_DEPTH_MAX: usize = 128;
/// What a transformation may touch by its estimate, in bytes; the estimate grows with the event.
pub const TRANSFORM_WORK_BYTES_MAX: u64 = 500_000_000;
/// One schema of an event type, in bytes of JSON.
pub const SCHEMA_BYTES_MAX: usize = 256 << 10;
/// Objects and arrays inside each other in a schema.
pub const SCHEMA_DEPTH_MAX: usize = 64;
/// Parts of a schema that may be applied to one value of the data.
pub const SCHEMA_STEPS_MAX: usize = 10_000;
/// Errors that one validation against a schema reports.
pub const SCHEMA_ERRORS_MAX: usize = 20;
/// Properties of one object that an inferred schema names; further ones only count as "others".
pub const INFERRED_PROPERTIES_MAX: usize = 500;
/// Places (objects, arrays, properties) that an inferred schema describes.
pub const INFERRED_NODES_MAX: usize = 2_000;
