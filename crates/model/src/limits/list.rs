//! The list of all limits: what `nexus limits` prints.

use super::*;

/// One row of `nexus limits`.
#[derive(Clone, Copy, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct Limit {
    /// A stable name.
    pub name: &'static str,
    /// The value in `unit`.
    pub value: u64,
    /// `bytes`, `ms` or what is counted.
    pub unit: &'static str,
    /// What it bounds.
    pub what: &'static str,
}

const fn limit(name: &'static str, value: u64, unit: &'static str, what: &'static str) -> Limit {
    Limit { name, value, unit, what }
}

/// The table that `nexus limits` and the API show.
pub const ALL: &[Limit] = &[
    limit("event-bytes-max", EVENT_BYTES_MAX as u64, "bytes", "one event with its data"),
    limit("batch-events-max", BATCH_EVENTS_MAX as u64, "events", "one batch request"),
    limit("batch-bytes-max", BATCH_BYTES_MAX as u64, "bytes", "one batch request"),
    limit(
        "request-body-bytes-max",
        REQUEST_BODY_BYTES_MAX as u64,
        "bytes",
        "one request body to a function",
    ),
    limit(
        "record-body-bytes-max",
        RECORD_BODY_BYTES_MAX as u64,
        "bytes",
        "one recorded body; beyond it the invocation is not replayable",
    ),
    limit(
        "record-inline-bytes-max",
        RECORD_INLINE_BYTES_MAX as u64,
        "bytes",
        "one body or journal inside a record; larger ones become blobs",
    ),
    limit("journal-bytes-max", JOURNAL_BYTES_MAX as u64, "bytes", "one journal"),
    limit("log-lines-max", LOG_LINES_MAX as u64, "lines", "log lines kept per invocation"),
    limit("log-bytes-max", LOG_BYTES_MAX as u64, "bytes", "log text kept per invocation"),
    limit("log-line-bytes-max", LOG_LINE_BYTES_MAX as u64, "bytes", "one log line"),
    limit(
        "output-bytes-max",
        OUTPUT_BYTES_MAX as u64,
        "bytes",
        "a result, or a command's standard output",
    ),
    limit(
        "failure-bytes-max",
        FAILURE_BYTES_MAX as u64,
        "bytes",
        "what a function says of its failure; longer texts are cut",
    ),
    limit("media-type-bytes-max", MEDIA_TYPE_BYTES_MAX as u64, "bytes", "media type of a result"),
    limit("emitted-events-max", EMITTED_EVENTS_MAX as u64, "events", "events of one invocation"),
    limit(
        "memory-bytes-default",
        MEMORY_BYTES_DEFAULT as u64,
        "bytes",
        "linear memory of an instance by default",
    ),
    limit(
        "memory-bytes-min",
        MEMORY_BYTES_MIN as u64,
        "bytes",
        "linear memory of an instance at least",
    ),
    limit(
        "memory-bytes-max",
        MEMORY_BYTES_MAX as u64,
        "bytes",
        "linear memory of an instance at most",
    ),
    limit("table-elements-max", TABLE_ELEMENTS_MAX as u64, "elements", "tables of an instance"),
    limit(
        "timeout-default",
        TIMEOUT_DEFAULT.as_millis() as u64,
        "ms",
        "run time of an invocation by default",
    ),
    limit("timeout-max", TIMEOUT_MAX.as_millis() as u64, "ms", "run time of an invocation at most"),
    limit(
        "concurrency-default",
        CONCURRENCY_DEFAULT as u64,
        "instances",
        "instances at the same time on a node",
    ),
    limit(
        "waiting-calls-max",
        WAITING_CALLS_MAX as u64,
        "calls",
        "calls that wait for a slot on a node",
    ),
    limit(
        "outbound-requests-max",
        OUTBOUND_REQUESTS_MAX as u64,
        "requests",
        "outbound requests of an invocation",
    ),
    limit(
        "outbound-concurrent-max",
        OUTBOUND_CONCURRENT_MAX as u64,
        "requests",
        "outbound requests of an invocation at the same time",
    ),
    limit(
        "outbound-buffer-bytes-max",
        OUTBOUND_BUFFER_BYTES_MAX as u64,
        "bytes",
        "written of outbound requests and not yet taken by the network",
    ),
    limit(
        "headers-bytes-max",
        HEADERS_BYTES_MAX as u64,
        "bytes",
        "header fields that one invocation sets",
    ),
    limit(
        "handles-max",
        HANDLES_MAX as u64,
        "handles",
        "requests, streams and open files that one instance holds at the same time",
    ),
    limit("component-bytes-max", COMPONENT_BYTES_MAX as u64, "bytes", "one component"),
    limit("bundle-bytes-max", BUNDLE_BYTES_MAX as u64, "bytes", "a function's read-only files"),
    limit(
        "sources-bytes-max",
        SOURCES_BYTES_MAX as u64,
        "bytes",
        "source files that are kept beside a version",
    ),
    limit(
        "source-file-bytes-max",
        SOURCE_FILE_BYTES_MAX as u64,
        "bytes",
        "one source file that is kept beside a version",
    ),
    limit(
        "source-files-max",
        SOURCE_FILES_MAX as u64,
        "files",
        "source files that are kept beside a version",
    ),
    limit(
        "scratch-bytes-max",
        SCRATCH_BYTES_MAX as u64,
        "bytes",
        "private scratch files of an invocation",
    ),
    limit(
        "file-path-bytes-max",
        FILE_PATH_BYTES_MAX as u64,
        "bytes",
        "the path of a file that a function opens",
    ),
    limit(
        "file-lists-bytes-max",
        FILE_LISTS_BYTES_MAX as u64,
        "bytes",
        "lists of folders that a function reads at the same time",
    ),
    limit("resource-bytes-max", RESOURCE_BYTES_MAX as u64, "bytes", "one resource"),
    limit("apply-resources-max", APPLY_RESOURCES_MAX as u64, "resources", "one apply"),
    limit("deploy-functions-max", DEPLOY_FUNCTIONS_MAX as u64, "functions", "one deployment"),
    limit("page-items-max", PAGE_ITEMS_MAX as u64, "items", "one page of a list"),
    limit(
        "recording-delay-max",
        RECORDING_DELAY_MAX.as_millis() as u64,
        "ms",
        "recordings a crash may lose, by age",
    ),
    limit(
        "recording-buffer-bytes",
        RECORDING_BUFFER_BYTES as u64,
        "bytes",
        "recordings a crash may lose, by size",
    ),
    limit(
        "disk-free-bytes-min",
        DISK_FREE_BYTES_MIN,
        "bytes",
        "free space of the data folder below which a server is not ready",
    ),
    limit(
        "attempts-default",
        ATTEMPTS_DEFAULT as u64,
        "attempts",
        "deliveries of an event before it is dead",
    ),
    limit("attempts-max", ATTEMPTS_MAX as u64, "attempts", "deliveries of an event at most"),
    limit(
        "retry-delay-first",
        RETRY_DELAY_FIRST.as_millis() as u64,
        "ms",
        "the wait before the second attempt",
    ),
    limit(
        "retry-delay-max",
        RETRY_DELAY_MAX.as_millis() as u64,
        "ms",
        "the longest wait between two attempts",
    ),
    limit(
        "pending-deliveries-max",
        PENDING_DELIVERIES_MAX as u64,
        "deliveries",
        "deliveries that are not finished, per shard",
    ),
    limit(
        "deliveries-running-default",
        DELIVERIES_RUNNING_DEFAULT as u64,
        "deliveries",
        "deliveries that run at the same time",
    ),
    limit(
        "retry-age-max",
        RETRY_AGE_MAX.as_millis() as u64,
        "ms",
        "the oldest event that is still tried again",
    ),
    limit(
        "delivery-batch-max",
        DELIVERY_BATCH_MAX as u64,
        "events",
        "events in one delivered batch",
    ),
    limit(
        "delivery-batch-wait-max",
        DELIVERY_BATCH_WAIT_MAX.as_millis() as u64,
        "ms",
        "how long the first event of a batch waits for others",
    ),
    limit(
        "schedules-max",
        SCHEDULES_MAX as u64,
        "events",
        "scheduled events that have not happened, per shard",
    ),
    limit(
        "schedule-ahead-max",
        SCHEDULE_AHEAD_MAX.as_millis() as u64,
        "ms",
        "how far ahead an event is scheduled or a durable function sleeps",
    ),
    limit(
        "cron-catch-up-max",
        CRON_CATCH_UP_MAX as u64,
        "firings",
        "missed firings of a cron trigger that are made up for",
    ),
    limit("triggers-max", TRIGGERS_MAX as u64, "triggers", "triggers of a project"),
    limit(
        "call-depth-max",
        CALL_DEPTH_MAX as u64,
        "calls",
        "functions that call functions: how deep",
    ),
    limit(
        "chain-links-default",
        CHAIN_LINKS_DEFAULT as u64,
        "links",
        "functions and events that lead to one another, by default (`events.chain-max`)",
    ),
    limit(
        "chain-delay-min",
        CHAIN_DELAY_MIN.as_millis() as u64,
        "ms",
        "the delay with which a function starts another one outside of its chain",
    ),
    limit(
        "chain-age-min",
        CHAIN_AGE_MIN.as_millis() as u64,
        "ms",
        "how long an invocation was there when what it sends is outside of its chain",
    ),
    limit("calls-max", CALLS_MAX as u64, "calls", "calls to other functions of an invocation"),
    limit("signal-bytes-max", SIGNAL_BYTES_MAX as u64, "bytes", "the data of a signal"),
    limit(
        "signals-waiting-max",
        SIGNALS_WAITING_MAX as u64,
        "signals",
        "signals that wait for one invocation",
    ),
    limit(
        "resumes-without-progress-max",
        RESUMES_WITHOUT_PROGRESS_MAX as u64,
        "resumes",
        "how often a durable invocation may crash without getting further",
    ),
    limit(
        "result-wait-max",
        RESULT_WAIT_MAX.as_millis() as u64,
        "ms",
        "how long a request waits for an asynchronous result",
    ),
    limit(
        "dead-letters-bulk-max",
        DEAD_LETTERS_BULK_MAX as u64,
        "dead letters",
        "one bulk redrive or drop",
    ),
    limit(
        "result-cache-bytes-max",
        RESULT_CACHE_BYTES_MAX as u64,
        "bytes",
        "the result cache of a node",
    ),
    limit(
        "result-cache-item-bytes-max",
        RESULT_CACHE_ITEM_BYTES_MAX as u64,
        "bytes",
        "one cached result",
    ),
    limit("dedup-age", DEDUP_AGE.as_millis() as u64, "ms", "how long (source, id) is remembered"),
    limit(
        "dedup-entries-max",
        DEDUP_ENTRIES_MAX as u64,
        "events",
        "how many (source, id) a shard remembers",
    ),
    limit(
        "loaded-components-max",
        LOADED_COMPONENTS_MAX as u64,
        "components",
        "components loaded at the same time",
    ),
    limit(
        "durable-wait-inline-max",
        DURABLE_WAIT_INLINE_MAX.as_millis() as u64,
        "ms",
        "a wait of a durable function for which it does not suspend",
    ),
    limit(
        "durable-http-bytes-max",
        DURABLE_HTTP_BYTES_MAX as u64,
        "bytes",
        "a request or response of a durable function",
    ),
    limit("stats-buckets-max", STATS_BUCKETS_MAX as u64, "stretches", "numbers in one answer"),
    limit(
        "stats-functions-max",
        STATS_FUNCTIONS_MAX as u64,
        "functions",
        "functions in one answer with numbers",
    ),
    limit(
        "search-records-max",
        SEARCH_RECORDS_MAX,
        "records",
        "records that one request of a search looks into",
    ),
    limit(
        "search-time-max",
        SEARCH_TIME_MAX.as_millis() as u64,
        "ms",
        "how long one request of a search looks",
    ),
    limit("search-text-bytes-max", SEARCH_TEXT_BYTES_MAX as u64, "bytes", "the text of a search"),
    limit("graph-depth-max", GRAPH_DEPTH_MAX as u64, "steps", "steps in a graph of effects"),
    limit(
        "graph-nodes-max",
        GRAPH_NODES_MAX as u64,
        "nodes",
        "events and invocations in a graph of effects",
    ),
    limit("sessions-max", SESSIONS_MAX as u64, "sessions", "browsers that are signed in"),
    limit(
        "sessions-of-token-max",
        SESSIONS_OF_TOKEN_MAX as u64,
        "sessions",
        "browsers that are signed in with one token",
    ),
    limit(
        "session-idle-max",
        SESSION_IDLE_MAX.as_millis() as u64,
        "ms",
        "how long one stays signed in without doing anything",
    ),
    limit(
        "session-age-max",
        SESSION_AGE_MAX.as_millis() as u64,
        "ms",
        "how long one stays signed in",
    ),
    limit("session-links-max", SESSION_LINKS_MAX as u64, "links", "sign-in links not used yet"),
    limit(
        "session-link-age-max",
        SESSION_LINK_AGE_MAX.as_millis() as u64,
        "ms",
        "how long a sign-in link works",
    ),
    limit("signal-name-bytes-max", SIGNAL_NAME_BYTES_MAX as u64, "bytes", "the name of a signal"),
    limit(
        "call-bytes-max",
        CALL_BYTES_MAX as u64,
        "bytes",
        "input of a function called by another",
    ),
    limit(
        "calls-concurrent-max",
        CALLS_CONCURRENT_MAX as u64,
        "calls",
        "calls of one invoke-all at the same time",
    ),
    limit("progress-bytes-max", PROGRESS_BYTES_MAX as u64, "bytes", "a message about progress"),
    limit("state-key-bytes-max", STATE_KEY_BYTES_MAX as u64, "bytes", "a key or a stream's name"),
    limit(
        "state-value-bytes-max",
        STATE_VALUE_BYTES_MAX as u64,
        "bytes",
        "a value, or an event of a stream",
    ),
    limit("state-items-max", STATE_ITEMS_MAX as u64, "items", "values that one read gives"),
    limit(
        "state-read-bytes-max",
        STATE_READ_BYTES_MAX as u64,
        "bytes",
        "values that one read gives, together",
    ),
    limit("stream-append-max", STREAM_APPEND_MAX as u64, "events", "events appended at once"),
    limit("stream-events-max", STREAM_EVENTS_MAX, "events", "events of one stream"),
    limit(
        "state-counted-max",
        STATE_COUNTED_MAX,
        "items",
        "keys, and events, that are counted in one namespace of state",
    ),
    limit(
        "state-cleared-max",
        STATE_CLEARED_MAX,
        "items",
        "keys and events that one request removes from a namespace",
    ),
    limit(
        "state-operation-age",
        STATE_OPERATION_AGE.as_millis() as u64,
        "ms",
        "how late after a crash a durable function may be resumed in the middle of a write",
    ),
    limit("cesql-bytes-max", CESQL_BYTES_MAX as u64, "bytes", "a CloudEvents SQL expression"),
    limit("cesql-depth-max", CESQL_DEPTH_MAX as u64, "levels", "nesting in CloudEvents SQL"),
    limit("filter-nodes-max", FILTER_NODES_MAX as u64, "parts", "parts of one filter"),
    limit("filter-depth-max", FILTER_DEPTH_MAX as u64, "levels", "nesting in a filter"),
    limit("key-expression-bytes-max", KEY_EXPRESSION_BYTES_MAX as u64, "bytes", "a key expression"),
    limit("key-bytes-max", KEY_BYTES_MAX as u64, "bytes", "a key; a longer one becomes its digest"),
    limit("transform-bytes-max", TRANSFORM_BYTES_MAX as u64, "bytes", "a transformation"),
    limit(
        "transform-depth-max",
        TRANSFORM_DEPTH_MAX as u64,
        "levels",
        "nesting in a transformation",
    ),
    limit(
        "transform-work-bytes-max",
        TRANSFORM_WORK_BYTES_MAX,
        "bytes",
        "estimated work of a transformation",
    ),
    limit("diff-paths-max", DIFF_PATHS_MAX as u64, "paths", "JSON paths that a comparison ignores"),
    limit("diff-path-bytes-max", DIFF_PATH_BYTES_MAX as u64, "bytes", "one such path"),
    limit(
        "comparison-changes-max",
        COMPARISON_CHANGES_MAX as u64,
        "changes",
        "changes that a comparison shows",
    ),
    limit(
        "replay-invocations-max",
        REPLAY_INVOCATIONS_MAX,
        "invocations",
        "invocations of one batch of replays",
    ),
    limit("case-bytes-max", CASE_BYTES_MAX as u64, "bytes", "one case file"),
    limit(
        "cases-fetched-max",
        CASES_FETCHED_MAX as u64,
        "cases",
        "cases that are brought from a server at once",
    ),
    limit(
        "replays-running-max",
        REPLAYS_RUNNING_MAX as u64,
        "batches",
        "batches of replays at the same time",
    ),
    limit(
        "replays-kept-max",
        REPLAYS_KEPT_MAX as u64,
        "batches",
        "batches of replays that a project keeps",
    ),
    limit("suite-cases-max", SUITE_CASES_MAX as u64, "recordings", "recordings of one suite"),
    limit("schema-bytes-max", SCHEMA_BYTES_MAX as u64, "bytes", "one schema of an event type"),
    limit("schema-depth-max", SCHEMA_DEPTH_MAX as u64, "levels", "nesting in a schema"),
    limit("schema-steps-max", SCHEMA_STEPS_MAX as u64, "parts", "parts of a schema for one value"),
    limit("schema-errors-max", SCHEMA_ERRORS_MAX as u64, "errors", "errors of one validation"),
    limit(
        "inferred-properties-max",
        INFERRED_PROPERTIES_MAX as u64,
        "properties",
        "properties of one object in an inferred schema",
    ),
    limit(
        "inferred-nodes-max",
        INFERRED_NODES_MAX as u64,
        "places",
        "places in an inferred schema",
    ),
    limit(
        "debug-sessions-max",
        DEBUG_SESSIONS_MAX as u64,
        "sessions",
        "debug sessions of a node at the same time",
    ),
    limit(
        "debug-idle-max",
        DEBUG_IDLE_MAX.as_millis() as u64,
        "ms",
        "how long a debug session waits for a command",
    ),
    limit(
        "debug-command-time-max",
        DEBUG_COMMAND_TIME_MAX.as_millis() as u64,
        "ms",
        "how long a guest computes for one command of a debugger",
    ),
    limit(
        "debug-steps-max",
        DEBUG_STEPS_MAX,
        "instructions",
        "instructions after an operation over which a debugger steps back",
    ),
    limit(
        "debug-breakpoints-max",
        DEBUG_BREAKPOINTS_MAX as u64,
        "breakpoints",
        "breakpoints of a debug session",
    ),
    limit(
        "debug-edits-max",
        DEBUG_EDITS_MAX as u64,
        "answers",
        "edited answers of a debug session",
    ),
    limit(
        "debug-memory-bytes-max",
        DEBUG_MEMORY_BYTES_MAX as u64,
        "bytes",
        "a part of a memory that a debugger shows",
    ),
    limit("debug-frames-max", DEBUG_FRAMES_MAX as u64, "frames", "a stack that a debugger shows"),
    limit(
        "last-calls-max",
        LAST_CALLS_MAX as u64,
        "invocations",
        "newest invocations among which the last call of a trigger is looked for",
    ),
    limit(
        "profile-time-max",
        PROFILE_TIME_MAX.as_millis() as u64,
        "ms",
        "how long a profile replays an invocation",
    ),
    limit(
        "profile-samples",
        PROFILE_SAMPLES as u64,
        "samples",
        "samples for which a short invocation is replayed again",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_name_of_its_own_and_says_what_it_counts() {
        let mut seen = std::collections::HashSet::new();
        for limit in ALL {
            assert!(seen.insert(limit.name), "{} is listed twice", limit.name);
            assert!(!limit.unit.is_empty() && !limit.what.is_empty(), "{}", limit.name);
        }
    }
}
