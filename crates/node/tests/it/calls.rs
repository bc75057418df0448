//! Functions that call functions, and state that outlives them.

use bytes::Bytes;
use nexus_model::{InvocationFilter, limits};
use nexus_node::{InvokeInput, PageOptions};

use crate::world::{World, admin, name, spec};

async fn invoke(world: &World, function: &str, data: &str) -> String {
    let input = InvokeInput { data: Bytes::from(data.to_owned()), ..InvokeInput::default() };
    let output = world.node.invoke(&admin(), &name("shop"), &name(function), input).await.unwrap();
    String::from_utf8(output.body.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_calls_others_of_any_world() {
    let world = World::new().await;
    world.deploy("page", "http echo", None).await;
    world.deploy("rule", "event echo", None).await;
    world.deploy("tool", "command echo", None).await;
    world.deploy("broken", "event refuse", None).await;
    for called in ["page", "rule", "tool"] {
        world.deploy(&format!("to-{called}"), &format!("event call {called}"), None).await;
        assert_eq!(invoke(&world, &format!("to-{called}"), "[1]").await, "[1]");
    }
    world.deploy("to-broken", "event call broken", None).await;
    let failed = invoke(&world, "to-broken", "1").await;
    assert!(failed.contains("code: GuestRefused"), "{failed}");
    world.deploy("to-nothing", "event call nothing", None).await;
    assert!(invoke(&world, "to-nothing", "1").await.starts_with("NotFound"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_names_the_one_that_caused_it_and_endless_recursion_ends() {
    let world = World::new().await;
    world
        .deploy("again", "event call again", spec(serde_json::json!({ "record": "durable" })))
        .await;
    let answer = invoke(&world, "again", "1").await;
    assert!(answer.starts_with("TooDeep"), "{answer}");
    let page = PageOptions { limit: 100, ..PageOptions::default() };
    let all = world.node.invocations(&admin(), InvocationFilter::default(), page).await.unwrap();
    assert_eq!(all.items.len() as u32, limits::CALL_DEPTH_MAX + 1);
    let mut causes = 0;
    for row in &all.items {
        let view = world.node.invocation(&admin(), row.id).await.unwrap();
        causes += usize::from(view.cause_invocation.is_some());
    }
    assert_eq!(causes as u32, limits::CALL_DEPTH_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_each_functions_own_and_outlives_the_node() {
    let mut world = World::new().await;
    world.deploy("one", "event count n", None).await;
    world.deploy("two", "event count n", None).await;
    let calls = (0..10).map(|_| invoke(&world, "one", ""));
    let mut seen: Vec<u64> =
        futures::future::join_all(calls).await.iter().map(|at| at.parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=10).collect::<Vec<_>>());
    assert_eq!(invoke(&world, "two", "").await, "1");
    let runtime = world.runtime.clone();
    world = world.restart(runtime).await;
    assert_eq!(invoke(&world, "one", "").await, "11");
}
