// SPDX-License-Identifier: Apache-2.0

use std::fs;
use std::io::Cursor;
use std::sync::Arc;

use otlp_wire::Signal;
use pipeline::config::from_yaml;
use proptest::prelude::*;

use super::Config;
use super::config::Format;
use super::frames::{self, Chunk};
use super::watch::{self, Watch};

fn cut(bytes: &[u8], format: Format) -> Chunk {
    frames::read(&mut Cursor::new(bytes), 0, format, 8).expect("in memory")
}

fn shown(chunk: &Chunk) -> Vec<(&str, u64)> {
    let text = |bytes| std::str::from_utf8(bytes).expect("text");
    chunk.frames.iter().map(|frame| (text(&frame.bytes), frame.end)).collect()
}

#[test]
fn lines_are_cut_where_they_end_and_the_last_waits() {
    for (bytes, expected) in [
        (&b"a\nbc\n"[..], &[("a", 2), ("bc", 5)][..]),
        (b"a\nbc", &[("a", 2)]),
        (b" a \r\n\n\nb\n", &[("a", 7), ("b", 9)]),
        (b"\n\na\n", &[("", 2), ("a", 4)]),
        (b"", &[]),
        (b"half", &[]),
    ] {
        let chunk = cut(bytes, Format::Json);
        assert_eq!(shown(&chunk), expected, "{bytes:?}");
        assert_eq!(chunk.broken, None);
    }
    let long = cut(b"a\n123456789\nb\n", Format::Json);
    assert_eq!(shown(&long), [("a", 2)]);
    assert_eq!(long.broken, Some((12, "a line is larger than max_log_size")));
}

#[test]
fn messages_behind_their_length_are_cut_and_the_last_waits() {
    for (bytes, expected) in [
        (&b"\0\0\0\x01a\0\0\0\x02bc"[..], &[("a", 5), ("bc", 11)][..]),
        (b"\0\0\0\x01a\0\0\0\x02b", &[("a", 5)]),
        (b"\0\0\0\x01a\0\0", &[("a", 5)]),
        (b"\0\0\0", &[]),
    ] {
        assert_eq!(shown(&cut(bytes, Format::Proto)), expected, "{bytes:?}");
    }
    let long = cut(b"\0\0\0\x01a\0\0\0\x09x", Format::Proto);
    assert_eq!((shown(&long), long.broken.map(|(end, _)| end)), (vec![("a", 5)], Some(10)));
}

#[test]
fn a_message_larger_than_one_read_is_whole() {
    let line = format!("{}\nb\n", "x".repeat(3 << 20));
    let chunk = frames::read(&mut Cursor::new(line.as_bytes()), 0, Format::Json, 64 << 20);
    let frames = chunk.expect("in memory").frames;
    assert_eq!(frames[0].bytes.len(), 3 << 20);
    assert_eq!(frames[0].end, (3 << 20) + 1);
}

#[test]
fn the_first_key_names_the_signal() {
    for (json, signal) in [
        (r#" { "resourceSpans" : []}"#, Some(Signal::Traces)),
        (r#"{"resourceMetrics":[]}"#, Some(Signal::Metrics)),
        (r#"{"resourceLogs":[]}"#, Some(Signal::Logs)),
        (r#"{"resourceProfiles":[]}"#, None),
        ("{}", None),
        ("[]", None),
        (r#"{"resourceSpans"#, None),
    ] {
        assert_eq!(frames::signal(json.as_bytes()), signal, "{json}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_cut_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        for format in [Format::Json, Format::Proto] {
            let chunk = cut(&bytes, format);
            let ends: Vec<u64> = chunk.frames.iter().map(|frame| frame.end).collect();
            prop_assert!(ends.is_sorted() && ends.iter().all(|end| *end <= bytes.len() as u64));
        }
    }
}

#[test]
fn wrong_settings_are_told_by_name() {
    for (yaml, told) in [
        ("{}", "required argument `include` is empty"),
        ("include: ['[']", "include"),
        ("{include: [a], fingerprint_size: 15}", "at least 16 bytes"),
        ("{include: [a], start_at: middle}", "start_at"),
        ("{include: [a], compression: gzip}", "compression is not supported yet"),
        ("{include: [a], encoding: utf-16}", "encoding \"utf-16\" is not supported"),
        ("{include: [a], nothing: 1}", "nothing"),
    ] {
        let said = from_yaml::<Config>(yaml).expect_err(yaml);
        assert!(said.contains(told), "{yaml}: {said}");
    }
}

#[test]
fn a_file_written_anew_while_it_is_read_or_handed_over_is_told_apart() {
    let folder = tempfile::tempdir().expect("made");
    let path = folder.path().join("a");
    let yaml = format!("{{include: ['{}'], start_at: beginning}}", path.display());
    let config: Config = from_yaml(&yaml).expect("valid");
    let mut watch = Watch::new(Arc::new(config), Vec::new());
    fs::write(&path, "same\n1\n").expect("written");
    let mut file = watch.changed().remove(0);
    let read = |file: &mut watch::File| {
        let chunk = frames::read(&mut file.handle, file.offset, Format::Json, 64).expect("read");
        (chunk.bytes, watch::tail(&mut file.handle, file.offset))
    };
    let (bytes, before) = read(&mut file);
    assert!(watch.is_same(&file, &bytes, before.as_deref()));
    // While the message is handed over.
    fs::write(&path, "same\n2\n3\n").expect("written");
    file.offset = bytes.len() as u64;
    watch.read_up_to(&file, &bytes);
    let mut file = watch.changed().remove(0);
    assert_eq!(file.offset, 0, "another file");
    let (bytes, _) = read(&mut file);
    file.offset = bytes.len() as u64;
    watch.read_up_to(&file, &bytes);
    append(&path, "4\n");
    let mut file = watch.changed().remove(0);
    assert_eq!(file.offset, 9);
    // Between the look and the reading.
    fs::write(&path, "same\n5\n6\n7\n").expect("written");
    let (bytes, before) = read(&mut file);
    assert!(!watch.is_same(&file, &bytes, before.as_deref()));
    assert_eq!(watch.changed().remove(0).offset, 0);
}

fn append(path: &std::path::Path, text: &str) {
    let file = fs::OpenOptions::new().append(true).open(path);
    std::io::Write::write_all(&mut file.expect("opens"), text.as_bytes()).expect("written");
}
