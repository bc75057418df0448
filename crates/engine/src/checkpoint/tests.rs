use proptest::prelude::*;

use super::*;

#[test]
fn a_damaged_checkpoint_is_not_believed_and_a_newer_one_refused() {
    let shard = Shard { position: 7, ..Shard::default() };
    let good = encode(&Snapshot::of(&shard), &Dedup::new());
    assert_eq!(decode(&good).unwrap().unwrap().0.position, 7);
    for at in (0..good.len()).filter(|at| !(4..8).contains(at)) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(decode(&bad).unwrap().is_none(), "byte {at}");
    }
    let mut newer = good.clone();
    newer[4] = 3;
    assert!(decode(&newer).unwrap_err().to_string().contains("version 3"));
}

#[test]
fn a_checkpoint_is_read_back_from_a_folder_that_was_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("engine/checkpoint");
    assert!(read(&path).unwrap().is_none());
    let shard = Shard { position: 9, ..Shard::default() };
    write(&path, &Snapshot::of(&shard), &Dedup::new()).unwrap();
    assert_eq!(read(&path).unwrap().unwrap().0.position, 9);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = decode(&bytes);
        let _ = load::body(&bytes);
        let _ = v1::body(&bytes);
    }
}
