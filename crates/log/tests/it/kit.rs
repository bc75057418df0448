//! Records and logs for tests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nexus_log::{Disk, Log, LogConfig, Opened};
use nexus_model::record::{
    Body, EventRecord, InvocationRecord, Meta, Record, Status, StoredEvent, Timings,
};
use nexus_model::{EventId, IdMint, InvocationId, ManualClock, Partition, Timestamp};

/// The moment at which every test begins.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_unix_ms(1_795_000_000_000)
}

/// Mints ids and records; each record is a millisecond later than the one before.
pub(crate) struct Maker {
    pub(crate) clock: Arc<ManualClock>,
    mint: IdMint,
    pub(crate) made: u64,
}

impl Maker {
    pub(crate) fn new(salt: u64) -> Self {
        let clock = Arc::new(ManualClock::new(start()));
        Maker { mint: IdMint::new(clock.clone(), salt), clock, made: 0 }
    }

    /// One of a later life of a folder. A log is never begun twice at the same time: a file that is used
    /// again would pass for the new one, because a segment's salt comes from the time.
    pub(crate) fn later(salt: u64) -> Self {
        let maker = Maker::new(salt);
        maker.clock.advance(Duration::from_secs(3600));
        maker
    }

    fn tick(&mut self) -> i64 {
        self.made += 1;
        self.clock.advance(Duration::from_millis(1));
        nexus_model::Clock::now(&*self.clock).unix_ns()
    }

    fn meta(project: &str) -> Meta {
        Meta {
            project: project.into(),
            principal: "token:test".into(),
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            ..Meta::default()
        }
    }

    pub(crate) fn event_of(&mut self, project: &str, ty: &str, data: Vec<u8>) -> EventRecord {
        let received_ns = self.tick();
        let id: EventId = self.mint.mint(Partition::of(project, ""));
        EventRecord {
            id: Bytes::copy_from_slice(id.as_bytes()),
            meta: Self::meta(project),
            received_ns,
            event: StoredEvent {
                id: self.made.to_string(),
                source: format!("/source/{}", self.made % 3),
                ty: ty.into(),
                subject: (!self.made.is_multiple_of(4)).then(|| format!("s{}", self.made % 4)),
                data: Some(Body::inline(data.into())),
                ..StoredEvent::default()
            },
            ..EventRecord::default()
        }
    }

    pub(crate) fn event(&mut self, size: usize) -> Record {
        let fill = self.made as u8;
        let ty = format!("type.{}", self.made % 5);
        let project = format!("p{}", self.made % 2);
        Record::Event(self.event_of(&project, &ty, vec![fill; size]))
    }

    pub(crate) fn invocation_of(
        &mut self,
        project: &str,
        function: &str,
        status: Status,
    ) -> InvocationRecord {
        let accepted_ns = self.tick();
        let id: InvocationId = self.mint.mint(Partition::of(project, ""));
        InvocationRecord {
            id: Bytes::copy_from_slice(id.as_bytes()),
            meta: Self::meta(project),
            function: function.into(),
            version: Bytes::copy_from_slice(&[(self.made % 3) as u8 + 1; 16]),
            attempt: 1,
            status: status as i32,
            accepted_ns,
            ended_ns: accepted_ns + 1_000,
            timings: Timings { total_ns: 1_000 * (self.made % 7), ..Timings::default() },
            cold: if self.made.is_multiple_of(10) { "first call".into() } else { String::new() },
            ..InvocationRecord::default()
        }
    }
}

/// A small configuration: segments of 16 KiB.
pub(crate) fn small(dir: impl Into<std::path::PathBuf>) -> LogConfig {
    LogConfig { segment_bytes: 16 << 10, ..LogConfig::new(dir) }
}

/// Opens a log that must open.
#[track_caller]
pub(crate) fn open(config: &LogConfig, disk: &Arc<dyn Disk>, maker: &Maker) -> (Log, Opened) {
    Log::open(config.clone(), disk.clone(), maker.clock.clone()).unwrap()
}

/// Runs a future.
pub(crate) fn run<T>(future: impl std::future::Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// For logs whose records refer to no large bodies.
pub(crate) fn no_blobs(digest: nexus_model::Digest) -> Result<u64, String> {
    panic!("nothing refers to {digest}")
}
