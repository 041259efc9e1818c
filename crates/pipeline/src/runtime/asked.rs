// SPDX-License-Identifier: Apache-2.0
//! What a log keeps of a request beside its body: what the pipeline's passes ask of it, nothing
//! else, so that a replay makes the same of the body as the first run did.
//!
//! ```text
//! body of encoding 3: n u32, n bytes of answers, the request
//! answer: kind u8 (1 header, 2 authenticator, 3 client), name n u32 + bytes, value n u32 + bytes
//! ```
//! Numbers are little endian. Bound: [`KEPT_MAX`].

use bytes::Bytes;
use otlp_wire::Asked;

use crate::batch::Meta;

/// Encoding of records whose body is a request alone.
pub(crate) const PLAIN: u8 = 0;

/// Encoding of records whose request has answers before it.
pub(crate) const ANSWERED: u8 = 3;

/// Most bytes of answers to a request; a header that makes it more is left out. 64 KiB: what
/// servers take of headers.
const KEPT_MAX: usize = 64 << 10;

/// The body to be logged if `meta` answers any of what is `asked`.
pub(crate) fn body(asked: &[Asked], meta: &Meta, request: &[u8]) -> Option<Vec<u8>> {
    let mut answers = Vec::new();
    for asked in asked {
        match asked {
            Asked::Header(name) => put_all(&mut answers, 1, name, &meta.headers),
            Asked::Auth(name) => put_all(&mut answers, 2, name, &meta.auth),
            Asked::Client => {
                if let Some(client) = meta.client {
                    put(&mut answers, 3, "", &client.to_string());
                }
            }
        }
    }
    if answers.is_empty() {
        return None;
    }
    let mut body = Vec::with_capacity(4 + answers.len() + request.len());
    body.extend_from_slice(&(answers.len() as u32).to_le_bytes());
    body.extend_from_slice(&answers);
    body.extend_from_slice(request);
    Some(body)
}

fn put_all(out: &mut Vec<u8>, kind: u8, name: &str, pairs: &[(String, String)]) {
    for (_, value) in pairs.iter().filter(|(key, _)| key == name) {
        put(out, kind, name, value);
    }
}

fn put(out: &mut Vec<u8>, kind: u8, name: &str, value: &str) {
    if out.len() + 9 + name.len() + value.len() > KEPT_MAX {
        return;
    }
    out.push(kind);
    for text in [name, value] {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
}

/// The request in a logged body; what is known of it goes to `meta`. None when it makes no sense.
pub(crate) fn restore(encoding: u8, mut body: Bytes, meta: &mut Meta) -> Option<Bytes> {
    match encoding {
        PLAIN => return Some(body),
        ANSWERED => {}
        _ => return None,
    }
    let mut answers = take(&mut body)?;
    while !answers.is_empty() {
        let kind = answers.split_to(1)[0];
        let (name, value) = (text(&mut answers)?, text(&mut answers)?);
        match kind {
            1 => meta.headers.push((name, value)),
            2 => meta.auth.push((name, value)),
            3 => meta.client = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    Some(body)
}

fn text(from: &mut Bytes) -> Option<String> {
    String::from_utf8(take(from)?.to_vec()).ok()
}

/// A length and as many bytes.
fn take(from: &mut Bytes) -> Option<Bytes> {
    let length = u32::from_le_bytes(*from.first_chunk()?) as usize;
    if from.len() - 4 < length {
        return None;
    }
    let mut rest = from.split_off(4);
    *from = rest.split_off(length);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        Meta {
            client: Some("10.0.0.7:4711".parse().expect("an address")),
            headers: vec![
                ("x-team".into(), "a".into()),
                ("x-team".into(), "b".into()),
                ("cookie".into(), "secret".into()),
            ],
            auth: vec![("username".into(), "u".into())],
            ..Meta::default()
        }
    }

    #[test]
    fn what_is_asked_for_comes_back_and_nothing_else_is_kept() {
        let asked = [Asked::Header("x-team".into()), Asked::Client, Asked::Auth("username".into())];
        let kept = body(&asked, &meta(), b"request").expect("there are answers");
        assert!(!kept.windows(6).any(|bytes| bytes == b"secret"));
        let mut again = Meta::default();
        let request = restore(ANSWERED, kept.into(), &mut again).expect("it makes sense");
        assert_eq!(&request[..], b"request");
        assert_eq!(again.headers, meta().headers[..2]);
        assert_eq!((again.auth, again.client), (meta().auth, meta().client));
    }

    #[test]
    fn without_an_answer_a_body_stays_as_it_is() {
        assert_eq!(body(&[Asked::Header("x-other".into())], &meta(), b"request"), None);
        let plain = restore(PLAIN, Bytes::from_static(b"request"), &mut Meta::default());
        assert_eq!(plain.as_deref(), Some(&b"request"[..]));
    }

    #[test]
    fn bytes_that_make_no_sense_are_no_request() {
        let asked = [Asked::Header("x-team".into()), Asked::Client];
        let kept = body(&asked, &meta(), b"").expect("there are answers");
        for length in 0..kept.len() {
            let cut = Bytes::copy_from_slice(&kept[..length]);
            assert_eq!(restore(ANSWERED, cut, &mut Meta::default()), None, "{length}");
        }
        assert_eq!(restore(9, kept.into(), &mut Meta::default()), None);
    }
}
