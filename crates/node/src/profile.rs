//! Profiles of invocations of the past, in the forms that people and tools read.

mod data;
mod firefox;
mod flame;
mod pprof;
mod text;

use nexus_exec::journal::{Entry, Journal};
use nexus_exec::{Profile, ProfileOptions};
use nexus_model::record::InvocationRecord;
use nexus_model::{Code, InvocationId, OpContext, limits};

use crate::debug::Recording;
use crate::{Error, Node};

/// How a profile is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProfileFormat {
    /// A flame graph.
    Svg,
    /// What `pprof` and its relatives read, compressed with gzip.
    Pprof,
    /// What <https://profiler.firefox.com> reads.
    Firefox,
    /// For people: where the time went, memory, and outbound calls.
    Text,
    /// Collapsed stacks, one a line with its count.
    Folded,
    /// As data: [`ProfileView`](nexus_model::view::ProfileView).
    Json,
}

impl ProfileFormat {
    /// All formats with their words.
    pub const ALL: [(&'static str, ProfileFormat); 6] = [
        ("svg", ProfileFormat::Svg),
        ("pprof", ProfileFormat::Pprof),
        ("firefox", ProfileFormat::Firefox),
        ("text", ProfileFormat::Text),
        ("folded", ProfileFormat::Folded),
        ("json", ProfileFormat::Json),
    ];

    /// The format with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, format)| *format)
    }

    /// The media type of a profile.
    pub const fn media_type(self) -> &'static str {
        match self {
            ProfileFormat::Svg => "image/svg+xml",
            ProfileFormat::Pprof => "application/octet-stream",
            ProfileFormat::Firefox | ProfileFormat::Json => "application/json",
            ProfileFormat::Text | ProfileFormat::Folded => "text/plain; charset=utf-8",
        }
    }
}

/// A profile with what the recording says beside it.
struct Profiled {
    profile: Profile,
    record: InvocationRecord,
    entries: Vec<Entry>,
}

impl Profiled {
    fn name(&self) -> String {
        let id = self.record.invocation_id().map(|id| id.to_string()).unwrap_or_default();
        format!("{} {id}", self.record.function)
    }

    fn samples(&self) -> u64 {
        self.profile.stacks.iter().map(|(_, count)| count).sum()
    }

    /// What one sample stands for in one run, in nanoseconds.
    fn sample_ns(&self) -> f64 {
        let busy = self.profile.busy.as_nanos() as f64 / f64::from(self.profile.replays.max(1));
        busy / (self.samples().max(1) as f64 / f64::from(self.profile.replays.max(1)))
    }

    /// What the guest waited for: what came from outside.
    fn calls(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries.iter().enumerate().filter(|(_, entry)| entry.duration_ns > 0)
    }
}

impl Node {
    /// Where an invocation of the past spent its time and memory: it is replayed as often as it
    /// takes. Needs the scopes `replay` and `read-payload`.
    ///
    /// # Errors
    /// It does not exist; the caller may not look at it; it cannot be replayed, and why.
    pub async fn profile(
        &self,
        ctx: &OpContext,
        id: InvocationId,
        format: ProfileFormat,
    ) -> Result<Vec<u8>, Error> {
        let Recording { record, event, prepared } = self.recording(ctx, id).await?;
        let options =
            ProfileOptions { samples: limits::PROFILE_SAMPLES, time: limits::PROFILE_TIME_MAX };
        let _one = self.profiling.lock().await;
        let profile = prepared.profile(&record, event, options).await;
        let profile = profile.map_err(|error| Error::from(error).with_invocation(id))?;
        let journal = record.journal.as_ref().map(|journal| Journal::decode(&journal.inline));
        let entries = journal.map(|journal| journal.and_then(|it| it.read_entries()));
        let entries = entries.transpose().map_err(|error| {
            let detail = format!("the journal cannot be read: {error}");
            Error::new(Code::BadJournal, detail).with_source(error).with_invocation(id)
        })?;
        let profiled = Profiled { profile, record, entries: entries.unwrap_or_default() };
        Ok(match format {
            ProfileFormat::Svg => flame::svg(&profiled).into_bytes(),
            ProfileFormat::Pprof => pprof::encode(&profiled),
            ProfileFormat::Firefox => firefox::json(&profiled).to_string().into_bytes(),
            ProfileFormat::Text => text::text(&profiled).into_bytes(),
            ProfileFormat::Folded => text::folded(&profiled).into_bytes(),
            ProfileFormat::Json => {
                let text = self.sources_of(&profiled.record).await;
                let view = data::view(&profiled, id, &text);
                serde_json::to_vec(&view)
                    .map_err(|error| Error::internal("write a profile", error))?
            }
        })
    }
}
