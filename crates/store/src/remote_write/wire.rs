// SPDX-License-Identifier: Apache-2.0
//! Protobuf fields of bytes that nobody has checked yet.
//!
//! Unlike the readers of `otlp-wire`, which read what was admitted, these tell when a message is
//! cut short. No allocation; a length never reaches beyond its message.

/// The message is no protobuf, or cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

type Result<T> = std::result::Result<T, Malformed>;

/// The value of one field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Value<'a> {
    /// A string or message.
    pub fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    /// An integer.
    pub fn uint(self) -> Result<u64> {
        match self {
            Value::Varint(value) => Ok(value),
            _ => Err(Malformed),
        }
    }

    /// A `sint`.
    pub fn sint(self) -> Result<i64> {
        self.uint().map(unzigzag)
    }

    /// A `double`.
    pub fn double(self) -> Result<f64> {
        match self {
            Value::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(Malformed),
        }
    }

    /// Text.
    pub fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// The fields of one message, in the order in which they stand.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        Fields { bytes, at: 0 }
    }

    /// Where the next field begins.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next field's number and value; none at the end.
    #[inline]
    pub fn next(&mut self) -> Result<Option<(u32, Value<'a>)>> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Malformed)?))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            _ => return Err(Malformed),
        };
        Ok(Some(((tag >> 3) as u32, value)))
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64> {
        varint(self.bytes, &mut self.at)
    }
}

/// The varint at `at`, which moves behind it.
#[inline]
pub(crate) fn varint(bytes: &[u8], at: &mut usize) -> Result<u64> {
    let first = *bytes.get(*at).ok_or(Malformed)?;
    *at += 1;
    if first < 0x80 {
        return Ok(first.into());
    }
    let mut value = u64::from(first & 0x7f);
    for shift in (7..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or(Malformed)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

/// A repeated number: packed into one field, or one of several fields.
pub(crate) fn repeated(value: Value<'_>, mut each: impl FnMut(u64) -> Result<()>) -> Result<()> {
    match value {
        Value::Varint(single) => each(single),
        Value::Bytes(packed) => {
            let mut at = 0;
            while at < packed.len() {
                each(varint(packed, &mut at)?)?;
            }
            Ok(())
        }
        _ => Err(Malformed),
    }
}

/// A repeated `double`, packed or not.
pub(crate) fn doubles(value: Value<'_>, out: &mut Vec<f64>) -> Result<()> {
    match value {
        Value::Fixed64(bits) => out.push(f64::from_bits(bits)),
        Value::Bytes(packed) => {
            let (numbers, rest) = packed.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(Malformed);
            }
            out.extend(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)));
        }
        _ => return Err(Malformed),
    }
    Ok(())
}
