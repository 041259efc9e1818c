// SPDX-License-Identifier: Apache-2.0

use basics::Clock;
use otlp_wire::Signal;
use pipeline::Budget;
use pipeline::config::from_yaml;

use super::*;

fn context() -> Context {
    let clock = Clock::system();
    let host = Host::with("unused".into(), clock.clone(), Budget::new(1 << 20));
    Context { id: "file_storage/a".into(), signal: Signal::Logs, pipeline: "".into(), clock, host }
}

#[tokio::test]
async fn a_missing_directory_is_told_or_made() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("a/b");
    for (create, is_there) in [(false, false), (true, true)] {
        let yaml = format!("{{directory: '{}', create_directory: {create}}}", directory.display());
        let config = from_yaml::<Config>(&yaml).unwrap();
        let context = context();
        let extension = build(Arc::new(config), context.clone()).unwrap();
        assert!(context.host.find::<Storage>("file_storage/a").is_some(), "exporters find it");
        assert!(!directory.exists(), "building makes nothing");
        let started = extension.start(&context.host).await;
        assert_eq!(started.is_ok(), is_there, "{started:?}");
        assert_eq!(directory.is_dir(), is_there);
        if let Err(error) = started {
            assert!(error.message().contains("create_directory option"), "{error}");
        }
    }
}

#[test]
fn keys_are_the_collectors() {
    let all = "{directory: /tmp, create_directory: true, directory_permissions: '0700', fsync: true, \
        max_size: 8388608, compaction: {directory: /tmp, max_transaction_size: 65536, \
        rebound_needed_threshold_mib: 100, check_interval: 5s}}";
    let config = from_yaml::<Config>(all).unwrap();
    assert_eq!(config.permissions(), Some(0o700));
    assert_eq!(config.settings().durability, Durability::Sync);
    for (yaml, told) in [
        ("{directory: ''}", "directory must be specified"),
        ("{create_directory: true, directory_permissions: rwx}", "must be octal"),
        ("{max_size: 1}", "max_size must be at least"),
        ("{directry: /tmp}", "directry"),
    ] {
        let error = from_yaml::<Config>(yaml).unwrap_err();
        assert!(error.contains(told), "{yaml}: {error}");
    }
}
