// SPDX-License-Identifier: Apache-2.0
//! Bodies to settings: defaults, nulls, shared groups, and all mistakes at once.

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Kinds {
    text: String,
    number: u16,
    ratio: f64,
    flag: bool,
    wait: Duration,
    size: ByteSize,
    names: Vec<String>,
    choice: Choice,
    maybe: Option<u8>,
    inner: Option<Inner>,
    list: Vec<Inner>,
    any: serde_json::Value,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Inner {
    depth: i32,
    label: String,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Choice {
    #[default]
    First,
    SecondOne,
}

impl ComponentConfig for Kinds {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.number == 13 {
            at.error("number", "13 is not allowed");
        }
        for (index, inner) in self.list.iter().enumerate() {
            if inner.label.is_empty() {
                at.key("list").item(index).error("label", "must not be empty");
            }
        }
    }
}

fn kinds(yaml: &str) -> Kinds {
    from_yaml(yaml).unwrap_or_else(|errors| panic!("{yaml}: {errors}"))
}

fn mistakes(yaml: &str) -> Vec<String> {
    from_yaml::<Kinds>(yaml).expect_err(yaml).lines().map(str::to_owned).collect()
}

#[test]
fn nothing_means_the_defaults() {
    for yaml in [
        "",
        "null",
        "{}",
        "text:\nnumber:\nratio:\nflag:\nwait:\nsize:\nnames:\nchoice:\nmaybe:\nlist:\n",
    ] {
        assert_eq!(kinds(yaml), Kinds::default(), "{yaml}");
    }
    assert_eq!(kinds("inner:").inner, Some(Inner::default()), "a null section is a section");
}

#[test]
fn values_decode_into_their_types() {
    let all = kinds(
        "{text: a, number: 1e3, ratio: 2, flag: true, wait: 1m30s, size: 2KiB, names: 'a,b', choice: second_one, maybe: 3, inner: {depth: -1}, list: [{label: x}], any: [1, {a: null}]}",
    );
    let expected = Kinds {
        text: "a".to_owned(),
        number: 1000,
        ratio: 2.0,
        flag: true,
        wait: Duration::from_secs(90),
        size: ByteSize(2048),
        names: vec!["a".to_owned(), "b".to_owned()],
        choice: Choice::SecondOne,
        maybe: Some(3),
        inner: Some(Inner { depth: -1, label: String::new() }),
        list: vec![Inner { depth: 0, label: "x".to_owned() }],
        any: serde_json::json!([1, {"a": null}]),
    };
    assert_eq!(all, expected);
}

#[test]
fn types_are_strict_and_the_message_says_what_helps() {
    let cases = [
        ("text: 5", "yaml:1:7: text: expected text, found the number 5 (expected text)"),
        (
            "number: '5'",
            "yaml:1:9: number: expected a whole number from 0 to 65535, found the text \"5\" (expected a whole number from 0 to 65535)",
        ),
        (
            "number: 70000",
            "yaml:1:9: number: expected a whole number from 0 to 65535, found the number 70000 (expected a whole number from 0 to 65535)",
        ),
        (
            "flag: yes",
            "yaml:1:7: flag: expected true or false, found the text \"yes\" (expected true or false)",
        ),
        ("wait: 10", ""),
        (
            "wait: 10 s",
            "yaml:1:7: wait: unknown unit \" s\" in duration \"10 s\"; units are ns, us, ms, s, m, h",
        ),
        ("wait: -1s", "yaml:1:7: wait: duration \"-1s\" must not be negative"),
        (
            "size: lots",
            "yaml:1:7: size: invalid size \"lots\"; write for example \"512\", \"64MiB\" or \"1GB\"",
        ),
        (
            "choice: second",
            "yaml:1:9: choice: unknown value \"second\" (did you mean \"second_one\"?)",
        ),
        (
            "choice: second_on",
            "yaml:1:9: choice: unknown value \"second_on\" (did you mean \"second_one\"?)",
        ),
        ("names: {a: b}", "yaml:1:1: names: expected a list, found a mapping (expected a list)"),
        (
            "inner: 5",
            "yaml:1:8: inner: expected a mapping, found the number 5 (expected a mapping)",
        ),
        ("number: 13", "yaml:1:9: number: 13 is not allowed"),
        ("list: [{label: a}, {depth: 1}]", "yaml:1:21: list[1]::label: must not be empty"),
    ];
    for (yaml, message) in cases {
        match from_yaml::<Kinds>(yaml) {
            Ok(_) => assert_eq!(message, "", "{yaml}"),
            Err(errors) => assert_eq!(errors, message, "{yaml}"),
        }
    }
}

#[test]
fn all_mistakes_of_a_body_are_told_at_once() {
    let told = mistakes(
        "tex: a\nnumber: x\nflag: 1\nwait: soon\ninner: {deep: 1, depth: a}\nlist:\n  - {label: ok, depth: z}\n  - {lable: b}\n",
    );
    let starts = [
        "yaml:1:1: unknown key \"tex\" (did you mean \"text\"?)",
        "yaml:2:9: number: expected",
        "yaml:3:7: flag: expected",
        "yaml:4:7: wait: invalid duration",
        "yaml:5:9: inner: unknown key \"deep\"",
        "yaml:5:25: inner::depth: expected",
        "yaml:7:24: list[0]::depth: expected",
        "yaml:8:6: list[1]: unknown key \"lable\" (did you mean \"label\"?)",
    ];
    for start in starts {
        assert!(told.iter().any(|line| line.starts_with(start)), "{start}\n{}", told.join("\n"));
    }
    assert_eq!(told.len(), starts.len(), "{}", told.join("\n"));
}

#[test]
fn keys_of_a_shared_group_stand_among_the_components_own() {
    let config: RemoteWrite =
        from_yaml("{endpoint: 'http://vm:8428/api/v1/write', namespace: n, timeout: 7s, tls: {insecure: true}, headers: {a: b}}")
            .expect("valid");
    assert_eq!(config.client.endpoint, "http://vm:8428/api/v1/write");
    assert_eq!(config.client.timeout, Some(Duration::from_secs(7)));
    assert!(config.client.tls.insecure);
    assert_eq!(config.namespace, "n");
    let errors = from_yaml::<RemoteWrite>(
        "{endpoint: 'http://a', endpont: x, namspace: y, tls: {ca_fil: x}}",
    )
    .expect_err("unknown keys");
    let expected = "yaml:1:29: tls: unknown key \"ca_fil\"";
    assert!(errors.contains("unknown key \"endpont\" (did you mean \"endpoint\"?)"), "{errors}");
    assert!(errors.contains("unknown key \"namspace\" (did you mean \"namespace\"?)"), "{errors}");
    assert!(
        errors.contains("tls: unknown key \"ca_fil\" (did you mean \"ca_file\"?)"),
        "{expected} {errors}"
    );
}

#[test]
fn a_value_told_to_be_wrong_is_not_told_again_by_validation() {
    let errors = from_yaml::<RemoteWrite>("endpoint: [x]").expect_err("a list is no URL");
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

#[test]
fn tls_files_are_read_and_told_with_their_place() {
    let cases = [
        ("{ca_file: /no/such.pem}", "1:40: tls::ca_file: cannot read /no/such.pem"),
        ("{ca_pem: none}", "tls::ca_pem: no certificate in the PEM text"),
        ("{ca_pem: none, ca_file: a}", "tls::ca_pem: provide either ca_file or ca_pem, but not"),
        ("{key_file: /no/such.key}", "tls::key_file: cannot read /no/such.key"),
        ("{min_version: '1.4'}", "tls::min_version: unsupported TLS version: \"1.4\""),
        ("{min_version: '1.3', max_version: '1.2'}", "cannot be greater than max_version"),
        ("{max_version: '1.1'}", "tls::max_version: TLS 1.0 and 1.1 are not spoken"),
        ("{cipher_suites: [A, B]}", "tls::cipher_suites[1]: invalid TLS cipher suite: \"B\""),
        ("{curve_preferences: [P521]}", "tls::curve_preferences[0]: invalid curve"),
        ("{tpm: {enabled: true}}", "tls::tpm::enabled: keys in a TPM are not supported"),
        ("{server_name_override: 'a b'}", "\"a b\" is not a name for a certificate"),
    ];
    for (tls, message) in cases {
        let yaml = format!("{{endpoint: 'https://x', tls: {tls}}}");
        let errors = from_yaml::<RemoteWrite>(&yaml).expect_err(&yaml);
        assert!(errors.contains(message), "{errors}");
    }
    let ignored = "{endpoint: 'https://x', tls: {insecure: true, cert_file: /no/such.pem}}";
    from_yaml::<RemoteWrite>(ignored).expect("without a CA, insecure alone counts");
}

#[test]
fn whether_grpc_speaks_tls_is_decided_as_in_the_collector() {
    use crate::config::shared::GrpcClient;
    let ca = ca_in_one_line();
    let with_ca = format!("{{insecure: true, ca_pem: \"{ca}\"}}");
    for (endpoint, tls, is_plain) in [
        ("x:4317", "{insecure: true}", true),
        ("http://x:4317", "{insecure: true}", true),
        ("https://x:4317", "{insecure: true}", false),
        ("x:4317", "{}", false),
        ("http://x:4317", "{}", false),
        ("x:4317", with_ca.as_str(), false),
    ] {
        let yaml = format!("{{endpoint: '{endpoint}', tls: {tls}}}");
        let client = from_yaml::<Grpc>(&yaml).expect(&yaml).client;
        assert_eq!(client.is_plain(), is_plain, "{yaml}");
        assert_eq!(client.address(), "x:4317");
        assert_eq!(client.client_tls().expect("right").is_none(), is_plain, "{yaml}");
    }
    let error = from_yaml::<Grpc>("compression: zlib").expect_err("HTTP only");
    assert!(error.contains("compression: gRPC has gzip, zstd, snappy and none"), "{error}");
    for (endpoint, message) in [
        ("unix://", "unix socket path cannot be empty"),
        ("xds:///a", "xds endpoints are not supported"),
        ("x:a", "\"a\" is not a port"),
    ] {
        let error = from_yaml::<Grpc>(&format!("endpoint: '{endpoint}'")).expect_err(endpoint);
        assert!(error.contains(message), "{error}");
    }

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(default)]
    struct Grpc {
        #[serde(rename = "..client")]
        client: GrpcClient,
    }
    impl ComponentConfig for Grpc {
        fn validate(&self, at: &mut Checker<'_>) {
            self.client.validate(at);
        }
    }
    /// One line of YAML.
    fn ca_in_one_line() -> String {
        testkit::pki::Authority::new().pem().replace("\r", "").replace('\n', "\\n")
    }
}

#[test]
fn what_cannot_be_done_yet_is_refused_by_name() {
    let cases = [
        ("{endpoint: 'http://x', middlewares: [{id: a}]}", "middlewares are not supported yet"),
        (
            "{endpoint: 'http://x', compression: gzip, compression_params: {level: 10}}",
            "compression_params::level: unsupported level 10 for compression type \"gzip\"",
        ),
        (
            "{endpoint: 'http://x', compression: lz4, compression_params: {level: 1}}",
            "compression_params::level: unsupported level 1 for compression type \"lz4\"",
        ),
        (
            "{endpoint: 'http://x', proxy_url: 'http://p'}",
            "proxy_url: a proxy is not supported yet",
        ),
    ];
    for (yaml, message) in cases {
        let errors = from_yaml::<RemoteWrite>(yaml).expect_err(yaml);
        assert!(errors.contains(message), "{errors}");
    }
}

#[test]
fn headers_are_a_mapping_or_a_list() {
    let map: RemoteWrite =
        from_yaml("{endpoint: 'http://x', headers: {a: '1', b: x}}").expect("valid");
    let list: RemoteWrite =
        from_yaml("{endpoint: 'http://x', headers: [{name: a, value: '1'}, {name: b, value: x}]}")
            .expect("valid");
    assert_eq!(map.client.headers, list.client.headers);
    assert!(!format!("{:?}", map.client.headers).contains('1'), "values are not shown");
    let errors =
        from_yaml::<RemoteWrite>("{endpoint: 'http://x', headers: [{name: a}, {name: A}]}");
    assert!(errors.expect_err("twice").contains("header \"A\" is given twice"));
}

#[test]
fn retry_and_queue_have_the_collectors_defaults_and_checks() {
    let config: OtlpOut =
        from_yaml("{endpoint: 'x:4317', tls: {insecure: true}, sending_queue: {batch: }}")
            .expect("valid");
    assert_eq!(config.sending_queue.num_consumers, 10);
    assert_eq!(config.sending_queue.queue_size, 1000);
    assert_eq!(config.sending_queue.batch.map(|batch| batch.min_size), Some(8192));
    let errors = from_yaml::<RemoteWrite>(
        "{endpoint: 'http://x', retry_on_failure: {max_elapsed_time: 1s, randomization_factor: 2}}",
    )
    .expect_err("too short");
    assert_eq!(errors.lines().count(), 3, "{errors}");
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Old {
    tuning: NoEffect,
    #[serde(alias = "size_old")]
    size: u32,
    wal: Option<serde_json::Value>,
    mode: String,
}

impl ComponentConfig for Old {
    fn validate(&self, at: &mut Checker<'_>) {
        at.renamed("size_old", "size");
        at.no_effect("wal", "the log of the pipeline is used");
    }
}

#[test]
fn keys_without_effect_and_old_spellings_are_told_once_with_their_place() {
    let told = |yaml: &str| from_yaml_told::<Old>(yaml).expect(yaml);
    assert_eq!(told("tuning:\nmode: x").1, [""; 0]);
    let (config, warnings) = told("tuning: {deep: [1, {x: 2}]}\nsize_old: 3\nwal: {directory: x}");
    assert_eq!(config.size, 3);
    assert_eq!(
        warnings,
        [
            "yaml:1:1: tuning: has no effect here",
            "yaml:2:11: size_old: \"size_old\" is deprecated; use \"size\" instead",
            "yaml:3:1: wal: has no effect here: the log of the pipeline is used",
        ]
    );
}
