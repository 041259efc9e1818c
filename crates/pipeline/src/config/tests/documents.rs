// SPDX-License-Identifier: Apache-2.0
//! YAML to nodes: scalars, anchors, duplicates, and writing back.

use super::*;

#[test]
fn plain_scalars_mean_what_they_mean_to_yaml_v3() {
    let int = |value: i64| Value::Int(value.into());
    let text = |value: &str| Value::String(value.to_owned());
    let cases = [
        ("", Value::Null),
        ("~", Value::Null),
        ("null", Value::Null),
        ("true", Value::Bool(true)),
        ("False", Value::Bool(false)),
        ("yes", text("yes")),
        ("on", text("on")),
        ("y", text("y")),
        ("0", int(0)),
        ("12", int(12)),
        ("-12", int(-12)),
        ("+12", int(12)),
        ("1_000", int(1000)),
        ("0755", int(493)),
        ("0123", int(83)),
        ("0o17", int(15)),
        ("0x1F", int(31)),
        ("0b11", int(3)),
        ("089", Value::Float(89.0)),
        ("1.5", Value::Float(1.5)),
        (".5", Value::Float(0.5)),
        ("1e3", Value::Float(1000.0)),
        ("-.inf", Value::Float(f64::NEG_INFINITY)),
        ("18446744073709551615", Value::Int(i128::from(u64::MAX))),
        ("18446744073709551616", Value::Float(18446744073709551616.0)),
        ("1:30", text("1:30")),
        ("10s", text("10s")),
        ("1e", text("1e")),
        ("infinity", text("infinity")),
        ("-", text("-")),
        ("--1", text("--1")),
        ("0x", text("0x")),
        ("2001-12-14", text("2001-12-14")),
        ("127.0.0.1", text("127.0.0.1")),
    ];
    for (written, meant) in cases {
        assert_eq!(scalar::resolve(written), meant, "{written}");
    }
    assert_eq!(node("a: \"12\"").get("a").map(Node::value), Some(&text("12")));
    assert_eq!(node("a: !!str 12").get("a").map(Node::value), Some(&text("12")));
}

#[test]
fn anchors_are_copied_in_and_merge_keys_give_way() {
    let merged = node(
        "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nx: {<<: *base, b: 9}\ny:\n  <<: [*base, *more]\n  d: 5\nz: *base\n",
    );
    assert_eq!(merged.get("x"), Some(&node("{b: 9, a: 1}")));
    assert_eq!(merged.get("y"), Some(&node("{d: 5, a: 1, b: 2, c: 4}")));
    assert_eq!(merged.get("z"), Some(&node("{a: 1, b: 2}")));
}

#[test]
fn mistakes_in_documents_are_told_with_their_place() {
    let cases = [
        (
            "a: 1\nb: 2\na: 3\n",
            "t:3:1: key \"a\" is already defined in this mapping (defined again here)",
        ),
        ("a: *nothing\n", "t:1:4: unknown anchor \"nothing\""),
        ("a: &x [1, *x]\n", "t:1:11: an anchor cannot contain itself"),
        ("<<: 5\n", "t:1:5: \"<<\" takes a mapping or a list of mappings"),
    ];
    for (yaml, message) in cases {
        let mut diagnostics = Diagnostics::default();
        let source = diagnostics.add_source("t", yaml);
        read::read(yaml, source, 0, &mut diagnostics);
        assert_eq!(diagnostics.error_lines(), [message], "{yaml}");
    }
}

#[test]
fn nested_aliases_cannot_fill_the_memory() {
    let mut yaml = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let below = level - 1;
        let items = vec![format!("*a{below}"); 10].join(", ");
        yaml.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let mut diagnostics = Diagnostics::default();
    let source = diagnostics.add_source("bomb.yaml", yaml.as_str());
    assert!(read::read(&yaml, source, 0, &mut diagnostics).is_none());
    assert!(diagnostics.render(false).contains("more than 1000000 values"));
}

#[test]
fn written_yaml_reads_back_the_same() {
    let yaml = "
a: {empty: {}, none: , list: [], text: 'x: y', number: \"12\", octal: 0755, f: 1.5, yes: on}
b:
  - one
  - {k: v, l: [1, 2, [3]]}
  - - nested
    - \"multi\\nline\"
  -
'key with: colon': \"${env:X:-d}\"
'12': '#no comment'
";
    let original = node(yaml);
    let written = write::to_yaml(&original);
    assert_eq!(node(&written), original, "{written}");
}

/// Reads as nodes, expands, and survives writing; components decode what they know of it.
#[test]
fn the_whole_schema_is_read() {
    let text = include_str!("everything.yaml");
    let mut diagnostics = Diagnostics::default();
    let source = diagnostics.add_source("everything.yaml", text);
    let mut root = read::read(text, source, 0, &mut diagnostics).expect("valid YAML");
    assert_eq!(node(&write::to_yaml(&root)), root);
    let variables = |name: &str| (name == "TOKEN").then(|| "t".to_owned());
    expand::expand(&mut root, Environment { variables: &variables }, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    let at = |path: &[&str]| path.iter().try_fold(&root, |node, key| node.get(key)).expect("there");
    assert_eq!(
        at(&["receivers", "otlp", "protocols", "grpc", "endpoint"]).text(),
        Some("127.0.0.1:4317")
    );
    assert_eq!(at(&["exporters", "otlphttp", "headers", "authorization"]).text(), Some("Bearer t"));
    let relabel = &at(&["receivers", "prometheus", "config", "scrape_configs"]).items()[0];
    let replacement =
        relabel.get("relabel_configs").and_then(|all| all.items()[0].get("replacement"));
    assert_eq!(replacement.and_then(Node::text), Some("$1"));
    for section in ["receivers", "processors", "exporters", "connectors", "extensions"] {
        assert!(!at(&[section]).entries().is_empty(), "{section}");
    }
}
