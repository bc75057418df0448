//! The event log: everything that happened and everything that ran, in one order, kept in files that
//! are checksummed, hash-chained and, once full, compressed.
//!
//! ```text
//!  append, record ──► writer ──► tail file ──full──► sealer ──► sealed file ──old──► removed
//!                        │                              │
//!                        └─► rows in memory             └─► catalogue pages + footer
//!                                    └────── lists, look-ups, forward reads ──────┘
//! ```
//!
//! - `batch`, `row`, `group`: what a record becomes on disk. `docs/log-format.md` describes the bytes.
//! - `writer`: the only thread that appends; one write and one sync per group.
//! - `sealer`, `seal`, `sealed`: full segments become immutable ones.
//! - `recover`, `tail_reader`, `open`: what a crash left is found, checked and cut off.
//! - `mark`: how far the log went, kept outside its folder, so that a loss is noticed.
//! - `cut`: a log that is damaged before its end is cut there, when somebody says so.
//! - `query`, `filter`: lists walk rows of fixed width from the newest; payloads are read for hits.
//! - `activity`, `scan`, `decided`: counting what ran, looking into payloads, and following causes and
//!   decisions forward.
//! - `Disk` and `Tail` are the seams.

mod config;
mod error;
mod position;
mod report;

mod log;
mod tail;

mod batch;
mod group;
mod row;

mod new_segment;
mod shared;
mod writer;

mod seal;
mod sealed;
mod sealer;

mod segment;
mod tail_reader;
mod tail_segment;

mod mark;
mod open;
mod recordings;
mod recover;

mod activity;
mod decided;
mod filter;
mod query;
mod scan;

mod bodies;
mod cut;
mod retention;
mod stats;
mod verify;

mod disk;
mod files;
mod lock;
mod real;

pub use activity::{Activity, ActivityBucket, ActivityQuery, Tally};
pub use batch::Batch;
pub use config::{
    LogConfig, OnPressure, Retention, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
};
pub use cut::{Cut, CutOptions, cut_dir, plan_cut};
pub use decided::Decisions;
pub use disk::{Disk, DiskFile, DiskLock, SECTOR_BYTES};
pub use error::{Error, Pressure};
pub use lock::{FolderLock, LOCK_FILE};
pub use log::{BlobCheck, Log, stats_dir, verify_dir};
pub use mark::{Reached, accept_end, check_end};
pub use position::{Entry, Position};
pub use real::RealDisk;
pub use report::{
    BodyDamage, Damage, KindCount, LogCounts, LogStats, Opened, RetentionReport, SegmentStats,
    VerifyReport,
};
pub use scan::{EffectLimit, EffectLimits, Effects, Origin, Scanned};
pub use tail::Tail;
