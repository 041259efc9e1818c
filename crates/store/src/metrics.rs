// SPDX-License-Identifier: Apache-2.0
//! Blocks of metrics: one Parquet row a series, its samples packed into one value.
//!
//! ```text
//! l_<name> ...          labels, a column each (dictionary); beyond 256 names in `labels_rest`
//! what                  0: times of a group, 1: numbers, 2: native histograms
//! kind unit help        of the metric family, where known
//! tmin tmax count       of the samples
//! times                 number of the timestamp group
//! first last min max sum resets drops changes stale     of the numbers, for what needs no samples
//! chunk                 samples (or the group's times) as `chunk_codec` packs them
//! starts exemplars      where there are any
//! ```
//! Rows ascend by metric name, then labels. Series that are sampled at the same times share a
//! group; its times are stored once, in rows of their own at the end of the file.
//!
//! [`write_block`] makes a block of columns, [`Blocks`] reads and merges blocks. What a block takes
//! in memory is bounded by its row group when it is merged, and by what is asked for when it is
//! read. Of rows that [`Windows`] hold whole only the statistics are read. Damage is told as [`basics::Kind::Corrupt`] and sets the block aside.

mod compact;
mod deleted;
mod exemplars;
mod index;
mod merge;
mod opened;
mod schema;
mod select;
mod summary;
#[cfg(test)]
mod tests;
mod write;

use std::cmp::Ordering;

use basics::labels::Labels;

pub use chunk_codec::Stats;
pub use compact::compact;
pub(crate) use exemplars::AROUND_MS;
pub use merge::Lent;
pub use opened::Opened;
pub use select::{Blocks, CACHE_BYTES};
pub use summary::Windows;
pub use write::write_block;

/// The order of rows: by metric name, then by all labels.
fn order(a: &Labels, b: &Labels) -> Ordering {
    a.name().cmp(b.name()).then_with(|| a.cmp(b))
}
