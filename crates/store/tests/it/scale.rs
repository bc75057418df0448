//! Many resources: bulk changes and lists page by page. How fast they are is measured by
//! `cargo run --release -p nexus-store --example bulk`; that no list reads more rows than it
//! returns is checked by the query plans in `statement`.

use nexus_model::limits::APPLY_RESOURCES_MAX;
use nexus_model::resource::Kind;
use nexus_store::Op;
use serde_json::json;

use crate::world::{World, function, name, put};

const FUNCTIONS: usize = 5_000;

#[tokio::test]
async fn thousands_of_functions_are_applied_in_bulk_and_listed_by_pages() {
    let world = World::new().await;
    let keys: Vec<_> =
        (0..FUNCTIONS).map(|at| function("shop", &format!("function-{at:06}"))).collect();
    for keys in keys.chunks(APPLY_RESOURCES_MAX) {
        let ops: Vec<Op> = keys.iter().map(|key| put(key, json!({"description": "one"}))).collect();
        let applied = world.apply(ops.clone()).await.unwrap();
        assert!(applied.resources.iter().all(|at| at.effect.changed()));
        assert!(!world.apply(ops).await.unwrap().changed());
    }
    assert_eq!(world.store.revision(), FUNCTIONS as u64);
    let shop = name("shop");
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page =
            world.store.list(Kind::Function, Some(&shop), after.as_ref(), 999).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.metadata.name.clone());
        listed.extend(page.iter().map(|resource| resource.key()));
    }
    assert_eq!(listed, keys);
}
