// SPDX-License-Identifier: Apache-2.0
use std::path::Path;

use basics::Kind;
use basics::files::{Files, RealFiles, TestFiles};

use super::*;

/// What every object store must do alike.
pub(crate) fn contract(objects: &dyn Objects) {
    assert_eq!(objects.get("a/none").unwrap(), None);
    assert_eq!(objects.get_range("a/none", 0..1).unwrap_err().kind(), Kind::Corrupt);
    assert!(objects.list("a").unwrap().is_empty());
    objects.put("a/b/one", b"first").unwrap();
    objects.put("a/b/one", b"hello world").unwrap();
    assert_eq!(&objects.get("a/b/one").unwrap().unwrap()[..], b"hello world");
    assert_eq!(&objects.get_range("a/b/one", 6..11).unwrap()[..], b"world");
    assert_eq!(objects.get_range("a/b/one", 6..12).unwrap_err().kind(), Kind::Corrupt);
    let parts = objects.get_ranges("a/b/one", &[6..8, 0..0, 0..2]).unwrap();
    assert_eq!(parts, [&b"wo"[..], b"", b"he"]);
    assert!(objects.put_if_absent("a/two", b"2").unwrap());
    assert!(!objects.put_if_absent("a/two", b"3").unwrap());
    assert_eq!(&objects.get("a/two").unwrap().unwrap()[..], b"2");
    let mut writer = objects.create("a/long").unwrap();
    for _ in 0..3 {
        writer.write_all(&vec![7; 200 << 10]).unwrap();
    }
    assert_eq!(objects.get("a/long").unwrap(), None, "not seen before it is finished");
    assert_eq!(writer.finish().unwrap(), 600 << 10);
    drop(objects.create("a/never").unwrap());
    objects.put("ab", b"").unwrap();
    let listed: Vec<(String, u64)> =
        objects.list("a").unwrap().into_iter().map(|o| (o.path, o.bytes)).collect();
    let expected = [("a/b/one", 11), ("a/long", 600 << 10), ("a/two", 1)];
    assert_eq!(listed, expected.map(|(path, bytes)| (path.to_owned(), bytes)));
    objects.delete("a/two").unwrap();
    objects.delete("a/two").unwrap();
    assert_eq!(objects.get("a/two").unwrap(), None);
}

#[test]
fn all_object_stores_do_alike() {
    contract(&Memory::new());
    contract(&Local::new(TestFiles::new().shared(), Path::new("/store")));
    let dir = tempfile::tempdir().unwrap();
    contract(&Local::new(RealFiles::shared(), dir.path()));
}

#[test]
fn what_a_local_store_has_written_survives_a_power_cut() {
    let files = TestFiles::new();
    let objects = Local::new(files.shared(), Path::new("/store"));
    objects.put("a/b/put", b"1").unwrap();
    assert!(objects.put_if_absent("a/c/linked", b"2").unwrap());
    let mut unfinished = objects.create("a/unfinished").unwrap();
    unfinished.write_all(b"3").unwrap();
    files.crash();
    let objects = Local::new(files.shared(), Path::new("/store"));
    objects.sweep();
    let paths: Vec<String> = objects.list("a").unwrap().into_iter().map(|o| o.path).collect();
    assert_eq!(paths, ["a/b/put", "a/c/linked"]);
    assert!(files.list(Path::new("/store/tmp")).unwrap().is_empty());
}

#[test]
fn a_failing_disk_leaves_no_half_object() {
    use basics::files::Fault;
    for fault in [Fault::DiskFull, Fault::ShortWrite(2), Fault::FailedSync] {
        let files = TestFiles::new();
        let objects = Local::new(files.shared(), Path::new("/store"));
        files.inject(fault);
        assert_eq!(objects.put("a/b", b"1234").unwrap_err().kind(), Kind::Retry { after: None });
        files.inject(fault);
        assert!(objects.put_if_absent("a/b", b"1234").is_err());
        assert_eq!(objects.get("a/b").unwrap(), None, "{fault:?}");
        assert!(objects.put_if_absent("a/b", b"1234").unwrap());
        assert!(files.list(Path::new("/store/tmp")).unwrap().len() <= 1);
    }
}

#[test]
fn what_is_far_is_read_once() {
    use std::sync::Arc;
    let memory = Memory::new();
    contract(&Cached::new(Arc::new(Memory::new()), 1 << 20));
    memory.put("a", &[7; 1000]).unwrap();
    let cached = Cached::new(Arc::new(memory.clone()), 100 << 10);
    for _ in 0..3 {
        let parts = cached.get_ranges("a", &[0..10, 20..30]).unwrap();
        assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), 20);
    }
    assert_eq!(memory.reads(), 2);
    cached.get_ranges("a", &[0..10, 30..40]).unwrap();
    assert_eq!(memory.reads(), 3);
}

/// Against a real server, which `FOREGLOW_S3_ENDPOINT` names and which has the bucket `foreglow`
/// for the key `test` with the secret `test`.
#[cfg(feature = "s3")]
#[test]
fn a_bucket_does_alike_and_honours_conditions() {
    let endpoint = std::env::var("FOREGLOW_S3_ENDPOINT").expect("FOREGLOW_S3_ENDPOINT is set");
    let options = S3Options {
        bucket: "foreglow".to_owned(),
        prefix: format!("test/{}", basics::Clock::system().now()),
        endpoint,
        region: "us-east-1".to_owned(),
        access_key_id: "test".to_owned(),
        secret_access_key: "test".to_owned(),
        virtual_hosted: false,
    };
    let s3 = S3::new(&options).unwrap();
    s3.probe().unwrap();
    contract(&s3);
    let mut writer = s3.create("a/parts").unwrap();
    for _ in 0..20 {
        writer.write_all(&vec![7; 1 << 20]).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), 20 << 20);
    assert_eq!(s3.get_range("a/parts", (20 << 20) - 2..20 << 20).unwrap()[..], [7, 7]);
    let gone = S3Options { endpoint: "http://127.0.0.1:9".to_owned(), ..options };
    let error = S3::new(&gone).unwrap().get("a").unwrap_err();
    assert_eq!(error.kind(), Kind::Retry { after: None });
}
