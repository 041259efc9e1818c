// SPDX-License-Identifier: Apache-2.0
//! Percent-encoding of text in URLs. Source: RFC 3986, section 2.

/// `text` with everything but unreserved characters as `%XX`, for any place in a URL.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => out.extend(['%', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    out
}

fn hex(digit: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(digit)])
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn what_is_not_unreserved_is_encoded() {
        for (text, expected) in [
            ("", ""),
            ("aZ09-._~", "aZ09-._~"),
            ("up{job=~\"a.+\"} == 1", "up%7Bjob%3D~%22a.%2B%22%7D%20%3D%3D%201"),
            ("\u{e9}/", "%C3%A9%2F"),
        ] {
            assert_eq!(encoded(text), expected);
        }
    }
}
