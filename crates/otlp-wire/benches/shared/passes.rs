// SPDX-License-Identifier: Apache-2.0
//! The passes that benches and the allocation test share.

use otlp_wire::{AnyValue, Context, IntoAny, Pass, Record, Verdict, Visits};
use sha2::{Digest, Sha256};

/// Sets one resource attribute.
pub struct SetResource;

impl Pass for SetResource {
    fn visits(&self) -> Visits {
        Visits::RESOURCES
    }
    fn resource(&mut self, resource: &mut Record<'_>) {
        resource.attrs().upsert("collector.name", "edge-7");
    }
}

/// SHA-256 as hexadecimal text, on the stack.
struct Hash([u8; 64]);

impl Hash {
    fn of(text: &str) -> Hash {
        let mut hex = [0; 64];
        for (i, byte) in Sha256::digest(text.as_bytes()).iter().enumerate() {
            hex[2 * i] = b"0123456789abcdef"[usize::from(byte >> 4)];
            hex[2 * i + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        Hash(hex)
    }
}

impl IntoAny for Hash {
    fn as_any(&self) -> AnyValue<'_> {
        AnyValue::Str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

/// Upserts, removes and hashes an attribute of each element.
pub struct EditAttributes;

impl EditAttributes {
    fn edit(record: &mut Record<'_>) -> Verdict {
        let mut attrs = record.attrs();
        attrs.upsert("collector.zone", "eu-central-1");
        attrs.remove("thread.name");
        attrs.map("enduser.id", |v| Hash::of(v.as_str().unwrap_or_default()));
        Verdict::Keep
    }
}

impl Pass for EditAttributes {
    fn span(&mut self, span: &mut Record<'_>, _: &Context<'_>) -> Verdict {
        Self::edit(span)
    }
    fn log(&mut self, log: &mut Record<'_>, _: &Context<'_>) -> Verdict {
        Self::edit(log)
    }
    fn point(&mut self, point: &mut Record<'_>, _: &Context<'_>) -> Verdict {
        let mut attrs = point.attrs();
        attrs.upsert("collector.zone", "eu-central-1");
        attrs.remove("url.scheme");
        Verdict::Keep
    }
}

/// Keeps one trace in ten, by trace id.
pub struct Sample;

impl Pass for Sample {
    fn visits(&self) -> Visits {
        Visits::ITEMS
    }
    fn span(&mut self, span: &mut Record<'_>, _: &Context<'_>) -> Verdict {
        let random = span.trace_id().map_or(0, |id| u128::from_be_bytes(id) as u64 >> 8);
        if random < (1 << 56) / 10 { Verdict::Keep } else { Verdict::Drop }
    }
}
