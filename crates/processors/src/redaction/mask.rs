// SPDX-License-Identifier: Apache-2.0
//! What stands in place of what is not to be seen: asterisks or a hash of it.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use regex::{Captures, Regex};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use sha3::Sha3_256;

/// What is written where nothing is hashed.
const ASTERISKS: &str = "****";

/// How a match is replaced.
#[derive(Clone, Debug)]
pub(super) enum Mask {
    Asterisks,
    Md5,
    Sha1,
    Sha3,
    HmacSha256(Vec<u8>),
    HmacSha512(Vec<u8>),
}

impl Mask {
    /// The hash function of that name, in any case; none for the empty one.
    pub fn new(name: &str) -> Result<Mask, String> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "" => Mask::Asterisks,
            "md5" => Mask::Md5,
            "sha1" => Mask::Sha1,
            "sha3" => Mask::Sha3,
            "hmac-sha256" => Mask::HmacSha256(Vec::new()),
            "hmac-sha512" => Mask::HmacSha512(Vec::new()),
            other => {
                return Err(format!(
                    "unknown HashFunction {other}, allowed functions are sha1, sha3, md5, \
                     hmac-sha256 and hmac-sha512"
                ));
            }
        })
    }

    /// The same with the secret that it needs.
    pub fn with_key(self, key: &str) -> Result<Mask, String> {
        let (name, least) = match self {
            Mask::HmacSha256(_) => ("hmac-sha256", 32),
            Mask::HmacSha512(_) => ("hmac-sha512", 64),
            other => return Ok(other),
        };
        if key.is_empty() {
            return Err(format!("hmac_key must not be empty when hash_function is \"{name}\""));
        }
        if key.len() < least {
            return Err(format!(
                "hmac_key must be at least {least} bytes long for \"{name}\", got {} bytes",
                key.len()
            ));
        }
        let key = key.as_bytes().to_vec();
        Ok(if least == 32 { Mask::HmacSha256(key) } else { Mask::HmacSha512(key) })
    }

    /// `text` with every match of `pattern` masked.
    pub fn within(&self, text: &str, pattern: &Regex) -> String {
        pattern.replace_all(text, |found: &Captures<'_>| self.of(&found[0])).into_owned()
    }

    /// The whole of `text` masked, line by line: what the pattern `.*` matches.
    pub fn whole(&self, text: &str) -> String {
        let lines: Vec<String> = text.split('\n').map(|line| self.of(line)).collect();
        lines.join("\n")
    }

    fn of(&self, text: &str) -> String {
        match self {
            Mask::Asterisks => ASTERISKS.to_owned(),
            Mask::Md5 => hex(&Md5::digest(text)),
            Mask::Sha1 => hex(&Sha1::digest(text)),
            Mask::Sha3 => hex(&Sha3_256::digest(text)),
            Mask::HmacSha256(key) => signed::<Hmac<Sha256>>(key, text),
            Mask::HmacSha512(key) => signed::<Hmac<Sha512>>(key, text),
        }
    }
}

fn signed<M: Mac + KeyInit>(key: &[u8], text: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return ASTERISKS.to_owned() };
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
