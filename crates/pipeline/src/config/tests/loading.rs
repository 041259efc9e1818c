// SPDX-License-Identifier: Apache-2.0
//! Sources to a plan.

use super::*;

fn load_input(input: &Input) -> Result<Loaded, Diagnostics> {
    load(input, &components(), Environment { variables: &|_| None })
}

#[test]
fn a_small_configuration_becomes_a_plan() {
    let plan = load_text(SMALL).map_err(|d| d.render(false)).expect("valid").plan;
    let pipeline = &plan.pipelines[0];
    assert_eq!((&*pipeline.id, pipeline.signal), ("traces", Signal::Traces));
    assert_eq!(pipeline.receivers, [Arc::from("otlp")]);
    assert_eq!(pipeline.processors, [Arc::from("batch")]);
    assert_eq!(pipeline.exporters, [Arc::from("debug")]);
    let otlp = plan.receiver("otlp").expect("in the plan").config.clone();
    let otlp = otlp.downcast::<Otlp>().expect("its own type");
    assert!(otlp.protocols.grpc.is_some() && otlp.protocols.http.is_none());
    assert_eq!(plan.telemetry.metrics, Telemetry::default().metrics);
    assert_eq!(plan.telemetry.logs, Telemetry::default().logs);
}

#[test]
fn components_that_no_pipeline_names_are_checked_but_not_in_the_plan() {
    let yaml = SMALL.replace("  debug:\n", "  debug:\n  debug/unused:\n");
    let plan = load_text(&yaml).map_err(|d| d.render(false)).expect("valid").plan;
    assert!(plan.exporter("debug/unused").is_none());
    let told = errors(&SMALL.replace("  debug:\n", "  debug:\n  debug/unused: {x: 1}\n"));
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("exporters::debug/unused: unknown key \"x\""), "{told:?}");
}

#[test]
fn later_sources_win_and_lists_are_replaced() {
    let over = "yaml:processors::batch::timeout: 3s";
    let input = Input {
        configs: vec![format!("yaml:{SMALL}"), over.to_owned()],
        sets: vec![
            "service.pipelines.traces.processors=[]".to_owned(),
            "exporters.debug.sampling_initial=7".to_owned(),
        ],
        ..Input::default()
    };
    let plan = load_input(&input).map_err(|d| d.render(false)).expect("valid").plan;
    assert!(plan.pipelines[0].processors.is_empty());
    let debug = plan.exporter("debug").expect("there").config.clone();
    assert_eq!(debug.downcast::<Debugging>().expect("its type").sampling_initial, 7);
}

#[test]
fn null_in_a_later_source_wipes_a_section() {
    let input = Input {
        configs: vec![format!("yaml:{SMALL}")],
        sets: vec!["receivers=null".to_owned()],
        ..Input::default()
    };
    let told = load_input(&input).err().expect("no receivers").error_lines();
    assert!(told[0].ends_with("no receiver configuration specified in config"), "{told:?}");
}

#[test]
fn a_mistake_in_a_set_points_into_the_argument() {
    let input = Input {
        configs: vec![format!("yaml:{SMALL}")],
        sets: vec![
            "processors.batch.timeout=soon".to_owned(),
            "processors.batch.tmeout=1s".to_owned(),
        ],
        ..Input::default()
    };
    let told = load_input(&input).err().expect("a mistake").error_lines();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter().any(
            |line| line.starts_with("--set:1:26: processors::batch::timeout: invalid duration")
        ),
        "{told:?}"
    );
    assert!(
        told.iter()
            .any(|line| line.starts_with("--set:1:18: processors::batch: unknown key \"tmeout\"")),
        "{told:?}"
    );
}

#[test]
fn input_that_cannot_be_read_is_named() {
    let cases = [
        (vec![], vec![], "at least one config flag must be provided"),
        (
            vec!["/no/such/file.yaml"],
            vec![],
            "cannot read the configuration /no/such/file.yaml: No such file",
        ),
        (vec!["env:NOT_SET"], vec![], "environment variable \"NOT_SET\" is not set"),
        (vec!["https://x/y"], vec![], "scheme \"https\" is not supported"),
        (vec!["yaml:a: 1"], vec!["novalue"], "missing equal sign in --set"),
    ];
    for (configs, sets, message) in cases {
        let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
        let input = Input { configs: owned(configs), sets: owned(sets), ..Input::default() };
        let told = load_input(&input).err().expect(message).error_lines();
        assert!(told.iter().any(|line| line.contains(message)), "{message}: {told:?}");
    }
}

#[test]
fn references_and_ids_are_checked_in_the_collectors_words() {
    let parts = "receivers: {otlp: {protocols: {grpc: }}}\nexporters: {debug: , prometheusremotewrite: {endpoint: 'http://x'}}";
    let cases = [
        (
            "traces: {receivers: [otl], exporters: [debug]}",
            "service::pipelines::traces: references receiver \"otl\" which is not configured (did you mean \"otlp\"?)",
        ),
        (
            "traces: {receivers: [otlp], processors: [x], exporters: [debug]}",
            "references processor \"x\" which is not configured",
        ),
        (
            "traces: {receivers: [otlp], exporters: []}",
            "service::pipelines::traces: must have at least one exporter",
        ),
        (
            "traces: {exporters: [debug]}",
            "service::pipelines::traces: must have at least one receiver",
        ),
        (
            "traces: {receivers: [otlp], exporters: [debug, debug]}",
            "references exporter \"debug\" multiple times",
        ),
        (
            "tracez: {receivers: [otlp], exporters: [debug]}",
            "'service.pipelines' in \"tracez\" id: unknown pipeline signal: \"tracez\" (did you mean \"traces\"?)",
        ),
        (
            "traces/: {receivers: [otlp], exporters: [debug]}",
            "the part after / should not be empty",
        ),
        (
            "traces: {receivers: [otlp], exporter: [debug]}",
            "service::pipelines::traces: unknown key \"exporter\" (did you mean \"exporters\"?)",
        ),
        (
            "logs: {receivers: [otlp], exporters: [prometheusremotewrite]}",
            "exporter \"prometheusremotewrite\" does not support logs",
        ),
        ("", "service must have at least one pipeline"),
    ];
    for (pipeline, message) in cases {
        let told = errors(&with_pipeline(parts, pipeline));
        assert!(told.iter().any(|line| line.contains(message)), "{message}: {told:?}");
    }
    let told = errors("{}");
    assert_eq!(told.len(), 3, "{told:?}");
    let told = errors("recievers: {}\n");
    assert!(
        told.iter()
            .any(|line| line.contains("unknown key \"recievers\" (did you mean \"receivers\"?)"))
    );
}

#[test]
fn ids_are_trimmed_and_must_be_unique() {
    let told = errors(&SMALL.replace("  debug:\n", "  debug:\n  ' debug ':\n"));
    assert!(told[0].contains("duplicate name \"debug\""), "{told:?}");
    let told = errors(&SMALL.replace("  debug:\n", "  debug:\n  2bug:\n"));
    assert!(told[0].contains("invalid character(s) in type \"2bug\""), "{told:?}");
}

#[test]
fn a_string_is_a_list_of_ids_separated_by_commas() {
    let yaml = SMALL.replace("receivers: [otlp]", "receivers: otlp");
    assert!(load_text(&yaml).is_ok());
}

#[test]
fn aliases_load_with_one_warning_each() {
    let yaml = SMALL.replace("  debug:\n", "  debug:\n  logging:\n  logging/2:\n");
    let loaded = load_given(&yaml).map_err(|d| d.render(false)).expect("valid");
    let warnings = loaded.diagnostics.warning_lines();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("\"logging\" is the old name of \"debug\""));
}

#[test]
fn renamed_types_load_in_both_spellings_and_the_old_one_warns() {
    let warnings = |exporters: &str| {
        let yaml = SMALL.replace("  debug:\n", &format!("  debug:\n{exporters}"));
        let loaded = load_given(&yaml).map_err(|d| d.render(false)).expect(exporters);
        loaded.diagnostics.warning_lines()
    };
    assert_eq!(warnings("  otlp_grpc: {endpoint: 'a:1', tls: {insecure: true}}\n"), [""; 0]);
    let old = warnings(
        "  otlp: {endpoint: 'a:1', tls: {insecure: true}}\n  otlp/2: {endpoint: 'a:2', tls: {insecure: true}}\n",
    );
    assert_eq!(
        old,
        [
            "--config env:CONFIG:8:3: exporters::otlp: \"otlp\" alias is deprecated; use \"otlp_grpc\" instead"
        ]
    );
    // The built-in configuration is nobody's to change.
    let built_in =
        SMALL.replace("  debug:\n", "  debug:\n  otlp: {endpoint: 'a:1', tls: {insecure: true}}\n");
    assert!(load_text(&built_in).is_ok_and(|loaded| loaded.diagnostics.is_empty()));
}

#[test]
fn telemetry_is_read_with_its_old_spellings() {
    let with = |telemetry: &str| {
        let yaml = format!("{SMALL}  telemetry: {telemetry}\n");
        load_text(&yaml).map_err(|diagnostics| diagnostics.error_lines().join("\n"))
    };
    let addresses = |telemetry: &str| -> Vec<String> {
        let pages = with(telemetry).expect(telemetry).plan.telemetry.metrics.pages;
        pages.into_iter().map(|page| page.address).collect()
    };
    assert_eq!(addresses("{}"), ["localhost:8888"]);
    assert_eq!(addresses("{metrics: {address: '0.0.0.0:8888'}}"), ["0.0.0.0:8888"]);
    assert_eq!(
        addresses(
            "{metrics: {readers: [{pull: {exporter: {prometheus: {host: '::1', port: 1}}}}]}}"
        ),
        ["[::1]:1"]
    );
    assert!(addresses("{metrics: {level: none, readers: []}}").is_empty());
    let old = with("{metrics: {address: ':8888'}}").expect("valid");
    assert_eq!(old.diagnostics.warning_lines().len(), 1);
    let detailed = with(
        "{metrics: {level: Detailed}, logs: {level: DEBUG, encoding: json}, resource: {a: b, c: null}}",
    );
    let telemetry = detailed.expect("valid").plan.telemetry;
    assert_eq!(telemetry.metrics.level, Level::Detailed);
    assert_eq!(
        telemetry.logs,
        LogsTelemetry { level: "debug".to_owned(), json: true, ..LogsTelemetry::default() }
    );
    assert!(telemetry.resource.contains(&("a".to_owned(), "b".to_owned())));
    assert!(telemetry.resource.iter().any(|(name, _)| name == "service.instance.id"));
    assert_eq!(telemetry.metrics.pages[0].style.labels, [("a".to_owned(), "b".to_owned())]);
    let pushed = with(
        "{metrics: {readers: [{periodic: {interval: 5000, exporter: {otlp: {protocol: http/protobuf, endpoint: 'http://a:4318'}}}}, {pull: {exporter: {prometheus: {without_units: false, with_resource_constant_labels: {included: ['service.*'], excluded: [service.instance.id]}}}}}]}, logs: {processors: [{batch: {exporter: {otlp: {endpoint: 'a:1', insecure: true}}}}], output_paths: [stdout], initial_fields: {n: 1}, sampling: {initial: 2}}}",
    );
    let telemetry = pushed.expect("valid").plan.telemetry;
    let push = &telemetry.metrics.pushes[0];
    assert_eq!((push.every.as_secs(), push.to.is_grpc, push.to.insecure), (5, false, true));
    let style = &telemetry.metrics.pages[0].style;
    assert!(style.units && !style.type_suffix);
    let names: Vec<&str> = style.labels.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["service_name", "service_version"]);
    assert!(telemetry.logs.pushes[0].to.is_grpc);
    assert_eq!(telemetry.logs.outputs, ["stdout"]);
    assert_eq!(telemetry.logs.fields, [("n".to_owned(), "1".to_owned())]);
    assert_eq!(telemetry.logs.sampling.map(|it| (it.initial, it.thereafter)), Some((2, 100)));
    for (telemetry, message) in [
        ("{metrics: {level: lots}}", "service::telemetry::metrics::level: unknown level \"lots\""),
        ("{metrics: {readers: []}}", "metrics reader should exist"),
        ("{metrics: {adress: x}}", "unknown key \"adress\" (did you mean \"address\"?)"),
    ] {
        let told = with(telemetry).err().expect(message);
        assert!(told.contains(message), "{told}");
    }
}

#[test]
fn extensions_of_the_binary_run_unless_the_file_lists_one_of_that_type() {
    let input = |yaml: &str| Input {
        configs: vec![format!("yaml:{yaml}")],
        extensions: vec![("health_check/own".to_owned(), "{endpoint: 'localhost:1'}".to_owned())],
        ..Input::default()
    };
    let ids = |yaml: &str| -> Vec<String> {
        let plan = load_input(&input(yaml)).map_err(|d| d.render(false)).expect("valid").plan;
        plan.extensions.iter().map(|extension| extension.id.to_string()).collect()
    };
    assert_eq!(ids(SMALL), ["health_check/own"]);
    let listed = format!("extensions: {{health_check: }}\n{SMALL}  extensions: [health_check]\n");
    assert_eq!(ids(&listed), ["health_check"]);
    let unlisted = format!("extensions: {{health_check/own: {{path: /up}}}}\n{SMALL}");
    let plan = load_input(&input(&unlisted)).map_err(|d| d.render(false)).expect("valid").plan;
    let body = plan.extensions[0].body.as_ref().expect("a body");
    let text = |key: &str| body.get(key).and_then(|node| node.text()).unwrap_or_default();
    assert_eq!((text("endpoint"), text("path")), ("localhost:1", "/up"));
}

#[test]
fn printing_gives_the_default_as_written_and_else_the_merged_yaml() {
    let mut input = Input { default: Some(("built-in", SMALL)), ..Input::default() };
    let environment = Environment { variables: &|_| None };
    assert_eq!(print(&input, environment).map_err(|d| d.render(false)), Ok(SMALL.to_owned()));
    input.sets = vec!["exporters.debug.verbosity=${env:SECRET}".to_owned()];
    let printed = print(&input, environment).map_err(|d| d.render(false)).expect("printable");
    assert!(printed.contains("verbosity: ${env:SECRET}"), "{printed}");
    assert!(load_text(&printed.replace("${env:SECRET}", "basic")).is_ok());
}
