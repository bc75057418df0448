//! The event log: everything that happens and everything that ran, in one order.

mod config;
mod disk;
mod error;
mod lock;
mod log;
mod position;
mod real;
mod report;

pub use config::{
    LogConfig, OnPressure, Retention, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
};
pub use disk::{Disk, DiskFile, DiskLock, SECTOR_BYTES};
pub use error::{Error, Pressure};
pub use lock::{FolderLock, LOCK_FILE};
pub use log::{Log, stats_dir, verify_dir};
pub use position::{Entry, Position};
pub use real::RealDisk;
pub use report::{
    Damage, KindCount, LogStats, Opened, RetentionReport, SegmentStats, VerifyReport,
};
