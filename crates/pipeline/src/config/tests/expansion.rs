// SPDX-License-Identifier: Apache-2.0
//! `${...}`: the collector's table.

use super::*;

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "NUM" => "0123",
        "TEXT" => "hello",
        "EMPTY" => "",
        "QUOTED" => "\"q\"",
        "NAME" => "TEXT",
        "MAP" => "{a: 1, b: '${env:TEXT}'}",
        "LIST" => "[x, y]",
        "BROKEN" => "[1, 2",
        "BOOL" => "true",
        "DOLLAR" => "a$$b",
        "LOOP" => "${env:LOOP}",
        _ => return None,
    };
    Some(value.to_owned())
}

/// The value of `v:` after expansion, and what was told.
fn expanded(value: &str) -> (Node, Vec<String>) {
    let yaml = format!("v: {value}\n");
    let mut diagnostics = Diagnostics::default();
    let source = diagnostics.add_source("t", yaml.as_str());
    let mut root = read::read(&yaml, source, 0, &mut diagnostics).expect("valid YAML");
    expand::expand(&mut root, Environment { variables: &variable }, &mut diagnostics);
    let mut told = diagnostics.error_lines();
    told.extend(diagnostics.warning_lines());
    (root.get("v").expect("there").clone(), told)
}

#[test]
fn values_expand_as_in_the_collector() {
    let int = |value: i64| Value::Int(value.into());
    let text = |value: &str| Value::String(value.to_owned());
    let cases = [
        ("${env:TEXT}", text("hello")),
        ("${TEXT}", text("hello")),
        ("${env:NUM}", int(83)),
        ("\"${env:NUM}\"", int(83)),
        ("x${env:NUM}y", text("x0123y")),
        ("${env:NUM}${env:NUM}", text("01230123")),
        ("${env:QUOTED}", text("\"q\"")),
        ("${env:BOOL}", Value::Bool(true)),
        ("${env:EMPTY}", Value::Null),
        ("a${env:EMPTY}b", text("ab")),
        ("${env:EMPTY:-d}", Value::Null),
        ("${env:UNSET:-d}", text("d")),
        ("${env:UNSET:-5}", int(5)),
        ("${env:UNSET:-}", Value::Null),
        ("${env:HOST:-127.0.0.1}:4317", text("127.0.0.1:4317")),
        ("${env:${env:NAME}}", text("hello")),
        ("${env:UNSET:-${env:TEXT}}", text("hello")),
        ("${yaml:7}", int(7)),
        ("${env:LIST}", node("[x, y]").value.clone()),
        ("${env:BROKEN}", text("[1, 2")),
        ("${env:DOLLAR}", text("a$b")),
        ("$TEXT", text("$TEXT")),
        ("$$TEXT", text("$TEXT")),
        ("$$1", text("$1")),
        ("$${TEXT}", text("${TEXT}")),
        ("$$${TEXT}", text("$hello")),
        ("$$$${TEXT}", text("$${TEXT}")),
        ("\"$${A} ${env:TEXT}\"", text("${A} hello")),
        ("cost $5", text("cost $5")),
        ("${unclosed", text("${unclosed")),
    ];
    for (written, meant) in cases {
        let (node, told) = expanded(written);
        assert_eq!(node.value, meant, "{written}");
        assert!(told.is_empty(), "{written}: {told:?}");
    }
}

#[test]
fn a_text_field_gets_the_original_text_of_a_whole_value() {
    for (written, text) in [
        ("${env:NUM}", "0123"),
        ("${env:BOOL}", "true"),
        ("${env:EMPTY}", ""),
        ("${env:UNSET:-}", ""),
        ("${env:TEXT}", "hello"),
        ("${env:LIST}", "[x, y]"),
    ] {
        assert_eq!(expanded(written).0.text(), Some(text), "{written}");
    }
}

#[test]
fn maps_from_a_variable_are_expanded_inside() {
    let (map, told) = expanded("${env:MAP}");
    assert_eq!(map.value, node("{a: 1, b: hello}").value);
    assert!(told.is_empty());
}

#[test]
fn a_file_gives_a_value_with_places_of_its_own() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("part.yaml");
    std::fs::write(&path, "a: 1\na: 2\n").expect("written");
    let (_, told) = expanded(&format!("${{file:{}}}", path.display()));
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("part.yaml:2:1: key \"a\" is already defined"), "{told:?}");
    std::fs::write(&path, "a: 1\nb: ${env:NUM}\n").expect("written");
    let (value, told) = expanded(&format!("${{file:{}}}", path.display()));
    assert_eq!(value.get("b").map(|b| b.value.clone()), Some(Value::Int(83)));
    assert!(told.is_empty());
}

#[test]
fn mistakes_in_locations_are_told() {
    let cases = [
        (
            "${env:1}",
            "environment variable \"1\" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$",
        ),
        ("${1}", "environment variable \"1\" has invalid name"),
        ("${FOO:-bar}", "scheme \"FOO\" is not supported in \"${FOO:-bar}\""),
        ("${https://x/y}", "scheme \"https\" is not supported"),
        ("${file:/does/not/exist.yaml}", "cannot read the file \"/does/not/exist.yaml\""),
        ("${env:LOOP}", "too many recursive expansions"),
        ("${env:UNSET}", "environment variable \"UNSET\" is not set (the value is empty)"),
    ];
    for (written, message) in cases {
        let (_, told) = expanded(written);
        assert_eq!(told.len(), 1, "{written}: {told:?}");
        assert!(told[0].starts_with("t:1:4: ") && told[0].contains(message), "{told:?}");
    }
}
