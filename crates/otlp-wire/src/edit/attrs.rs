// SPDX-License-Identifier: Apache-2.0
//! Attributes under edit: a list of slots over the original and the arena.

use std::ops::Range;

use super::record::State;
use crate::value::{AnyValue, Attr};
use crate::wire::{LEN, Val, fields, put_len, put_tag, put_varint, varint_len};
use crate::write::put_key_value;

/// One attribute: where its encoded `KeyValue` field lies. Offsets fit 32 bits, as a request does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// In the arena, not the original.
    pub(super) in_arena: bool,
    start: u32,
    /// Start of the `KeyValue` message, past tag and length.
    body: u32,
    end: u32,
    key: u32,
    key_len: u32,
}

impl Slot {
    /// The whole field.
    #[inline]
    pub(super) fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    #[inline]
    fn source<'s>(&self, raw: &'s [u8], arena: &'s [u8]) -> &'s [u8] {
        if self.in_arena { arena } else { raw }
    }

    #[inline]
    fn attr<'s>(&self, raw: &'s [u8], arena: &'s [u8]) -> Attr<'s> {
        Attr::new(&self.source(raw, arena)[self.body as usize..self.end as usize])
    }

    #[inline]
    fn has_key(&self, raw: &[u8], arena: &[u8], key: &[u8]) -> bool {
        self.key_len as usize == key.len()
            && self.source(raw, arena)[self.key as usize..][..key.len()] == *key
    }
}

/// Where one attribute and its key lie in a message.
struct Place {
    start: usize,
    body: usize,
    end: usize,
    key: Range<usize>,
}

impl Place {
    /// The attribute, field `number`, that starts at `start`.
    #[inline]
    fn at(message: &[u8], start: usize, number: u32) -> Option<Place> {
        let rest = message.get(start..)?;
        // The layout every SDK writes: tag and lengths of one byte, the key first.
        if let [tag, len, 0x0a, key, ..] = *rest
            && u32::from(tag) == number << 3 | u32::from(LEN)
            && len < 0x80
            && key + 2 <= len
            && usize::from(len) + 2 <= rest.len()
        {
            let (body, key_at) = (start + 2, start + 4);
            let key = key_at..key_at + usize::from(key);
            return Some(Place { start, body, end: body + usize::from(len), key });
        }
        Place::any(message, start, number)
    }

    /// The same in whatever layout.
    fn any(message: &[u8], start: usize, number: u32) -> Option<Place> {
        let field = fields(&message[start..]).next().filter(|field| field.number == number)?;
        let Val::Len(kv) = field.value else { return None };
        let end = start + field.end;
        let body = end - kv.len();
        let key = Attr::new(kv).key_bytes();
        // The key lies inside the message (or is empty): its offset is a difference.
        let key_at =
            if key.is_empty() { body } else { key.as_ptr() as usize - message.as_ptr() as usize };
        Some(Place { start, body, end, key: key_at..key_at + key.len() })
    }
}

impl State {
    /// Lists the attributes of the base, field `number`.
    fn load(&mut self, raw: &[u8], number: u32) {
        self.slots.clear();
        let (message, origin) = match &self.base {
            None => (raw, 0),
            Some(range) => (&self.arena[range.clone()], range.start),
        };
        let first = fields(message).find(|field| field.number == number);
        let mut end = first.map_or(message.len(), |field| field.start);
        self.run.start = end;
        // All attributes lie in one run; what follows it is of no interest.
        while let Some(place) = Place::at(message, end, number) {
            end = place.end;
            self.slots.push(Slot {
                in_arena: self.base.is_some(),
                start: (origin + place.start) as u32,
                body: (origin + place.body) as u32,
                end: (origin + place.end) as u32,
                key: (origin + place.key.start) as u32,
                key_len: place.key.len() as u32,
            });
        }
        self.run.end = end;
        self.loaded = true;
    }

    /// The first value under `key` among the loaded slots.
    pub(super) fn get<'s>(&'s self, raw: &'s [u8], key: &str) -> Option<AnyValue<'s>> {
        let slot = self.slots.iter().find(|s| s.has_key(raw, &self.arena, key.as_bytes()))?;
        Some(slot.attr(raw, &self.arena).value())
    }

    /// Appends all attributes; neighbours from one source go in one copy.
    pub(super) fn write_slots(&self, raw: &[u8], out: &mut Vec<u8>) {
        let mut slots = self.slots.iter().peekable();
        while let Some(first) = slots.next() {
            let mut end = first.end;
            while let Some(next) = slots.next_if(|s| s.in_arena == first.in_arena && s.start == end)
            {
                end = next.end;
            }
            out.extend_from_slice(
                &first.source(raw, &self.arena)[first.start as usize..end as usize],
            );
        }
    }
}

/// Values that an edit can store: texts, numbers, booleans, and any [`AnyValue`].
pub trait IntoAny {
    /// The value to store.
    fn as_any(&self) -> AnyValue<'_>;
}

impl IntoAny for AnyValue<'_> {
    fn as_any(&self) -> AnyValue<'_> {
        *self
    }
}
impl IntoAny for &str {
    fn as_any(&self) -> AnyValue<'_> {
        AnyValue::Str(self)
    }
}
impl IntoAny for String {
    fn as_any(&self) -> AnyValue<'_> {
        AnyValue::Str(self)
    }
}
impl IntoAny for &String {
    fn as_any(&self) -> AnyValue<'_> {
        AnyValue::Str(self)
    }
}
impl IntoAny for std::borrow::Cow<'_, str> {
    fn as_any(&self) -> AnyValue<'_> {
        AnyValue::Str(self)
    }
}
impl IntoAny for bool {
    fn as_any(&self) -> AnyValue<'_> {
        AnyValue::Bool(*self)
    }
}
impl IntoAny for i32 {
    fn as_any(&self) -> AnyValue<'_> {
        AnyValue::Int(i64::from(*self))
    }
}
impl IntoAny for i64 {
    fn as_any(&self) -> AnyValue<'_> {
        AnyValue::Int(*self)
    }
}
impl IntoAny for f64 {
    fn as_any(&self) -> AnyValue<'_> {
        AnyValue::Double(*self)
    }
}

/// Under which condition a value is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Only when the key is absent.
    Insert,
    /// Only when the key is present.
    Update,
    /// Always.
    Upsert,
}

/// The attributes of a [`super::Record`]: edits copy what they are given.
///
/// Where a key occurs more than once (legal bytes, against the specification), `get` sees the
/// first, edits leave one, and `map` and `remove` reach all, so nothing hides behind a duplicate.
#[derive(Debug)]
pub struct AttrsMut<'r> {
    raw: &'r [u8],
    state: &'r mut State,
    number: u32,
}

impl<'r> AttrsMut<'r> {
    #[inline]
    pub(super) fn new(raw: &'r [u8], state: &'r mut State, number: u32) -> Self {
        if !state.loaded {
            state.load(raw, number);
        }
        AttrsMut { raw, state, number }
    }

    fn find(&self, key: &str) -> Option<usize> {
        self.find_from(0, key)
    }

    #[inline]
    fn find_from(&self, start: usize, key: &str) -> Option<usize> {
        let (raw, arena, key) = (self.raw, &self.state.arena, key.as_bytes());
        let rest = &self.state.slots[start..];
        rest.iter().position(|s| s.has_key(raw, arena, key)).map(|at| start + at)
    }

    /// The first value under `key`.
    #[inline]
    pub fn get(&self, key: &str) -> Option<AnyValue<'_>> {
        self.state.get(self.raw, key)
    }

    /// True when `key` is there.
    pub fn contains(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Number of attributes.
    pub fn len(&self) -> usize {
        self.state.slots.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.state.slots.is_empty()
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, AnyValue<'_>)> {
        self.state.slots.iter().map(|slot| {
            let attr = slot.attr(self.raw, &self.state.arena);
            (attr.key(), attr.value())
        })
    }

    /// Sets `key`, whether it is there or not.
    #[inline]
    pub fn upsert(&mut self, key: &str, value: impl IntoAny) {
        self.put(Put::Upsert, key, value);
    }

    /// Sets `key` only when it is absent; true when it did.
    #[inline]
    pub fn insert(&mut self, key: &str, value: impl IntoAny) -> bool {
        self.put(Put::Insert, key, value)
    }

    /// Sets `key` only when it is present; true when it did.
    #[inline]
    pub fn update(&mut self, key: &str, value: impl IntoAny) -> bool {
        self.put(Put::Update, key, value)
    }

    /// Sets `key` under a condition; true when it did.
    pub fn put(&mut self, how: Put, key: &str, value: impl IntoAny) -> bool {
        let at = self.find(key);
        if !allowed(how, at) {
            return false;
        }
        let start = self.state.arena.len();
        put_key_value(&mut self.state.arena, self.number, key, &value.as_any());
        self.place(at, start, key);
        true
    }

    /// Sets `to` to the value of `from` under a condition; false when `from` is absent or the
    /// condition does not hold.
    pub fn copy(&mut self, how: Put, from: &str, to: &str) -> bool {
        let (Some(source), at) = (self.find(from), self.find(to)) else { return false };
        if !allowed(how, at) {
            return false;
        }
        let slot = self.state.slots[source];
        let value = {
            let kv = slot.attr(self.raw, &self.state.arena).raw();
            let value = crate::wire::find_len(kv, 2).unwrap_or_default();
            // Where the value lies in its source; empty values lie nowhere.
            let origin = slot.source(self.raw, &self.state.arena).as_ptr() as usize;
            let offset = if value.is_empty() { 0 } else { value.as_ptr() as usize - origin };
            offset..offset + value.len()
        };
        let start = self.state.arena.len();
        let arena = &mut self.state.arena;
        let key_len = 1 + varint_len(to.len() as u64) + to.len();
        let value_len = 1 + varint_len(value.len() as u64) + value.len();
        put_tag(arena, self.number, LEN);
        put_varint(arena, (key_len + value_len) as u64);
        put_len(arena, 1, to.as_bytes());
        put_tag(arena, 2, LEN);
        put_varint(arena, value.len() as u64);
        if slot.in_arena {
            arena.extend_from_within(value);
        } else {
            arena.extend_from_slice(&self.raw[value]);
        }
        self.place(at, start, to);
        true
    }

    /// Removes `key`; true when it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let removed = self.remove_from(0, key);
        self.state.edited |= removed;
        removed
    }

    /// Removes `key` from slot `start` on.
    fn remove_from(&mut self, start: usize, key: &str) -> bool {
        let Some(at) = self.find_from(start, key) else { return false };
        self.state.slots.remove(at);
        // Rare, and in one go: a request may hold any number of duplicates.
        if self.find_from(at, key).is_some() {
            let (raw, arena) = (self.raw, &self.state.arena);
            let mut index = 0;
            self.state.slots.retain(|slot| {
                index += 1;
                index <= at || !slot.has_key(raw, arena, key.as_bytes())
            });
        }
        true
    }

    /// Keeps only the attributes that `keep` says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, AnyValue<'_>) -> bool) {
        let before = self.state.slots.len();
        let (raw, arena) = (self.raw, &self.state.arena);
        self.state.slots.retain(|slot| {
            let attr = slot.attr(raw, arena);
            keep(attr.key(), attr.value())
        });
        self.state.edited |= self.state.slots.len() != before;
    }

    /// Replaces the value of `key`, when it is there, by what `f` makes of it.
    pub fn map<V: IntoAny>(&mut self, key: &str, mut f: impl FnMut(AnyValue<'_>) -> V) -> bool {
        let mut next = 0;
        while let Some(at) = self.find_from(next, key) {
            let value = f(self.state.slots[at].attr(self.raw, &self.state.arena).value());
            self.rewrite(at, key, value);
            next = at + 1;
        }
        next > 0
    }

    /// Gives every attribute to `f` and stores what it returns; `None` leaves the value alone.
    pub fn map_all<V: IntoAny>(&mut self, mut f: impl FnMut(&str, AnyValue<'_>) -> Option<V>) {
        for i in 0..self.state.slots.len() {
            let attr = self.state.slots[i].attr(self.raw, &self.state.arena);
            if let Some(value) = f(attr.key(), attr.value()) {
                let key = attr.key().to_owned();
                self.rewrite(i, &key, value);
            }
        }
    }

    fn rewrite(&mut self, at: usize, key: &str, value: impl IntoAny) {
        let start = self.state.arena.len();
        put_key_value(&mut self.state.arena, self.number, key, &value.as_any());
        self.state.slots[at] = self.slot_from(start, key);
        self.state.edited = true;
    }

    /// Puts the attribute that starts at `start` in the arena at slot `at` or at the end.
    fn place(&mut self, at: Option<usize>, start: usize, key: &str) {
        let slot = self.slot_from(start, key);
        match at {
            None => self.state.slots.push(slot),
            Some(at) => {
                self.state.slots[at] = slot;
                self.remove_from(at + 1, key);
            }
        }
        self.state.edited = true;
    }

    fn slot_from(&self, start: usize, key: &str) -> Slot {
        let arena = &self.state.arena;
        let field = fields(&arena[start..]).next();
        let kv_len = match field.map(|f| f.value) {
            Some(Val::Len(kv)) => kv.len(),
            _ => 0,
        };
        let body = arena.len() - kv_len;
        Slot {
            in_arena: true,
            start: start as u32,
            body: body as u32,
            end: arena.len() as u32,
            key: (body + 1 + varint_len(key.len() as u64)) as u32,
            key_len: key.len() as u32,
        }
    }
}

fn allowed(how: Put, at: Option<usize>) -> bool {
    match how {
        Put::Insert => at.is_none(),
        Put::Update => at.is_some(),
        Put::Upsert => true,
    }
}
