// SPDX-License-Identifier: Apache-2.0
//! Exemplars of one series as one text: few, small, and read only when they are asked for.

use basics::labels::Labels;
use basics::{Error, Result};

use crate::columns::Exemplar;

/// Time, bits of the value (JSON has no NaN), labels.
type Stored = (i64, u64, Vec<(String, String)>);

pub(super) fn encode(exemplars: &[Exemplar]) -> Vec<u8> {
    let stored: Vec<Stored> = exemplars
        .iter()
        .map(|exemplar| {
            let labels = exemplar.labels.iter();
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            (exemplar.time_ms, exemplar.value.to_bits(), labels)
        })
        .collect();
    // Numbers and texts: nothing that JSON could refuse.
    serde_json::to_vec(&stored).unwrap_or_default()
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Exemplar>> {
    let stored: Vec<Stored> = serde_json::from_slice(bytes)
        .map_err(|e| Error::corrupt("exemplars cannot be read").caused_by(e))?;
    Ok(stored
        .into_iter()
        .map(|(time_ms, bits, labels)| Exemplar {
            labels: Labels::new(labels),
            value: f64::from_bits(bits),
            time_ms,
        })
        .collect())
}
