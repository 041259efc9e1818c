// SPDX-License-Identifier: Apache-2.0
use super::super::series::{Moment, Origins, Table};
use super::*;

#[test]
fn equal_series_share_a_slot_and_different_ones_never_do() {
    let mut origins = Origins::default();
    let mut table = Table::new(10_000, Duration::from_secs(60));
    let mut gone = Vec::new();
    let mut slots = std::collections::HashSet::new();
    for round in 0..3 {
        for host in ["a", "b"] {
            let payload = payload(&[(host, "m", "", 0, 0.0)]);
            let resource = payload.metrics().next().unwrap();
            let origin = origins.intern(&resource, &resource.scopes().next().unwrap());
            for i in 0..1000u32 {
                let moment = Moment { now: T0, batch: round };
                slots.insert(table.slot(&origin, &i.to_le_bytes(), moment, &mut gone).unwrap());
            }
        }
    }
    assert_eq!((slots.len(), table.len(), gone.len()), (2000, 2000, 0));
}

#[test]
fn a_full_table_gives_up_old_series_and_uses_their_slots_again() {
    let mut origins = Origins::default();
    let payload = payload(&[("a", "m", "", 0, 0.0)]);
    let resource = payload.metrics().next().unwrap();
    let origin = origins.intern(&resource, &resource.scopes().next().unwrap());
    let mut table = Table::new(100, Duration::from_secs(60));
    for batch in 0..50u64 {
        let mut gone = Vec::new();
        let moment = Moment { now: T0 + batch, batch };
        for i in 0..20u64 {
            let slot = table.slot(&origin, &(batch * 20 + i).to_le_bytes(), moment, &mut gone);
            assert!(slot.unwrap() < 100);
        }
        assert!(table.len() <= 100);
        assert_eq!(gone.len(), if batch < 5 { 0 } else { 20 });
    }
}
