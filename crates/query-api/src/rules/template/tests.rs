// SPDX-License-Identifier: Apache-2.0
//! Templates as they stand in people's rules, and what Prometheus makes of them.

use super::*;

struct Fixed;

impl World for Fixed {
    fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let sample = |instance: &str, value: f64| {
            let labels = basics::labels::Labels::new([("__name__", "up"), ("instance", instance)]);
            functions::sample(&labels, value)
        };
        match query {
            "up" => Ok(vec![sample("b", 2.0), sample("a", 1.5)]),
            "none" => Ok(Vec::new()),
            other => Err(format!("no such query: {other}")),
        }
    }

    fn now(&self) -> f64 {
        1435065584.128
    }

    fn external_url(&self) -> &str {
        "http://prometheus.example:9090/path/prefix"
    }
}

fn expand(text: &str) -> Result<String, String> {
    let labels = [("instance", "host.example:80"), ("job", "api")];
    let labels = labels.map(|(name, value)| (name.to_owned(), Value::from(value)));
    let variables = [
        ("labels", Value::Map(labels.into())),
        ("externalLabels", Value::Map(BTreeMap::from([("cluster".to_owned(), "eu".into())]))),
        ("externalURL", "http://x".into()),
        ("value", Value::Float(1234567.0)),
    ];
    Template::parse(text)?.expand(&variables, &Fixed)
}

#[test]
fn templates_give_what_prometheus_gives() {
    for (template, expected) in [
        ("plain", "plain"),
        ("{{ $labels.instance }} of {{ $labels.job }} is down", "host.example:80 of api is down"),
        (
            "{{ .Labels.job }}/{{ .ExternalLabels.cluster }}/{{ $externalLabels.cluster }}",
            "api/eu/eu",
        ),
        ("[{{ $labels.missing }}]", "[]"),
        ("{{ $value }}", "1.234567e+06"),
        ("{{ $value | humanize }} {{ humanize $value }}", "1.235M 1.235M"),
        ("{{ $value | humanize1024 }}", "1.177Mi"),
        ("{{ humanize 0.00000012345 }}", "123.5n"),
        (
            "{{ humanizeDuration 93784 }} {{ humanizeDuration 0.0123 }} {{ humanizeDuration -61.5 }}",
            "1d 2h 3m 4s 12.3ms -1m 1s",
        ),
        ("{{ 0.12345 | humanizePercentage }}", "12.35%"),
        ("{{ 1435065584.128 | humanizeTimestamp }}", "2015-06-23 13:19:44.128 +0000 UTC"),
        (
            "{{ printf \"%.2f|%5s|%-4d|%05d|%q|%v|%e\" 3.14159 \"ab\" 7 42 \"x\" 0.5 1500.0 }}",
            "3.14|   ab|7   |00042|\"x\"|0.5|1.500000e+03",
        ),
        (
            "{{ if gt $value 100.0 }}high{{ else if eq $value 1.0 }}one{{ else }}low{{ end }}",
            "high",
        ),
        ("{{ if and (eq $labels.job \"api\") (not false) }}yes{{ end }}", "yes"),
        ("{{ with $labels.missing }}there{{ else }}not there{{ end }}", "not there"),
        (
            "{{ range query \"up\" | sortByLabel \"instance\" }}{{ .Labels.instance }}={{ .Value }} {{ end }}",
            "a=1.5 b=2 ",
        ),
        (
            "{{ range $at, $one := query \"up\" }}{{ $at }}:{{ $one | label \"instance\" }};{{ end }}",
            "0:b;1:a;",
        ),
        ("{{ with query \"up\" }}{{ . | first | value | printf \"%.1f\" }}{{ end }}", "2.0"),
        ("{{ with query \"none\" }}x{{ else }}nothing{{ end }}", "nothing"),
        ("{{ $x := 5 }}{{ if true }}{{ $x = 6 }}{{ end }}{{ $x }}", "6"),
        ("a {{- /* said */ -}} b", "ab"),
        ("{{ $labels.instance | stripPort | stripDomain | toUpper }}", "HOST"),
        (
            "{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }} {{ match \"^a\" \"abc\" }}",
            "host.example true",
        ),
        (
            "{{ index $labels \"job\" }} {{ len \"abc\" }} {{ title \"some words\" }}",
            "api 3 Some Words",
        ),
        (
            "{{ externalURL }} {{ pathPrefix }}",
            "http://prometheus.example:9090/path/prefix /path/prefix",
        ),
        ("{{ \"a b&c\" | urlQueryEscape }} {{ parseDuration \"1h30m\" }}", "a+b%26c 5400"),
        ("{{ (query \"up\" | first).Labels.instance }}", "b"),
        ("{{ 100000 }} {{ 21000000.0 }} {{ 0.00001 }} {{ 1e25 }}", "100000 2.1e+07 1e-05 1e+25"),
    ] {
        assert_eq!(expand(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn wrong_templates_say_what_is_wrong() {
    for (template, says) in [
        ("{{ $labels.instance", "unclosed action"),
        ("{{ nothing 1 }}", "function \"nothing\" not defined"),
        ("{{ if true }}x", "unexpected EOF in {{if}}"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ template \"x\" }}", "not supported"),
        ("{{ $undefined }}", "undefined variable"),
        ("{{ (1 }}", "unclosed left paren"),
        ("{{ humanize \"many\" }}", "can't convert"),
        ("{{ query \"bad\" }}", "no such query"),
        ("{{ first (query \"none\") }}", "no elements"),
        ("{{ \"open }}", "unclosed action"),
        ("{{ range $a, $b, $c := query \"up\" }}{{ end }}", "one or two variables"),
    ] {
        let error = expand(template).expect_err(template);
        assert!(error.contains(says), "{template}: {error}");
    }
    let deep = "{{ if true }}".repeat(60);
    assert!(expand(&deep).expect_err("deep").contains("nested deeper"));
}

#[test]
fn arbitrary_text_never_panics() {
    proptest::proptest!(|(text in "(\\{\\{|\\}\\}|-|[ .$\"`|()=:,a-z0-9]|if |end|range |else){0,40}")| {
        if let Ok(template) = Template::parse(&text) {
            let _ = template.expand(&[("labels", Value::Nil), ("value", Value::Float(1.0))], &Fixed);
        }
    });
}
