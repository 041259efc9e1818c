// SPDX-License-Identifier: Apache-2.0

use proptest::prelude::*;
use prost::Message;

use super::names::{NAME, labels};
use super::native::{Counts, Native, buckets, scale_of_factor};
use super::{Entry, Format, Reading, Value, read};

fn reading(format: Format) -> Reading {
    Reading { format, native: true, classic_too: false }
}

/// Every entry as one line.
fn entries(bytes: &[u8], format: Format) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let done = read(bytes, reading(format), &mut |entry| {
        all.push(match entry {
            Entry::Help(name, help) => format!("help {name} {help}"),
            Entry::Type(name, kind) => format!("type {name} {}", kind.name()),
            Entry::Unit(name, unit) => format!("unit {name} {unit}"),
            Entry::Sample(sample) => {
                let value = match &sample.value {
                    Value::Float(value) => value.to_string(),
                    Value::Native(native) => format!("{native:?}"),
                };
                let time = sample.time_ms.map_or(String::new(), |ms| format!(" @{ms}"));
                let since = sample.created_ms.map_or(String::new(), |ms| format!(" since {ms}"));
                let examples: Vec<_> =
                    sample.exemplars.iter().map(|e| format!(" #{e:?}")).collect();
                format!("{} = {value}{time}{since}{}", sample.series, examples.concat())
            }
        });
        Ok(())
    });
    done.map(|()| all).map_err(|e| e.to_string())
}

#[test]
fn lines_of_the_text_format_read_as_written() {
    let text = "# HELP a_total What \\\\ it \\n means.\n# TYPE a_total counter\n\n# a comment\n\
        a_total{x=\"1\", y=\"q\\\"u}\\\\o\\nte\",} 1.5e3 1700000000000\n  b:c 7\r\nd{} +Inf\ne NaN\n\
        # TYPE \"my.metric\" gauge\n{\"my.metric\",\"a.b\"=\"c\"} 1\nspaced {a=\"b\"} 2";
    let read = entries(text.as_bytes(), Format::Text).expect("valid");
    assert_eq!(
        read,
        [
            "help a_total What \\ it \n means.",
            "type a_total counter",
            "a_total{x=\"1\", y=\"q\\\"u}\\\\o\\nte\",} = 1500 @1700000000000",
            "b:c = 7",
            "d{} = inf",
            "e = NaN",
            "type my.metric gauge",
            "{\"my.metric\",\"a.b\"=\"c\"} = 1",
            "spaced {a=\"b\"} = 2",
        ]
    );
}

#[test]
fn series_are_taken_apart_into_labels() {
    for (series, expected) in [
        ("a", "__name__=a"),
        ("a{}", "__name__=a"),
        ("a {x = \"1\" , y=\"q\\\"u\\\\o\\nte\",}", "__name__=a x=1 y=q\"u\\o\nte"),
        ("{\"my.metric\",\"a.b\"=\"c\"}", "__name__=my.metric a.b=c"),
    ] {
        let labels = labels(series).expect(series);
        let shown: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(shown.join(" "), expected);
        assert_eq!(labels[0].0, NAME);
    }
    for series in
        ["{}", "{a=\"b\"}", "a{b}", "a{b=1}", "a{b=\"1\" c=\"2\"}", "a{=\"1\"}", "a{\"x\" 1}"]
    {
        labels(series).expect_err(series);
    }
}

#[test]
fn wrong_lines_are_told_with_their_number() {
    for (line, what) in [
        ("a", "a value was expected"),
        ("a x", "the value is not a number"),
        ("a 1 x", "the timestamp is not a number"),
        ("a 1 2 3", "something follows the timestamp"),
        ("1a 1", "a metric name was expected"),
        ("a{b=\"1} 1", "a label value is not closed"),
        ("a{b=\"1\" 1", "a closing brace was expected"),
        ("<html>", "a metric name was expected"),
    ] {
        let said = entries(format!("ok 1\n{line}\n").as_bytes(), Format::Text).expect_err(line);
        assert!(said.contains(&format!("line 2: {what}")), "{line}: {said}");
    }
}

#[test]
fn openmetrics_has_seconds_exemplars_and_an_end() {
    let text = "# TYPE a counter\n# UNIT a seconds\na_total 1 1.5 # {trace_id=\"ab\",x=\"\"} 0.5 2.25\n\
        a_created 1\n# EOF\n";
    let read = entries(text.as_bytes(), Format::OpenMetrics).expect("valid");
    assert_eq!(read[1], "unit a seconds");
    assert!(read[2].starts_with("a_total = 1 @1500 #Exemplar { labels: [(\"trace_id\", \"ab\")"));
    assert!(read[2].ends_with("value: 0.5, time_ms: Some(2250) }"), "{}", read[2]);
    let cut = &text[..text.len() - 6];
    let said = entries(cut.as_bytes(), Format::OpenMetrics).expect_err("cut off");
    assert!(said.contains("does not end with # EOF"), "{said}");
    let more = format!("{text}b 1\n");
    entries(more.as_bytes(), Format::OpenMetrics).expect_err("more after the end");
}

/// The same message by another hand: field numbers of `metrics.proto`.
#[derive(Clone, PartialEq, Message)]
struct Family {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(enumeration = "i32", tag = "3")]
    kind: i32,
    #[prost(bytes = "vec", tag = "4")]
    metric: Vec<u8>,
}

fn family(name: &str, kind: i32, metric: &[u8]) -> Vec<u8> {
    Family { name: name.to_owned(), kind, metric: metric.to_vec() }.encode_length_delimited_to_vec()
}

#[test]
fn protobuf_families_become_the_entries_of_their_text() {
    let double = |value: f64| value.to_le_bytes();
    // label {name: "x", value: "1"}, counter {value: 3, created {seconds: 5}}
    let mut counter = b"\x0a\x06\x0a\x01x\x12\x011\x1a\x0d\x09".to_vec();
    counter.extend(double(3.0));
    counter.extend(b"\x1a\x02\x08\x05");
    // histogram {count: 3, sum: 1.5, bucket {count: 1, upper_bound: 1}}
    let mut classic = b"\x3a\x18\x08\x03\x11".to_vec();
    classic.extend(double(1.5));
    classic.extend(b"\x1a\x0b\x08\x01\x11");
    classic.extend(double(1.0));
    let mut page = family("a_total", 0, &counter);
    page.extend(family("h", 4, &classic));
    assert_eq!(
        entries(&page, Format::Protobuf).expect("valid"),
        [
            "help a_total ",
            "type a_total counter",
            "a_total{x=\"1\",} = 3 since 5000",
            "help h ",
            "type h histogram",
            "h_count{} = 3",
            "h_sum{} = 1.5",
            "h_bucket{le=\"1.0\",} = 1",
            "h_bucket{le=\"+Inf\",} = 3",
        ]
    );
    entries(&page[..page.len() - 3], Format::Protobuf).expect_err("cut off");
}

#[test]
fn a_native_histogram_is_one_sample() {
    // count 5, schema 3, zero threshold 0.5, zero count 1, positive span {offset 2, length 2},
    // deltas 1, 2
    let mut histogram = b"\x08\x05\x28\x06\x31".to_vec();
    histogram.extend(0.5f64.to_le_bytes());
    histogram.extend(b"\x38\x01\x62\x04\x08\x04\x10\x02\x6a\x02\x02\x04");
    let mut metric = vec![0x3a, histogram.len() as u8];
    metric.extend(&histogram);
    let read = entries(&family("h", 4, &metric), Format::Protobuf).expect("valid");
    assert_eq!(read.len(), 3);
    assert!(read[2].contains("scale: 3, count: 5"), "{}", read[2]);
    assert!(
        read[2].contains("zero_count: 1, zero_threshold: 0.5, positive: (1, [1, 3])"),
        "{}",
        read[2]
    );
}

#[test]
fn gaps_between_spans_are_filled_within_bounds() {
    let spans = |list: &'static [(i32, u32)]| list.iter().copied();
    let deltas = Counts::Deltas(&[1, 1, -2]);
    assert_eq!(buckets(spans(&[(0, 2), (2, 1)]), &deltas), Ok((-1, vec![1, 2, 0, 0, 0])));
    let absolute = Counts::Absolute(&[4.0]);
    assert_eq!(buckets(spans(&[(-3, 1)]), &absolute), Ok((-4, vec![4])));
    for list in [&[(0, 4)][..], &[(0, 1), (i32::MAX, 1)], &[(0, 1), (-1, 1)], &[(0, u32::MAX)]] {
        assert!(buckets(list.iter().copied(), &deltas).is_err(), "{list:?}");
    }
}

#[test]
fn histograms_are_made_coarser_until_they_fit() {
    let histogram = Native {
        scale: 3,
        positive: (-3, vec![1, 2, 4, 8, 16]),
        negative: (5, vec![32]),
        ..Native::default()
    };
    for (scale_max, limit, fits, scale, positive, negative) in [
        (8, 0, true, 3, (-3, vec![1, 2, 4, 8, 16]), (5, vec![32])),
        (2, 0, true, 2, (-2, vec![1, 6, 24]), (2, vec![32])),
        (8, 4, true, 2, (-2, vec![1, 6, 24]), (2, vec![32])),
        (8, 3, true, 1, (-1, vec![7, 24]), (1, vec![32])),
        (8, 1, false, -4, (-1, vec![7, 24]), (0, vec![32])),
    ] {
        let mut coarse = histogram.clone();
        assert_eq!(coarse.coarsen(scale_max, limit), fits);
        assert_eq!((coarse.scale, coarse.positive, coarse.negative), (scale, positive, negative));
    }
    for (factor, scale) in [(1.0, i32::MAX), (1.1, 3), (2.0, 0), (4.0, -1), (1e9, -4)] {
        assert_eq!(scale_of_factor(factor), scale, "{factor}");
    }
}

proptest! {
    #[test]
    fn any_text_reads_without_a_panic(text in "[a-z#{}=\",\\\\ \\n0-9.+HELPTYEOF_]{0,200}") {
        for format in [Format::Text, Format::OpenMetrics] {
            let _ = entries(text.as_bytes(), format);
        }
    }

    #[test]
    fn any_bytes_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
            let _ = entries(&bytes, format);
        }
    }
}
