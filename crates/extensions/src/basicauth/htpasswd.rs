// SPDX-License-Identifier: Apache-2.0
//! Users and hashes of their passwords, as Apache's `htpasswd` writes them.
//!
//! ```text
//! user:$2y$05$...      bcrypt (htpasswd -B)
//! user:$apr1$salt$...  MD5, a thousand times (htpasswd's default); also $1$
//! user:{SHA}...        SHA-1 (htpasswd -s)
//! user:text            plain (htpasswd -p)
//! ```
//! Source: Apache httpd, misc/password_encryptions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use basics::{Error, Result};
use hashbrown::HashMap;
use md5::{Digest as _, Md5};
use sha1::Sha1;

use crate::secrets::same_bytes;

/// Who may come in.
#[derive(Default)]
pub(super) struct Htpasswd(HashMap<String, String>);

impl Htpasswd {
    /// Reads all lines of `texts`; of two lines for a user the later one counts.
    ///
    /// # Errors
    /// `Invalid` for a line without a colon, and for a kind of hash we cannot verify.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut users = HashMap::new();
        for line in texts.into_iter().flat_map(str::lines).map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((user, hash)) = line.split_once(':') else {
                return Err(Error::invalid("a line of htpasswd is not user:hash"));
            };
            if ["$5$", "$6$", "{SSHA}"].iter().any(|kind| hash.starts_with(kind)) {
                let text = format!(
                    "the hash of user \"{user}\" is of a kind not known here; use bcrypt (htpasswd -B)"
                );
                return Err(Error::invalid(text));
            }
            users.insert(user.to_owned(), hash.to_owned());
        }
        Ok(Htpasswd(users))
    }

    /// True if `user` has this password.
    pub fn verify(&self, user: &str, password: &str) -> bool {
        let Some(hash) = self.0.get(user) else { return false };
        if ["$2y$", "$2a$", "$2b$", "$2x$"].iter().any(|kind| hash.starts_with(kind)) {
            return bcrypt::verify(password, hash).unwrap_or(false);
        }
        if let Some(expected) = hash.strip_prefix("{SHA}") {
            let found = STANDARD.encode(Sha1::digest(password));
            return same_bytes(found.as_bytes(), expected.as_bytes());
        }
        for magic in ["$apr1$", "$1$"] {
            if let Some(rest) = hash.strip_prefix(magic) {
                let salt = rest.split('$').next().unwrap_or_default();
                let found = md5_crypt(password.as_bytes(), salt.as_bytes(), magic);
                return same_bytes(found.as_bytes(), hash.as_bytes());
            }
        }
        same_bytes(password.as_bytes(), hash.as_bytes())
    }
}

/// The MD5 crypt of FreeBSD, which Apache has with a `magic` of its own.
fn md5_crypt(password: &[u8], salt: &[u8], magic: &str) -> String {
    let salt = &salt[..salt.len().min(8)];
    let inner: [u8; 16] = Md5::digest([password, salt, password].concat()).into();
    let mut hash = Md5::new();
    hash.update(password);
    hash.update(magic);
    hash.update(salt);
    hash.update((0..password.len()).map(|i| inner[i % 16]).collect::<Vec<u8>>());
    let mut bits = password.len();
    while bits > 0 {
        match bits & 1 {
            1 => hash.update([0]),
            _ => hash.update(&password[..1]),
        }
        bits >>= 1;
    }
    let mut digest: [u8; 16] = hash.finalize().into();
    for round in 0..1000 {
        let mut hash = Md5::new();
        let is_odd = round & 1 == 1;
        hash.update(if is_odd { password } else { &digest });
        if round % 3 != 0 {
            hash.update(salt);
        }
        if round % 7 != 0 {
            hash.update(password);
        }
        hash.update(if is_odd { &digest } else { password });
        digest = hash.finalize().into();
    }
    let mut text = format!("{magic}{}$", String::from_utf8_lossy(salt));
    let order = [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)];
    for (a, b, c) in order {
        let group = u32::from_be_bytes([0, digest[a], digest[b], digest[c]]);
        push_digits(&mut text, group, 4);
    }
    push_digits(&mut text, u32::from(digest[11]), 2);
    text
}

fn push_digits(text: &mut String, mut group: u32, count: usize) {
    const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..count {
        text.push(char::from(DIGITS[(group & 63) as usize]));
        group >>= 6;
    }
}
