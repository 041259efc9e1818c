// SPDX-License-Identifier: Apache-2.0
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::Random;

fn put(files: &dyn Files, path: &Path, bytes: &[u8]) -> Arc<dyn File> {
    let file = files.open(path, Mode::Append).unwrap();
    file.append(bytes).unwrap();
    file
}

/// What every layer must do alike.
fn contract(files: &dyn Files, dir: &Path) {
    files.create_dirs(dir).unwrap();
    let (a, b) = (dir.join("a"), dir.join("b"));
    assert_eq!(files.open(&a, Mode::Read).unwrap_err().kind(), io::ErrorKind::NotFound);
    let file = put(files, &a, b"hello ");
    put(files, &a, b"world");
    assert_eq!(file.size().unwrap(), 11);
    let mut part = [0; 4];
    assert_eq!(file.read_at(9, &mut part).unwrap(), 2);
    assert_eq!(&part[..2], b"ld");
    assert_eq!(file.read_at(99, &mut part).unwrap(), 0);
    file.truncate(5).unwrap();
    file.append(b"!").unwrap();
    file.sync().unwrap();
    assert_eq!(read_all(files, &a).unwrap(), b"hello!");
    assert!(files.open(&a, Mode::Read).unwrap().append(b"x").is_err());

    write_atomic(files, &b, b"one").unwrap();
    write_atomic(files, &b, b"two").unwrap();
    assert_eq!(read_all(files, &b).unwrap(), b"two");
    assert_eq!(files.list(dir).unwrap(), ["a", "b"]);
    files.rename(&a, &b).unwrap();
    assert_eq!(files.list(dir).unwrap(), ["b"]);
    files.remove(&b).unwrap();
    assert_eq!(files.remove(&b).unwrap_err().kind(), io::ErrorKind::NotFound);
    files.sync_dir(dir).unwrap();

    let lock = files.lock(&dir.join("LOCK")).unwrap();
    assert_eq!(files.lock(&dir.join("LOCK")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(lock);
    files.lock(&dir.join("LOCK")).unwrap();
}

#[test]
fn both_layers_keep_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract(&RealFiles, dir.path());
    contract(&TestFiles::new(), Path::new("/data"));
}

#[test]
fn a_crash_keeps_what_was_synced_and_nothing_else() {
    let files = TestFiles::new();
    let (dir, a, b) = (Path::new("/d"), Path::new("/d/a"), Path::new("/d/b"));
    let file = put(&files, a, b"kept");
    file.sync().unwrap();
    files.sync_dir(dir).unwrap();
    file.append(b" lost").unwrap();
    put(&files, b, b"name never synced").sync().unwrap();
    let _lock = files.lock(Path::new("/d/LOCK")).unwrap();
    files.crash();
    assert_eq!(read_all(&files, a).unwrap(), b"kept");
    assert!(files.open(b, Mode::Read).is_err());
    assert!(file.append(b"from another life").is_err());
    files.lock(Path::new("/d/LOCK")).unwrap();
}

#[test]
fn a_truncated_end_written_anew_is_not_durable_before_the_next_sync() {
    let files = TestFiles::new();
    let a = Path::new("/d/a");
    let file = put(&files, a, b"123456");
    file.sync().unwrap();
    files.sync_dir(Path::new("/d")).unwrap();
    file.truncate(3).unwrap();
    file.append(b"xyz").unwrap();
    files.crash_torn(&mut Random::seeded(1));
    assert_eq!(read_all(&files, a).unwrap(), b"123456");
}

#[test]
fn a_torn_crash_keeps_a_prefix_of_the_unsynced_end() {
    for seed in 0..50 {
        let files = TestFiles::new();
        let file = put(&files, Path::new("/d/a"), b"12");
        file.sync().unwrap();
        files.sync_dir(Path::new("/d")).unwrap();
        file.append(b"345").unwrap();
        files.crash_torn(&mut Random::seeded(seed));
        let left = read_all(&files, Path::new("/d/a")).unwrap();
        assert!(left.len() >= 2 && b"12345".starts_with(&left), "{left:?}");
    }
}

#[test]
fn injected_faults_strike_once_in_order() {
    let files = TestFiles::new();
    let file = put(&files, Path::new("/d/a"), b"ab");
    files.inject(Fault::ShortWrite(1));
    files.inject(Fault::DiskFull);
    files.inject(Fault::FailedSync);
    assert!(file.append(b"cd").is_err());
    assert_eq!(file.append(b"ef").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(file.sync().is_err());
    file.sync().unwrap();
    assert_eq!(read_all(&files, Path::new("/d/a")).unwrap(), b"abc");
    files.flip_bit(Path::new("/d/a"), 0, 1).unwrap();
    assert_eq!(read_all(&files, Path::new("/d/a")).unwrap(), b"cbc");
}

#[test]
fn of_several_who_link_to_a_name_one_succeeds() {
    let files = TestFiles::new();
    put(&files, Path::new("/d/a"), b"a").sync().unwrap();
    put(&files, Path::new("/d/sub/b"), b"b").sync().unwrap();
    files.link(Path::new("/d/a"), Path::new("/d/to")).unwrap();
    let second = files.link(Path::new("/d/sub/b"), Path::new("/d/to")).unwrap_err();
    assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(read_all(&files, Path::new("/d/to")).unwrap(), b"a");
    assert_eq!(files.list_dirs(Path::new("/d")).unwrap(), ["sub"]);
}
