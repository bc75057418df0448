//! Leases: one holder at a time, and a rising epoch.

use std::time::Duration;

use nexus_store::Error;

use crate::world::{START, World};

const TTL: Duration = Duration::from_secs(10);

#[tokio::test]
async fn one_holder_at_a_time() {
    let mut world = World::new().await;
    let first = world.store.lease("shard-0", "a", TTL).await.unwrap();
    assert_eq!((first.epoch, first.expires), (1, START.after(TTL)));
    let refused = world.store.lease("shard-0", "b", TTL).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("lease shard-0 is held by a until {}", START.after(TTL))
    );
    assert_eq!(world.store.lease("shard-1", "b", TTL).await.unwrap().epoch, 1);

    world.clock.advance(TTL / 2);
    let renewed = world.store.renew(&first, TTL).await.unwrap();
    assert_eq!((renewed.epoch, renewed.expires), (1, START.after(TTL / 2 + TTL)));
    world.reopen().await;
    assert!(matches!(world.store.lease("shard-0", "b", TTL).await, Err(Error::LeaseHeld { .. })));

    world.clock.advance(TTL);
    assert!(matches!(
        world.store.renew(&renewed, TTL).await,
        Err(Error::LeaseLost { epoch: 1, .. })
    ));
    let second = world.store.lease("shard-0", "b", TTL).await.unwrap();
    assert_eq!(second.epoch, 2);
    assert!(matches!(world.store.renew(&renewed, TTL).await, Err(Error::LeaseLost { .. })));
    assert!(matches!(world.store.release(&renewed).await, Err(Error::LeaseLost { .. })));
}

#[tokio::test]
async fn a_released_lease_is_free_at_once_and_its_epoch_is_over() {
    let world = World::new().await;
    let first = world.store.lease("shard-0", "a", TTL).await.unwrap();
    world.store.release(&first).await.unwrap();
    assert!(matches!(world.store.renew(&first, TTL).await, Err(Error::LeaseLost { .. })));
    assert_eq!(world.store.lease("shard-0", "b", TTL).await.unwrap().epoch, 2);
}

#[tokio::test]
async fn taking_it_again_fences_an_earlier_self() {
    let world = World::new().await;
    let before_restart = world.store.lease("shard-0", "a", TTL).await.unwrap();
    let after_restart = world.store.lease("shard-0", "a", TTL).await.unwrap();
    assert_eq!(after_restart.epoch, 2);
    assert!(matches!(world.store.renew(&before_restart, TTL).await, Err(Error::LeaseLost { .. })));
    world.store.renew(&after_restart, TTL).await.unwrap();
}
