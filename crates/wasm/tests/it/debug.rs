//! Looking into recordings: stacks with lines, a debugger that goes both ways, what-ifs, profiles.

use std::time::Duration;

use nexus_exec::{Debugged, Debugger, ProfileOptions, Runtime as _};
use nexus_model::record::Status;
use nexus_model::view::{
    DebugCommand, DebugState, LineBreakpoint, StepBy, StopReason, TimelineEntry,
};
use serde_json::json;

use super::world::World;

async fn open(world: &World, path: &str) -> Debugger {
    let (_, record) = world.http(path).await;
    world.prepared.debug(&record, None).await.unwrap()
}

async fn run(debugger: &Debugger, command: DebugCommand) -> DebugState {
    let Debugged { state, .. } = debugger.run(command).await.unwrap();
    state
}

fn step(by: StepBy, back: bool) -> DebugCommand {
    DebugCommand::Step { by, back }
}

/// Reason, answered operations, and the innermost line of the guest itself.
fn place(state: &DebugState) -> (StopReason, u32, Option<u32>) {
    let own = |file: &str| file.ends_with("guests/http/src/lib.rs");
    let frame = state.frames.iter().find(|frame| frame.at.file.as_deref().is_some_and(own));
    (state.reason, state.operation, frame.and_then(|frame| frame.at.line))
}

#[tokio::test]
async fn a_trap_has_source_lines() {
    let world = World::of("http").await;
    let (ended, record) = world.http("/trap").await;
    let failure = ended.failure.unwrap();
    assert_eq!(failure.offsets.len(), failure.backtrace.len());
    assert_eq!(record.failure.as_ref().unwrap().offsets, failure.offsets);
    let frames = world.runtime.frames(world.unit.component, &failure.offsets).await.unwrap();
    let frames: Vec<_> = frames.into_iter().flatten().collect();
    let source = include_str!("../guests/http/src/lib.rs");
    let expected = source.lines().position(|line| line.contains("as asked")).unwrap() as u32 + 1;
    let found = frames.iter().any(|frame| {
        frame.file.as_deref().is_some_and(|file| file.ends_with("http/src/lib.rs"))
            && frame.line == Some(expected)
    });
    assert!(found, "{frames:#?}");
}

#[tokio::test]
async fn what_goes_forward_comes_back_to_the_same_places() {
    let world = World::of("http").await;
    let debugger = open(&world, "/clock").await;
    assert!(debugger.has_lines, "{:?}", debugger.sources);
    let operations = debugger.timeline.len() as u32;
    assert!(operations > 100, "{operations}");
    let begin = debugger.state.state.clone();
    assert_eq!(place(&begin), (StopReason::Entry, 0, None));
    let mut forward = vec![place(&begin)];
    for _ in 0..5 {
        forward.push(place(&run(&debugger, step(StepBy::Operation, false)).await));
    }
    for _ in 0..6 {
        forward.push(place(&run(&debugger, step(StepBy::Instruction, false)).await));
    }
    let stood = run(&debugger, DebugCommand::State {}).await;
    let mut back = vec![place(&stood)];
    for _ in 0..5 {
        back.push(place(&run(&debugger, step(StepBy::Instruction, true)).await));
    }
    let told = |places: &[(StopReason, u32, Option<u32>)]| -> Vec<(u32, Option<u32>)> {
        places.iter().map(|(_, operation, line)| (*operation, *line)).collect()
    };
    let mut expected = told(&forward[6..]);
    expected.reverse();
    assert_eq!(told(&back), expected);
    let last = run(&debugger, DebugCommand::RunTo { operation: u32::MAX }).await;
    assert_eq!(last.reason, StopReason::End, "{}", last.description);
    let ended = last.ended.unwrap();
    assert_eq!((ended.status, ended.difference), (Status::Succeeded, None));
    let first = run(&debugger, DebugCommand::RunTo { operation: 3 }).await;
    assert_eq!((first.reason, first.operation), (StopReason::Operation, 3));
}

#[tokio::test]
async fn breakpoints_stand_on_lines_and_operations() {
    let world = World::of("http").await;
    let debugger = open(&world, "/trap").await;
    let source = include_str!("../guests/http/src/lib.rs");
    let line =
        source.lines().position(|line| line.contains("path_with_query()")).unwrap() as u32 + 1;
    let at = |file: &str, line| LineBreakpoint { file: file.to_owned(), line };
    let lines = vec![at("http/src/lib.rs", line), at("no/such.rs", 1)];
    let set = DebugCommand::Breakpoints { operations: Vec::new(), lines };
    let state = run(&debugger, set).await;
    assert_eq!(state.breakpoints.iter().map(|it| it.verified).collect::<Vec<_>>(), [true, false]);
    let stopped = run(&debugger, DebugCommand::Continue { back: false }).await;
    assert_eq!(place(&stopped), (StopReason::Breakpoint, 0, Some(line)));
    let memory = DebugCommand::Memory { memory: 0, address: 0, length: 16 };
    let memory = run(&debugger, memory).await.memory.unwrap();
    assert_eq!((memory.address, memory.base64.len()), (0, 24));
    let mut trapped = run(&debugger, DebugCommand::Continue { back: false }).await;
    while trapped.reason == StopReason::Breakpoint {
        trapped = run(&debugger, DebugCommand::Continue { back: false }).await;
    }
    assert_eq!(trapped.reason, StopReason::Trap, "{}", trapped.description);
    let back = run(&debugger, DebugCommand::Continue { back: true }).await;
    assert_eq!(place(&back), (StopReason::Breakpoint, 0, Some(line)));
}

#[tokio::test]
async fn an_edited_answer_changes_the_run_and_nothing_else() {
    let world = World::of("http").await;
    let (ended, record) = world.http("/fanout?upstream").await;
    assert_eq!(ended.status, Status::Succeeded);
    let before = world.upstream.requests.load(std::sync::atomic::Ordering::Relaxed);
    let debugger = world.prepared.debug(&record, None).await.unwrap();
    let mut heads = debugger.timeline.iter().filter_map(|entry| match entry {
        TimelineEntry::Operation(it) if it.result.get("status").is_some() => Some(it.operation),
        _ => None,
    });
    let operation = heads.next_back().unwrap();
    let result = json!({ "status": 418, "headers": [] });
    let state = run(&debugger, DebugCommand::Edit { operation, result }).await;
    assert_eq!(state.reason, StopReason::Entry, "it is still ahead");
    let mut state = run(&debugger, DebugCommand::Continue { back: false }).await;
    while state.reason == StopReason::NewEffect {
        state = run(&debugger, DebugCommand::Continue { back: false }).await;
    }
    let Debugged { state, output } = debugger.run(DebugCommand::State {}).await.unwrap();
    assert_eq!(state.reason, StopReason::End, "{}", state.description);
    let body = output.unwrap().body.unwrap().inline;
    assert!(String::from_utf8_lossy(&body).contains("418"), "{body:?}");
    assert!(state.ended.unwrap().difference.is_some());
    assert!(state.what_if.iter().any(|it| it.operation == operation && it.edited));
    let wrong = json!({ "nothing": 1 });
    let refused = debugger.run(DebugCommand::Edit { operation, result: wrong }).await;
    assert!(refused.unwrap_err().to_string().contains("must have the form"));
    let restored = DebugCommand::Edit { operation, result: serde_json::Value::Null };
    run(&debugger, restored).await;
    let state = run(&debugger, DebugCommand::Continue { back: false }).await;
    assert_eq!(state.ended.unwrap().difference, None, "as it was recorded");
    let after = world.upstream.requests.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(before, after, "a debugger touches nothing");
}

/// The variables of a guest that stands where its source says "here".
async fn values() -> (Debugger, DebugState) {
    let world = World::of("values").await;
    let debugger = open(&world, "/values").await;
    let source = include_str!("../guests/values/src/lib.rs");
    let line = source.lines().position(|line| line.ends_with("// here")).unwrap() as u32 + 1;
    let lines = vec![LineBreakpoint { file: "values/src/lib.rs".to_owned(), line }];
    run(&debugger, DebugCommand::Breakpoints { operations: Vec::new(), lines }).await;
    let state = run(&debugger, DebugCommand::Continue { back: false }).await;
    assert_eq!(state.reason, StopReason::Breakpoint, "{}", state.description);
    (debugger, state)
}

fn variables(of: &str) -> DebugCommand {
    DebugCommand::Variables { frame: 0, of: of.to_owned(), start: 0, count: None }
}

#[tokio::test]
async fn variables_have_the_values_of_the_source() {
    let (_debugger, state) = values().await;
    let found = &state.frames[0].variables;
    let said = |name: &str| {
        let one = found.iter().find(|it| it.name == name);
        one.map(|it| (it.ty.as_str(), it.value.as_str(), it.children))
    };
    for (name, ty, value, children) in [
        ("path", "&str", "\"/values\"", 0),
        ("number", "i16", "3", 0),
        ("yes", "bool", "true", 0),
        ("letter", "char", "'ß'", 0),
        ("small", "i8", "-128", 0),
        ("large", "u128", "340282366920938463463374607431768211455", 0),
        ("half", "f32", "-0.5", 0),
        ("colours", "[Colour; 2]", "[Red, Green]", 2),
        ("matrix", "[[i32; 2]; 2]", "[[1, 2], [3, 4]]", 2),
        ("bytes", "[u8; 2]", "[0, 255]", 2),
        ("map", "HashMap<&str, u8, RandomState>", "{\"tea\": 3}", 1),
        ("set", "HashSet<u16, RandomState>", "[5]", 1),
        ("ring", "VecDeque<u8>", "[3, 4, 1, 2, 9]", 5),
        ("shared", "Rc<RefCell<Vec<u8>>>", "RefCell { value: [1, 2] }", 1),
        ("total", "usize", "14", 0),
    ] {
        assert_eq!(said(name), Some((ty, value, children)), "{name} in {found:#?}");
    }
    let (ty, value, children) = said("order").unwrap();
    assert_eq!((ty, children), ("Order", 4));
    let begin =
        "Order { id: 1, customer: Some(\"Ada\"), kinds: [Small, Parcel { grams: 100, fragile: true";
    assert!(value.starts_with(begin), "{value}");
    assert!(said("reference").unwrap().1.starts_with("&Order { id: 1"), "{found:#?}");
    // What is declared later in the source is not there yet, and no name is there twice.
    let mut names: Vec<_> = found.iter().map(|it| &it.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[tokio::test]
async fn values_are_opened_by_their_paths() {
    let (debugger, _) = values().await;
    for (path, expected) in [
        ("order.kinds[1].grams", "100"),
        ("order.kinds[2].0", "\"to Ada\""),
        ("order.next.0.id", "2"),
        ("reference.customer.0", "\"Ada\""),
        ("map[\"tea\"]", "3"),
        ("tree[39]", "\"n39\""),
        ("ring[4]", "9"),
        ("matrix[1][0]", "3"),
    ] {
        let found = run(&debugger, variables(path)).await.variables.unwrap();
        assert_eq!(found.of.unwrap().value, expected, "{path}");
    }
    let page = DebugCommand::Variables { frame: 0, of: "tree".into(), start: 38, count: Some(5) };
    let found = run(&debugger, page).await.variables.unwrap().variables;
    let names: Vec<_> = found.iter().map(|it| (it.name.as_str(), it.path.as_str())).collect();
    assert_eq!(names, [("[38]", "tree[38]"), ("[39]", "tree[39]")]);
    for (path, expected) in [
        ("nobody", "there is no variable 'nobody' here"),
        ("order.nothing", "there is no 'nothing' in 'order.nothing'"),
        ("order.kinds[3]", "there is no '[3]'"),
        ("order[", "a bracket is open"),
    ] {
        let refused = debugger.run(variables(path)).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{path}: {refused}");
    }
    let far = DebugCommand::Variables { frame: 999, of: String::new(), start: 0, count: None };
    let refused = debugger.run(far).await.unwrap_err().to_string();
    assert!(refused.contains("there is no frame 999"), "{refused}");
}

#[tokio::test]
async fn a_profile_finds_what_computes() {
    let world = World::of("http").await;
    let (_, record) = world.http("/clock").await;
    let options = ProfileOptions { samples: 50, time: Duration::from_secs(20) };
    let profile = world.prepared.profile(&record, None, options).await.unwrap();
    let samples: u64 = profile.stacks.iter().map(|(_, count)| count).sum();
    assert!(samples >= 50 && profile.replays >= 1, "{samples} in {}", profile.replays);
    assert!(profile.frames.iter().any(|frame| frame.function.contains("guest_http")));
    assert!(profile.memory.iter().any(|point| point.bytes > 0));
}
