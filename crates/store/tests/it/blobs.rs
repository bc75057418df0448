//! Blobs: content-addressed, whole or absent, never wrong.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use bytes::Bytes;
use nexus_model::{Clock as _, Digest, SystemClock, Timestamp};
use nexus_store::{BLOB_BYTES_MAX, Blobs, Error, blob_file, check_blob};
use proptest::prelude::*;

fn blobs() -> (tempfile::TempDir, Blobs) {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path().join("blobs")).unwrap();
    (dir, blobs)
}

#[tokio::test]
async fn bytes_go_in_and_come_out() {
    let (dir, blobs) = blobs();
    for bytes in [&b""[..], b"nexus", &[7; 300_000]] {
        let digest = blobs.put(Bytes::copy_from_slice(bytes)).await.unwrap();
        assert_eq!(digest, Digest::of(bytes));
        assert_eq!(blobs.get(digest).await.unwrap().as_deref(), Some(bytes));
        assert!(blobs.has(digest).await.unwrap());
        assert_eq!(fs::read(blobs.path(digest)).unwrap(), bytes);
    }
    let again = Blobs::open(dir.path().join("blobs")).unwrap();
    assert_eq!(again.list(None, 10).await.unwrap().len(), 3);
    let unknown = Digest::of(b"unknown");
    assert_eq!(blobs.get(unknown).await.unwrap(), None);
    assert!(!blobs.has(unknown).await.unwrap());
    assert_eq!(blobs.delete_unused(unknown, later()).await.unwrap(), None);
}

#[tokio::test]
async fn a_check_reads_all_and_changes_nothing() {
    let (dir, blobs) = blobs();
    // More than is read at once.
    let bytes = Bytes::from(vec![7; (5 << 20) / 2]);
    let digest = blobs.put(bytes.clone()).await.unwrap();
    let before = blobs.list(None, 10).await.unwrap();
    assert_eq!(blobs.check(digest).unwrap(), Some(bytes.len() as u64));
    assert_eq!(blobs.check(Digest::of(b"unknown")).unwrap(), None);
    assert_eq!(blobs.list(None, 10).await.unwrap(), before, "it is no use");
    assert_eq!(dir.path().join(blob_file(digest)), blobs.path(digest));
    let nowhere = dir.path().join("nowhere");
    assert_eq!(check_blob(&nowhere, digest).unwrap(), None);
    assert!(!nowhere.exists());
}

#[tokio::test]
async fn a_deleted_blob_is_gone() {
    let (_dir, blobs) = blobs();
    let digest = blobs.put(Bytes::from_static(b"nexus")).await.unwrap();
    assert_eq!(blobs.delete_unused(digest, later()).await.unwrap(), Some(5));
    assert_eq!(blobs.delete_unused(digest, later()).await.unwrap(), None);
    assert_eq!(blobs.get(digest).await.unwrap(), None);
    assert_eq!(blobs.list(None, 10).await.unwrap(), vec![]);
    blobs.put(Bytes::from_static(b"nexus")).await.unwrap();
    assert!(blobs.has(digest).await.unwrap());
}

#[tokio::test]
async fn a_corrupt_blob_is_named_and_never_returned() {
    let (_dir, blobs) = blobs();
    let bytes = Bytes::from_static(b"nexus");
    let digest = blobs.put(bytes.clone()).await.unwrap();
    for damage in [&b"nexuS"[..], b"nexu", b"", b"nexus!"] {
        fs::write(blobs.path(digest), damage).unwrap();
        let checked = blobs.check(digest).unwrap_err();
        assert!(
            matches!(&checked, Error::CorruptBlob { found, .. } if *found == Digest::of(damage)),
            "{checked}"
        );
        match blobs.get(digest).await.unwrap_err() {
            Error::CorruptBlob { digest: named, found, path } => {
                assert_eq!((named, found), (digest, Digest::of(damage)));
                assert_eq!(path, blobs.path(digest));
            }
            other => panic!("{other}"),
        }
        blobs.put(bytes.clone()).await.unwrap();
        assert_eq!(blobs.get(digest).await.unwrap(), Some(bytes.clone()), "putting it mends it");
    }
}

#[tokio::test]
async fn the_same_blob_can_be_put_many_times_at_once() {
    let (dir, blobs) = blobs();
    let bytes = Bytes::from(vec![42; 100_000]);
    let puts = (0..32).map(|_| {
        let (blobs, bytes) = (blobs.clone(), bytes.clone());
        async move { blobs.put(bytes).await.unwrap() }
    });
    let mut tasks = tokio::task::JoinSet::new();
    for put in puts {
        tasks.spawn(put);
    }
    let digests: BTreeSet<Digest> = tasks.join_all().await.into_iter().collect();
    assert_eq!(digests.into_iter().collect::<Vec<_>>(), [Digest::of(&bytes)]);
    assert_eq!(blobs.list(None, 10).await.unwrap().len(), 1);
    assert_eq!(fs::read_dir(dir.path().join("blobs/incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_removed() {
    let (dir, blobs) = blobs();
    let digest = blobs.put(Bytes::from_static(b"nexus")).await.unwrap();
    let leftover = dir.path().join("blobs/incoming/0-0");
    fs::write(&leftover, b"half").unwrap();
    // Files that are none of ours do not disturb.
    fs::write(blobs.path(digest).with_file_name("notes.txt"), b"?").unwrap();
    let blobs = Blobs::open(dir.path().join("blobs")).unwrap();
    assert!(!leftover.exists());
    let listed = blobs.list(None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|info| info.digest).collect::<Vec<_>>(), [digest]);
    assert_eq!(listed[0].size_bytes, 5);
}

#[tokio::test]
async fn how_much_there_is_stays_known() {
    let (dir, blobs) = blobs();
    let put = |blobs: &Blobs, text: String| {
        let blobs = blobs.clone();
        async move { blobs.put(Bytes::from(text)).await.unwrap() }
    };
    for number in 100..200 {
        put(&blobs, number.to_string()).await;
    }
    assert_eq!(blobs.file_bytes(), None, "nobody has looked");
    // Some come and go while it is looked.
    let meanwhile = async {
        for number in 200..300 {
            put(&blobs, number.to_string()).await;
        }
        blobs.delete_unused(Digest::of(b"200"), later()).await.unwrap();
    };
    let (measured, ()) = tokio::join!(blobs.measure(), meanwhile);
    measured.unwrap();
    assert_eq!(blobs.file_bytes(), Some(199 * 3));
    let first = put(&blobs, "100".into()).await;
    assert_eq!(blobs.file_bytes(), Some(199 * 3), "it was there");
    fs::write(blobs.path(first), "damaged").unwrap();
    put(&blobs, "100".into()).await;
    assert_eq!(blobs.clone().file_bytes(), Some(199 * 3 - 4), "by the size that it had");
    let reopened = Blobs::open(dir.path().join("blobs")).unwrap();
    reopened.measure().await.unwrap();
    assert_eq!(reopened.file_bytes(), Some(199 * 3));
}

/// Makes a blob look as if nobody had used it since 1970.
fn age(blobs: &Blobs, digest: Digest) {
    let file = fs::File::options().write(true).open(blobs.path(digest)).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
}

/// When everything that is there now is old.
fn later() -> Timestamp {
    SystemClock.now().after(Duration::from_secs(60))
}

#[tokio::test]
async fn putting_and_reading_a_blob_make_it_young() {
    let (_dir, blobs) = blobs();
    let digest = blobs.put(Bytes::from_static(b"nexus")).await.unwrap();
    let used_at = async || blobs.list(None, 1).await.unwrap()[0].used_at;
    age(&blobs, digest);
    assert_eq!(used_at().await, Timestamp::EPOCH);
    blobs.put(Bytes::from_static(b"nexus")).await.unwrap();
    assert!(used_at().await > Timestamp::EPOCH);
    age(&blobs, digest);
    blobs.get(digest).await.unwrap().unwrap();
    assert!(used_at().await > Timestamp::EPOCH);
}

#[tokio::test]
async fn only_what_is_old_is_deleted() {
    let (_dir, blobs) = blobs();
    let [old, young] = [b"old", b"new"].map(|bytes| Bytes::from_static(bytes));
    let (old, young) = (blobs.put(old).await.unwrap(), blobs.put(young).await.unwrap());
    age(&blobs, old);
    let since = Timestamp::EPOCH.after(Duration::from_secs(1));
    assert_eq!(blobs.delete_unused(old, since).await.unwrap(), Some(3));
    assert_eq!(blobs.delete_unused(young, since).await.unwrap(), None);
    assert!(blobs.has(young).await.unwrap());
}

/// Whoever gets a digest from `put` finds the blob, however busy the collector is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_is_put_again_is_not_collected_meanwhile() {
    let (_dir, blobs) = blobs();
    let bytes = Bytes::from_static(b"nexus");
    let digest = blobs.put(bytes.clone()).await.unwrap();
    let since = Timestamp::EPOCH.after(Duration::from_secs(1));
    for _ in 0..300 {
        if blobs.has(digest).await.unwrap() {
            age(&blobs, digest);
        }
        // Each runs on a thread of its own.
        let (put, deleted) =
            tokio::join!(blobs.put(bytes.clone()), blobs.delete_unused(digest, since));
        put.unwrap();
        deleted.unwrap();
        assert_eq!(blobs.get(digest).await.unwrap(), Some(bytes.clone()));
    }
}

#[tokio::test]
async fn an_error_names_operation_and_path() {
    let (dir, blobs) = blobs();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = Blobs::open(&file).unwrap_err().to_string();
    assert!(error.starts_with("failed to make folder") && error.contains("file"), "{error}");
    let digest = Digest::of(b"nexus");
    fs::create_dir_all(blobs.path(digest)).unwrap();
    let error = blobs.get(digest).await.unwrap_err().to_string();
    assert!(error.starts_with("failed to read blob") && error.contains(&digest.hex()), "{error}");
}

#[tokio::test]
async fn a_blob_above_the_limit_is_refused() {
    let (_dir, blobs) = blobs();
    // Zeroed memory that nobody reads costs nothing: the size is looked at first.
    let error = blobs.put(Bytes::from(vec![0; BLOB_BYTES_MAX + 1])).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a blob of 1073741825 bytes is above the limit of 1073741824 bytes"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn pages_list_every_blob_once_in_order(contents: BTreeSet<Vec<u8>>, limit in 1usize..5) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_dir, blobs) = blobs();
            let mut expected = BTreeSet::new();
            for bytes in contents {
                expected.insert(blobs.put(Bytes::from(bytes)).await.unwrap());
            }
            let mut listed = Vec::new();
            loop {
                let page = blobs.list(listed.last().copied(), limit).await.unwrap();
                if page.is_empty() {
                    break;
                }
                assert!(page.len() <= limit);
                listed.extend(page.iter().map(|info| info.digest));
            }
            assert_eq!(listed, expected.into_iter().collect::<Vec<_>>());
        });
    }
}
