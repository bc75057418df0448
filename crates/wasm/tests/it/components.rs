//! Components of other languages, where the folder in `NEXUS_TEST_COMPONENTS` holds some:
//! each is called, recorded, and replayed a hundred times.

use nexus_exec::CallInput;
use nexus_model::record::Status;
use nexus_model::resource::World as GuestWorld;

use super::world::{World, event, request};

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test is told where components lie")]
async fn components_of_other_languages_replay() {
    let Ok(folder) = std::env::var("NEXUS_TEST_COMPONENTS") else { return };
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    paths.sort();
    assert!(!paths.is_empty(), "no components there");
    for path in paths {
        let component = std::fs::read(&path).unwrap();
        let world = World::with(component.into(), |unit| {
            unit.limits.memory_bytes = 256 << 20;
        })
        .await;
        let input = match world.unit.world {
            GuestWorld::Http => request("GET", "/?name=Ada", nexus_exec::empty_body()),
            GuestWorld::Event => CallInput::Event(event("com.example.test", "{\"name\":\"Ada\"}")),
            GuestWorld::Command => CallInput::Command {
                arguments: Vec::new(),
                stdin: bytes::Bytes::from_static(b"{\"name\":\"Ada\"}"),
            },
        };
        let (ended, record) = world.record(world.call(input)).await;
        let shown = path.display();
        assert_eq!(
            ended.status,
            Status::Succeeded,
            "{shown}: {:?} {:?}",
            ended.failure,
            ended.logs
        );
        for _ in 0..100 {
            let replayed = world.prepared.replay(&record, None).await.unwrap();
            assert_eq!(replayed.view.divergence, None, "{shown}");
        }
        eprintln!(
            "{shown}: memory grew by {} pages, {} operations",
            ended.meter.memory_grown_pages, ended.meter.host_calls
        );
    }
}
