// SPDX-License-Identifier: Apache-2.0
use std::path::Path;

use basics::Kind;
use basics::files::TestFiles;

use super::super::objects::Fault;
use super::super::{Local, Memory};
use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const NOW: u64 = 1_800_000_000_000_000_000;

fn options(writer: Option<&str>) -> CatalogOptions {
    CatalogOptions {
        tenant: "default".to_owned(),
        signal: "metrics",
        writer: writer.map(str::to_owned),
    }
}

fn open(objects: &Memory, writer: Option<&str>, clock: &Clock) -> Catalog {
    let random = Random::from_os();
    Catalog::open(Arc::new(objects.clone()), options(writer), clock.clone(), random).unwrap()
}

/// A block of one hour whose object is there.
fn block(catalog: &Catalog, level: u8, hour: i64) -> BlockInfo {
    let tmin = hour * 3_600_000;
    let Target { id, level, path, writer } = catalog.target(level, tmin).unwrap();
    catalog.objects().put(&path, b"data").unwrap();
    let tmax = tmin + 3_599_000;
    let (footer_bytes, footer_crc) = (0, 0);
    BlockInfo {
        id,
        level,
        path,
        tmin,
        tmax,
        rows: 1,
        items: 9,
        bytes: 4,
        footer_bytes,
        footer_crc,
        writer,
    }
}

fn ids(catalog: &Catalog) -> Vec<Ulid> {
    catalog.live().iter().map(|block| block.id).collect()
}

#[test]
fn commits_add_and_remove_at_once_and_are_there_after_a_restart() {
    let (objects, clock) = (Memory::new(), Clock::manual(NOW));
    let catalog = open(&objects, Some("a"), &clock);
    let (one, two, three) = (block(&catalog, 0, 1), block(&catalog, 0, 0), block(&catalog, 1, 0));
    assert!(one.id < two.id && two.id < three.id);
    catalog.commit(vec![one.clone(), two.clone()], &[], Some(7)).unwrap();
    assert_eq!(ids(&catalog), [two.id, one.id], "ascending by time");
    let held = catalog.live();
    catalog.commit(vec![three.clone()], &[one.id, two.id], None).unwrap();
    assert_eq!(held.len(), 2, "a query keeps the list it has");
    for catalog in [catalog, open(&objects, Some("a"), &clock)] {
        assert_eq!(ids(&catalog), [three.id]);
        assert_eq!((catalog.log_offset(), catalog.log_kept_from()), (7, 7));
        assert_eq!(catalog.manifest().replaced.len(), 2);
    }
}

#[test]
fn replaced_blocks_stay_an_hour_and_are_off_the_list_before_they_go() {
    let (objects, clock) = (Memory::new(), Clock::manual(NOW));
    let catalog = open(&objects, Some("a"), &clock);
    let (old, new) = (block(&catalog, 0, 0), block(&catalog, 1, 0));
    catalog.commit(vec![old.clone()], &[], None).unwrap();
    catalog.commit(vec![new], &[old.id], None).unwrap();
    clock.advance(HOUR - Duration::from_secs(1));
    assert_eq!(catalog.clean().unwrap(), 0);
    assert!(objects.get(&old.path).unwrap().is_some());
    clock.advance(Duration::from_secs(1));
    assert_eq!(catalog.clean().unwrap(), 1);
    assert!(objects.get(&old.path).unwrap().is_none());
    assert!(catalog.manifest().replaced.is_empty());
    assert_eq!(catalog.clean().unwrap(), 0);
}

#[test]
fn a_damaged_manifest_is_passed_over_for_the_one_before_and_the_log_is_still_there() {
    let (objects, clock) = (Memory::new(), Clock::manual(NOW));
    let catalog = open(&objects, Some("a"), &clock);
    let (one, two) = (block(&catalog, 0, 0), block(&catalog, 0, 1));
    catalog.commit(vec![one.clone()], &[], Some(10)).unwrap();
    catalog.commit(vec![two.clone()], &[], Some(20)).unwrap();
    assert_eq!((catalog.log_offset(), catalog.log_kept_from()), (20, 10));
    let newest = objects.list("default/metrics/v1/manifest").unwrap().pop().unwrap();
    for byte in 0..newest.bytes as usize {
        let bit = (byte % 8) as u8;
        assert!(objects.flip_bit(&newest.path, byte, bit));
        let catalog = open(&objects, Some("a"), &clock);
        assert_eq!(ids(&catalog), [one.id], "byte {byte}");
        assert_eq!(catalog.log_offset(), 10);
        assert_eq!(catalog.stats().manifests_damaged, 1);
        clock.advance(Duration::from_secs(1));
        assert_eq!(catalog.sweep().unwrap(), 0, "it may have been listed");
        assert!(objects.flip_bit(&newest.path, byte, bit));
    }
    assert!(objects.flip_bit(&newest.path, 30, 3));
    let catalog = open(&objects, Some("a"), &clock);
    catalog.commit(vec![two.clone()], &[], Some(20)).unwrap();
    assert_eq!(ids(&open(&objects, Some("a"), &clock)), [one.id, two.id]);
}

#[test]
fn few_manifests_are_kept() {
    let (objects, clock) = (Memory::new(), Clock::manual(NOW));
    let catalog = open(&objects, Some("a"), &clock);
    for offset in 0..30 {
        catalog.commit(Vec::new(), &[], Some(offset)).unwrap();
        let kept = objects.list("default/metrics/v1/manifest").unwrap().len();
        assert!(kept <= MANIFESTS_KEPT, "{kept}");
    }
    assert_eq!(open(&objects, Some("a"), &clock).log_offset(), 29);
}

#[test]
fn a_commit_whose_answer_is_lost_counts_once_when_done_again() {
    let (objects, clock) = (Memory::new(), Clock::manual(NOW));
    let catalog = open(&objects, Some("a"), &clock);
    let one = block(&catalog, 0, 0);
    for fault in [Fault::Refused, Fault::AnswerLost] {
        objects.inject(fault);
        let error = catalog.commit(vec![one.clone()], &[], Some(5)).unwrap_err();
        assert!(error.kind().is_retryable());
        catalog.commit(vec![one.clone()], &[], Some(5)).unwrap();
        assert_eq!(ids(&catalog), [one.id]);
    }
    assert_eq!(ids(&open(&objects, Some("a"), &clock)), [one.id]);
}

#[test]
fn two_processes_with_one_writer_id_are_told() {
    let (objects, clock) = (Memory::new(), Clock::manual(NOW));
    let first = open(&objects, Some("a"), &clock);
    let second = open(&objects, Some("a"), &clock);
    first.commit(Vec::new(), &[], Some(1)).unwrap();
    let error = second.commit(Vec::new(), &[], Some(2)).unwrap_err();
    assert_eq!(error.kind(), Kind::Rejected, "{error}");
}

#[test]
fn writers_share_a_bucket_and_readers_merge_them() {
    let (objects, clock) = (Memory::new(), Clock::manual(NOW));
    let (a, b) = (open(&objects, Some("a"), &clock), open(&objects, Some("b"), &clock));
    let reader = open(&objects, None, &clock);
    let (of_a, of_b) = (block(&a, 0, 0), block(&b, 0, 1));
    a.commit(vec![of_a.clone()], &[], None).unwrap();
    b.commit(vec![of_b.clone()], &[], None).unwrap();
    assert!(reader.live().is_empty());
    reader.refresh().unwrap();
    a.refresh().unwrap();
    for catalog in [&reader, &a, &open(&objects, None, &clock)] {
        assert_eq!(ids(catalog), [of_a.id, of_b.id]);
    }
    a.commit(Vec::new(), &[of_b.id], None).unwrap();
    assert_eq!(ids(&a), [of_a.id, of_b.id], "another writer's blocks are not ours to remove");
    reader.quarantine(of_b.id, "damaged").unwrap();
    reader.refresh().unwrap();
    assert_eq!(ids(&reader), [of_a.id]);
    assert_eq!(reader.commit(Vec::new(), &[], None).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(reader.target(0, 0).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_block_that_cannot_be_read_is_set_aside_for_good_and_its_object_stays() {
    let (objects, clock) = (Memory::new(), Clock::manual(NOW));
    let catalog = open(&objects, Some("a"), &clock);
    let one = block(&catalog, 0, 0);
    catalog.commit(vec![one.clone()], &[], None).unwrap();
    objects.inject(Fault::Refused);
    catalog.quarantine(one.id, "bad page").unwrap_err();
    assert!(catalog.live().is_empty(), "also when that cannot be written");
    assert_eq!(ids(&open(&objects, Some("a"), &clock)), [one.id]);
    let catalog = open(&objects, Some("a"), &clock);
    catalog.quarantine(one.id, "bad page").unwrap();
    catalog.quarantine(one.id, "bad page").unwrap();
    for catalog in [catalog, open(&objects, Some("a"), &clock)] {
        assert!(catalog.live().is_empty());
        assert_eq!(catalog.stats().quarantined, 1);
        assert_eq!(catalog.manifest().quarantined[0].reason, "bad page");
        clock.advance(10 * HOUR);
        assert_eq!(catalog.clean().unwrap(), 0);
        assert!(objects.get(&one.path).unwrap().is_some());
    }
}

#[test]
fn retention_is_by_age_and_by_size() {
    let (objects, clock) = (Memory::new(), Clock::manual(10 * 3600 * 1_000_000_000));
    let catalog = open(&objects, Some("a"), &clock);
    let blocks: Vec<BlockInfo> = (0..8).map(|hour| block(&catalog, 0, hour)).collect();
    catalog.commit(blocks.clone(), &[], None).unwrap();
    assert_eq!(catalog.retain(&Keep::default()).unwrap(), 0);
    let keep = Keep { age: Some(8 * HOUR), bytes_max: None };
    assert_eq!(catalog.retain(&keep).unwrap(), 2);
    let keep = Keep { bytes_max: Some(17), ..keep };
    assert_eq!(catalog.retain(&keep).unwrap(), 2);
    assert_eq!(ids(&catalog), [4, 5, 6, 7].map(|hour: usize| blocks[hour].id));
}

#[test]
fn objects_that_no_manifest_lists_go_after_a_day() {
    let (objects, clock) = (Memory::new(), Clock::manual(NOW));
    let catalog = open(&objects, Some("a"), &clock);
    let (listed, orphan) = (block(&catalog, 0, 0), block(&catalog, 0, 1));
    catalog.commit(vec![listed.clone()], &[], None).unwrap();
    assert_eq!(catalog.sweep().unwrap(), 0);
    clock.advance(25 * HOUR);
    assert_eq!(catalog.sweep().unwrap(), 1);
    assert!(objects.get(&orphan.path).unwrap().is_none());
    assert!(objects.get(&listed.path).unwrap().is_some());
}

#[test]
fn what_was_committed_survives_power_cuts_wherever_they_strike() {
    use basics::files::{Fault, Files};
    for seed in 0..40 {
        let mut random = Random::seeded(seed);
        let files = TestFiles::new();
        let clock = Clock::manual(NOW);
        let open = |files: &TestFiles| {
            let local = Arc::new(Local::new(files.shared(), Path::new("/data")));
            Catalog::open(local, options(Some("a")), clock.clone(), Random::from_os()).unwrap()
        };
        let mut committed = Vec::new();
        for _ in 0..3 {
            let catalog = open(&files);
            let live = ids(&catalog);
            assert!(committed.iter().all(|id| live.contains(id)), "seed {seed}");
            for hour in 0..random.below(5) as i64 {
                let one = block(&catalog, 0, hour);
                if random.below(3) == 0 {
                    let faults = [Fault::DiskFull, Fault::ShortWrite(9), Fault::FailedSync];
                    files.inject(faults[random.below(3) as usize]);
                }
                if catalog.commit(vec![one.clone()], &[], None).is_ok() {
                    committed.push(one.id);
                }
            }
            files.crash_torn(&mut random);
        }
        assert!(files.list(Path::new("/data/default/metrics/v1/manifest/a")).unwrap().len() < 20);
    }
}
