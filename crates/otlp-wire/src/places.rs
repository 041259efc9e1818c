// SPDX-License-Identifier: Apache-2.0
//! Where a request holds its times and ids, so that it can be sent again as if it were new.
//!
//! In: a payload, walked once by the tables of the schema. Out: copies of it in which every time is
//! moved and, if wished, every id is another one (equal ids stay equal, so traces stay whole). Times
//! and ids have fixed lengths: a copy is patched in place and as valid as the original. A time of
//! 0 is none and stays one.

use bytes::Bytes;

use crate::Payload;
use crate::schema::{Kind, Message, request};
use crate::wire::{FIXED64, LEN, read_fixed32, read_fixed64, read_len, read_varint};

/// A payload and where its times and ids lie.
#[derive(Clone, Debug)]
pub struct Places {
    payload: Payload,
    times: Vec<usize>,
    /// The first eight bytes of ids.
    ids: Vec<usize>,
}

impl Places {
    /// Finds them; the payload is at most 2 GiB, of which each takes at least nine bytes.
    pub fn of(payload: Payload) -> Places {
        let bytes = payload.bytes().clone();
        let mut places = Places { times: Vec::new(), ids: Vec::new(), payload };
        places.walk(request(places.payload.signal()), &bytes, 0);
        places
    }

    /// The payload as it was.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The latest time in it, Unix nanoseconds; 0 if it has none.
    pub fn newest(&self) -> u64 {
        let bytes = self.payload.bytes();
        self.times.iter().filter_map(|at| read_fixed64(bytes, &mut { *at })).max().unwrap_or(0)
    }

    /// A copy with every time moved by `by` nanoseconds, and ids changed by `salt`; 0 keeps them.
    pub fn moved(&self, by: i64, salt: u64) -> Payload {
        let mut out = self.payload.bytes().to_vec();
        let mut patch = |at: usize, change: &dyn Fn(u64) -> u64| {
            if let Some(word) = out.get_mut(at..at + 8).and_then(|w| w.first_chunk_mut::<8>()) {
                *word = change(u64::from_le_bytes(*word)).to_le_bytes();
            }
        };
        for at in &self.times {
            patch(*at, &|time| if time == 0 { 0 } else { time.saturating_add_signed(by).max(1) });
        }
        if salt != 0 {
            // An id of zeros is none, and must not come out.
            self.ids
                .iter()
                .for_each(|at| patch(*at, &|id| if id == salt { id } else { id ^ salt }));
        }
        Payload::trusted(self.payload.signal(), self.payload.items(), Bytes::from(out))
    }

    /// Goes through `message`, which begins at `origin` of the payload.
    fn walk(&mut self, table: &'static Message, message: &[u8], origin: usize) {
        let mut pos = 0;
        while let Some(key) = read_varint(message, &mut pos) {
            let field = table.field((key >> 3) as u32);
            let at = origin + pos;
            let whole = match (key & 7) as u8 {
                FIXED64 => read_fixed64(message, &mut pos).map(|_| {
                    if field.kind == Kind::Fixed64 && field.json.ends_with("imeUnixNano") {
                        self.times.push(at);
                    }
                }),
                LEN => read_len(message, &mut pos).map(|body| {
                    let at = origin + pos - body.len();
                    match (field.kind, field.message) {
                        (Kind::Id(_), _) if body.len() >= 8 => self.ids.push(at),
                        (Kind::Message, Some(table)) if table.root == 0 => {
                            self.walk(table, body, at);
                        }
                        _ => {}
                    }
                }),
                0 => read_varint(message, &mut pos).map(|_| ()),
                _ => read_fixed32(message, &mut pos).map(|_| ()),
            };
            if whole.is_none() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signal;

    #[test]
    fn every_time_is_moved_every_id_changed_and_nothing_else() {
        let text = |time: u64, id: &str| {
            let exemplar = format!(
                r#"{{"timeUnixNano":"{time}","asInt":"7","spanId":"{id}{id}","traceId":"{id}{id}{id}{id}"}}"#
            );
            let traces = format!(
                r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"a","value":{{"intValue":"100"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{id}{id}{id}{id}","spanId":"{id}{id}","parentSpanId":"{id}{id}","name":"n","startTimeUnixNano":"{time}","endTimeUnixNano":"{time}","events":[{{"timeUnixNano":"{time}"}}],"links":[{{"traceId":"{id}{id}{id}{id}","spanId":"{id}{id}"}}]}}]}}]}}]}}"#
            );
            let metrics = format!(
                r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","gauge":{{"dataPoints":[{{"timeUnixNano":"{time}","asInt":"100","exemplars":[{exemplar}]}}]}}}},{{"name":"h","histogram":{{"dataPoints":[{{"startTimeUnixNano":"{time}","timeUnixNano":"{time}","count":"100"}}]}}}}]}}]}}]}}"#
            );
            let logs = format!(
                r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"{time}","observedTimeUnixNano":"{time}","traceId":"{id}{id}{id}{id}","spanId":"{id}{id}"}},{{"severityNumber":9}}]}}]}}]}}"#
            );
            [traces, metrics, logs]
        };
        let (before, after) = (text(100, "00000001"), text(600, "01010100"));
        for ((signal, before), after) in Signal::ALL.into_iter().zip(before).zip(after) {
            let places = Places::of(Payload::from_json(signal, before.as_bytes()).expect("OTLP"));
            assert_eq!(places.newest(), 100, "{signal}");
            let mut shown = Vec::new();
            places.moved(500, u64::from_le_bytes([1, 1, 1, 1, 1, 1, 1, 1])).to_json(&mut shown);
            let moved = Payload::from_json(signal, &shown).expect("OTLP");
            // The second half of a trace's id stays.
            let expected = after
                .replace("01010100010101000101010001010100", "01010100010101000000000100000001");
            let expected = Payload::from_json(signal, expected.as_bytes()).expect("OTLP");
            assert_eq!(moved, expected, "{signal}: {}", String::from_utf8_lossy(&shown));
            assert_eq!(places.moved(0, 0), *places.payload(), "{signal}");
            assert_eq!(Places::of(places.moved(-200, 0)).newest(), 1, "{signal}: never none");
        }
        assert_eq!(Places::of(Payload::empty(Signal::Logs)).newest(), 0);
    }
}
