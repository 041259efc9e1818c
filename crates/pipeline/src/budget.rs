// SPDX-License-Identifier: Apache-2.0
//! How many bytes of telemetry the process holds at once.
//!
//! A receiver takes a [`Permit`] for a body before it reads it (Content-Length, gRPC length
//! prefix), lets it grow while it inflates, and gives it to the batch
//! ([`Batch::holding`](crate::Batch::holding)); it comes back when the last holder of the batch
//! has settled. When the budget is spent, new data is refused or waits at the door: memory stays
//! bounded whatever the clients do.
//!
//! Counted in KiB, rounded up. Waiting is first come, first served.

use std::sync::Arc;
use std::time::Duration;

use basics::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Unit of accounting: fine enough for small bodies, and 32 bits of it are 4 TiB.
const UNIT: u64 = 1024;

/// Part of the machine's memory that bodies may take by default. A body is in memory up to twice
/// for a moment (as received and inflated, or before and after an edit), so a quarter keeps
/// telemetry in flight under half of the memory and leaves the rest to the store.
const SHARE_OF_MEMORY: u64 = 4;

/// Smallest default: one request of the largest size OTLP receivers take (64 MiB) must fit.
const BYTES_MIN: u64 = 64 << 20;

/// The budget of one process; clone = refcount.
#[derive(Clone, Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
    total: u64,
}

/// Bytes that are spoken for until this is dropped.
#[derive(Debug)]
pub struct Permit {
    units: OwnedSemaphorePermit,
    budget: Budget,
}

impl Budget {
    /// A budget of `bytes`.
    pub fn new(bytes: u64) -> Self {
        let total = bytes.div_ceil(UNIT).clamp(1, u64::from(u32::MAX));
        Budget { units: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// The default: a share of the machine's or container's memory.
    pub fn of_this_machine() -> Self {
        Budget::new((memory_bytes() / SHARE_OF_MEMORY).max(BYTES_MIN))
    }

    /// Takes `bytes` now.
    ///
    /// # Errors
    /// [`basics::Kind::Overloaded`] when they are not free.
    pub fn take(&self, bytes: u64) -> Result<Permit> {
        let units = self.units_of(bytes)?;
        match self.units.clone().try_acquire_many_owned(units) {
            Ok(units) => Ok(Permit { units, budget: self.clone() }),
            Err(_) => Err(self.spent(bytes)),
        }
    }

    /// Takes `bytes`, waiting for them up to `patience`: a receiver that waits before it reads
    /// withholds its flow-control window, which slows the sender without an error.
    ///
    /// # Errors
    /// [`basics::Kind::Overloaded`] when they did not become free in time.
    pub async fn take_within(&self, bytes: u64, patience: Duration) -> Result<Permit> {
        let units = self.units_of(bytes)?;
        match tokio::time::timeout(patience, self.units.clone().acquire_many_owned(units)).await {
            Ok(Ok(units)) => Ok(Permit { units, budget: self.clone() }),
            _ => Err(self.spent(bytes)),
        }
    }

    /// All bytes of the budget.
    pub fn limit(&self) -> u64 {
        self.total * UNIT
    }

    /// Bytes spoken for now.
    pub fn used(&self) -> u64 {
        (self.total - self.units.available_permits() as u64) * UNIT
    }

    fn units_of(&self, bytes: u64) -> Result<u32> {
        let units = bytes.div_ceil(UNIT);
        if units > self.total {
            return Err(self.spent(bytes));
        }
        Ok(u32::try_from(units).unwrap_or(u32::MAX))
    }

    fn spent(&self, bytes: u64) -> Error {
        Error::overloaded(format!(
            "memory for telemetry in flight is spent: {bytes} bytes wanted, {} of {} in use",
            self.used(),
            self.limit()
        ))
    }
}

impl Permit {
    /// Makes this permit one for `bytes` in all.
    ///
    /// # Errors
    /// [`basics::Kind::Overloaded`] when the growth is not free; what was held stays held.
    pub fn resize(&mut self, bytes: u64) -> Result<()> {
        let wanted = bytes.div_ceil(UNIT);
        let held = self.units.num_permits() as u64;
        if wanted > held {
            let more = self.budget.take((wanted - held) * UNIT)?;
            self.units.merge(more.units);
        } else if let Ok(less) = usize::try_from(held - wanted) {
            // Dropping what was split off gives it back.
            drop(self.units.split(less));
        }
        Ok(())
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.units.num_permits() as u64 * UNIT
    }
}

/// Memory the process may use: of the machine, or less if its container (cgroup v2 or v1) says so.
pub fn memory_bytes() -> u64 {
    let machine = rustix::system::sysinfo();
    let machine = (machine.totalram as u64).saturating_mul(u64::from(machine.mem_unit));
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    limits
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
        .chain([machine])
        .min()
        .unwrap_or(machine)
}

/// Resident memory of this process in bytes; `None` where the system does not tell.
pub fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_budget_refuses_until_something_comes_back() {
        let budget = Budget::new(10 * UNIT);
        let mut held = budget.take(6 * UNIT).unwrap();
        assert_eq!(budget.take(5 * UNIT).unwrap_err().kind(), basics::Kind::Overloaded);
        assert!(held.resize(11 * UNIT).is_err());
        assert_eq!((held.bytes(), budget.used()), (6 * UNIT, 6 * UNIT));
        held.resize(10 * UNIT).unwrap();
        held.resize(1).unwrap();
        assert_eq!(budget.used(), UNIT);
        drop(held);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_body_larger_than_the_whole_budget_is_refused() {
        assert!(Budget::new(UNIT).take(UNIT + 1).is_err());
        assert!(Budget::new(u64::MAX).take(u64::MAX).is_err());
    }

    #[tokio::test]
    async fn who_waits_gets_what_comes_back() {
        let budget = Budget::new(UNIT);
        let held = budget.take(1).unwrap();
        let patience = Duration::from_secs(5);
        let (waited, ()) = tokio::join!(budget.take_within(1, patience), async { drop(held) });
        assert!(waited.is_ok());
        assert!(budget.take_within(1, Duration::ZERO).await.is_err());
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(memory_bytes() > 1 << 20);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20 && bytes < memory_bytes()));
        assert!(Budget::of_this_machine().limit() >= BYTES_MIN);
    }
}
