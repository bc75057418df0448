//! A profile as data.

use nexus_exec::ProfileFrame;
use nexus_model::view::{
    ProfileFrameView, ProfileMemoryView, ProfileStackView, ProfileView, ProfileWaitView,
};
use nexus_model::{InvocationId, Sources, is_own_source};

use super::Profiled;

pub(super) fn view(profiled: &Profiled, id: InvocationId, text: &Sources) -> ProfileView {
    let profile = &profiled.profile;
    let frame = |frame: &ProfileFrame| ProfileFrameView {
        function: frame.function.clone(),
        module: frame.module.clone(),
        file: frame.file.clone(),
        source: frame.file.as_deref().and_then(|file| text.find(file)).map(str::to_owned),
        line: frame.line,
        own: frame.file.as_deref().is_some_and(is_own_source),
    };
    let memory = profile.memory.iter().map(|point| ProfileMemoryView {
        at_ns: point.at.as_nanos() as u64,
        operation: point.operation,
        bytes: point.bytes,
    });
    let waits = profiled.calls().map(|(operation, entry)| ProfileWaitView {
        operation: operation as u32,
        function: entry.function.name().to_owned(),
        what: entry.described(),
        at_ns: entry.at_ns,
        duration_ns: entry.duration_ns,
    });
    let stacks = profile.stacks.iter();
    let stacks = stacks
        .map(|(frames, samples)| ProfileStackView { frames: frames.clone(), samples: *samples });
    ProfileView {
        invocation: id,
        function: profiled.record.function.clone(),
        replays: profile.replays,
        samples: profiled.samples(),
        run_ns: (profile.busy / profile.replays.max(1)).as_nanos() as u64,
        frames: profile.frames.iter().map(frame).collect(),
        stacks: stacks.collect(),
        memory: memory.collect(),
        waits: waits.collect(),
    }
}
