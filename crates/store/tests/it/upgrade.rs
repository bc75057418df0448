//! Stores of every released format open; newer ones are refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_model::ManualClock;
use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_store::{Change, Error, FORGET_SECRETS, Op, ReadLimit, StateChange, StateEdit, Store};
use serde_json::json;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::state::{state_change, state_id};
use crate::world::{START, function, name, open, path, principal, project, put};

fn fixture(version: u64) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/store-v{version}.sqlite"))
}

/// What the fixture of version 1 was made with. It is never changed, only read.
async fn fill(store: &Store) {
    let mut hello = Resource::new(&function("shop", "hello"), json!({"description": "ü", "n": 1}));
    hello.metadata.labels.insert("team".into(), "blue".into());
    let ops = vec![
        put(&project("shop"), json!({"default": true})),
        Op::put(hello),
        put(&function("shop", "old"), json!({})),
        Op::set_status(function("shop", "hello"), json!({"ready": true})),
        Op::delete(function("shop", "old")),
    ];
    store.apply(Change::new(principal(), ops)).await.unwrap();
    store.outbox_done(3).await.unwrap();
    store.lease("shard-0", "a", std::time::Duration::from_secs(10)).await.unwrap();
}

async fn check_filled(store: &Store) {
    assert_eq!(store.revision(), 5);
    let hello = store.get(&function("shop", "hello")).await.unwrap().unwrap();
    assert_eq!(hello.spec, json!({"description": "ü", "n": 1}));
    assert_eq!(hello.status, json!({"ready": true}));
    assert_eq!(hello.metadata.labels["team"], "blue");
    assert_eq!((hello.metadata.revision, hello.metadata.generation), (Some(4), Some(1)));
    assert_eq!(hello.metadata.created_at, Some(START));
    let same = Op::put(Resource { status: json!(null), ..hello });
    let applied = store.apply(Change::new(principal(), vec![same])).await.unwrap();
    assert!(!applied.changed());
    let changes = store.changes_since(0, 10).await.unwrap();
    let revisions: Vec<_> = changes.iter().map(|change| change.revision).collect();
    assert_eq!(revisions, [1, 4, 5]);
    assert_eq!(changes[2].resource, None);
    let outbox = store.outbox(10).await.unwrap();
    assert_eq!(outbox.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [4, 5]);
    let lease = store.lease("shard-0", "a", std::time::Duration::from_secs(10)).await.unwrap();
    assert_eq!(lease.epoch, 2);
    let applied =
        store.apply(Change::new(principal(), vec![put(&project("new"), json!({}))])).await;
    assert_eq!(applied.unwrap().revision, 6);
    let shop = name("shop");
    assert_eq!(store.list(Kind::Function, Some(&shop), None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_of_version_1_opens() {
    let dir = tempfile::tempdir().unwrap();
    let clock = || Arc::new(ManualClock::new(START));
    if !fixture(1).exists() {
        let store = open(&path(dir.path()), clock()).await.unwrap();
        fill(&store).await;
        store.close().await.unwrap();
        fs::create_dir_all(fixture(1).parent().unwrap()).unwrap();
        fs::copy(path(dir.path()), fixture(1)).unwrap();
        panic!("made {}: commit it and run again", fixture(1).display());
    }
    fs::copy(fixture(1), path(dir.path())).unwrap();
    let store = open(&path(dir.path()), clock()).await.unwrap();
    check_filled(&store).await;
}

/// What the fixture of version 2 has besides.
async fn fill_state(store: &Store) {
    let first = state_change("cart", StateEdit::Put("one".into()));
    store.change_state(StateChange { operation: Some("inv-1".into()), ..first }).await.unwrap();
    let events = vec!["a".into(), "b".into()];
    store.change_state(state_change("orders", StateEdit::Append(events))).await.unwrap();
}

async fn check_state(store: &Store) {
    let found = store.state(&state_id("cart")).await.unwrap().unwrap();
    assert_eq!((found.version, &found.value[..]), (1, &b"one"[..]));
    let again = state_change("cart", StateEdit::Put("two".into()));
    let again = StateChange { operation: Some("inv-1".into()), ..again };
    assert_eq!(store.change_state(again).await.unwrap(), 1);
    let limit = ReadLimit { items: 10, bytes: 100 };
    assert_eq!(store.stream(&state_id("orders"), 0, limit).await.unwrap().len(), 2);
    let next = state_change("cart", StateEdit::Put("three".into()));
    assert_eq!(store.change_state(next).await.unwrap(), 2);
}

#[tokio::test]
async fn a_store_of_version_2_opens() {
    let dir = tempfile::tempdir().unwrap();
    let clock = || Arc::new(ManualClock::new(START));
    if !fixture(2).exists() {
        let store = open(&path(dir.path()), clock()).await.unwrap();
        fill(&store).await;
        fill_state(&store).await;
        store.close().await.unwrap();
        fs::copy(path(dir.path()), fixture(2)).unwrap();
        panic!("made {}: commit it and run again", fixture(2).display());
    }
    fs::copy(fixture(2), path(dir.path())).unwrap();
    let store = open(&path(dir.path()), clock()).await.unwrap();
    check_filled(&store).await;
    check_state(&store).await;
}

#[tokio::test]
async fn an_older_store_gets_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixture(1), path(dir.path())).unwrap();
    let store = open(&path(dir.path()), Arc::new(ManualClock::new(START))).await.unwrap();
    fill_state(&store).await;
    check_state(&store).await;
}

async fn edit(path: &Path, statement: &str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
}

#[tokio::test]
async fn a_newer_format_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = path(dir.path());
    fs::copy(fixture(1), &path).unwrap();
    edit(&path, "UPDATE schema_version SET version = 7").await;
    let before = fs::read(&path).unwrap();
    let error = open(&path, Arc::new(ManualClock::new(START))).await.unwrap_err();
    assert!(matches!(error, Error::NewerFormat { found: 7, known: 2 }), "{error:?}");
    assert!(error.to_string().contains("version 7"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn another_programs_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = path(dir.path());
    edit(&path, "CREATE TABLE notes (text TEXT)").await;
    let error = open(&path, Arc::new(ManualClock::new(START))).await.unwrap_err();
    assert!(matches!(error, Error::NotAStore { .. }), "{error:?}");
}

/// What an operator runs who has lost the master key: the words of a hint, so they must be right.
#[tokio::test]
async fn secrets_can_be_forgotten_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let clock = || Arc::new(ManualClock::new(START));
    let store = open(&path(dir.path()), clock()).await.unwrap();
    let kept = function("shop", "hello");
    let secret =
        ResourceKey { kind: Kind::Secret, project: Some(name("shop")), name: name("api-key") };
    let ops = vec![put(&kept, json!({})), put(&secret, json!({"current": 1, "versions": {}}))];
    store.apply(Change::new(principal(), ops)).await.unwrap();
    store.close().await.unwrap();

    edit(&path(dir.path()), FORGET_SECRETS).await;
    let store = open(&path(dir.path()), clock()).await.unwrap();
    assert_eq!(store.get(&secret).await.unwrap(), None);
    assert_eq!(store.scan(Kind::Secret, None, 10).await.unwrap(), []);
    assert!(store.get(&kept).await.unwrap().is_some());
    let again = vec![put(&secret, json!({"current": 1, "versions": {"1": ""}}))];
    assert!(store.apply(Change::new(principal(), again)).await.unwrap().changed());
}
