// SPDX-License-Identifier: Apache-2.0
//! Embedded models through the processor. Defects of the published processor are marked by their
//! number in the reference.
use super::super::rule::Embedded;
use super::*;
use models::{Model, Outputs, Rows};
use otlp_wire::Temporality;

const SCALE: &str = r#"
rules:
  - model_name: simple-scale
    inputs: [cpu]
    parameters: {scale_factor: 2.0}
"#;

#[test]
fn the_document_without_a_server_runs_embedded() {
    let mut subject = subject(
        r#"
rules:
  - model_name: "simple-scale"
    inputs: ["otelcol_process_runtime_total_sys_memory_bytes"]
    outputs:
      - {name: "otelcol_process_runtime_total_sys_memory_bytes.predicted", data_type: "float"}
    parameters: {scale_factor: 2.0}
  - model_name: "simple-sum"
    inputs: ["http_request_duration_ms", "grpc_request_duration_ms"]
    outputs:
      - {name: "total_request_duration_ms", data_type: "float"}
"#,
    );
    let out = subject.take(&payload(&[
        ("h", "otelcol_process_runtime_total_sys_memory_bytes", "", 0, 1.5e7),
        ("h", "http_request_duration_ms", "service=a", 0, 12.0),
        ("h", "grpc_request_duration_ms", "service=a", 0, 30.0),
        ("h", "unrelated", "", 0, 1.0),
    ]));
    let expected = [
        ("host.name=h | otelcol_process_runtime_total_sys_memory_bytes.predicted{}", 3e7),
        ("host.name=h | total_request_duration_ms{service=a}", 42.0),
    ];
    assert_eq!(values(&out), pairs(&expected));
}

/// Defect 1: eight CPU series gave one value with the first one's attributes.
#[test]
fn every_series_of_a_metric_gets_its_own_result() {
    let mut subject = subject(SCALE);
    let input: Vec<(String, f64)> = (0..8).map(|i| (format!("cpu={i}"), f64::from(i))).collect();
    let list: Vec<_> = input.iter().map(|(a, v)| ("h", "cpu", a.as_str(), 1, *v)).collect();
    let out = subject.take(&payload(&list));
    let expected: Vec<(String, f64)> =
        input.iter().map(|(a, v)| (format!("host.name=h | cpu.scaled{{{a}}}"), v * 2.0)).collect();
    assert_eq!(values(&out), expected);
    assert!(out.iter().all(|point| point.time == T0 + SECOND), "the input's time");
}

/// Defect 2: a second rule with the same model got the first one's inputs and parameters.
#[test]
fn rules_with_the_same_model_share_nothing() {
    let mut subject = subject(
        r#"
rules:
  - {model_name: scale, inputs: [a], parameters: {scale_factor: 2}}
  - {model_name: scale, inputs: [b], parameters: {scale_factor: 3}}
  - {name: x, model_name: holt_winters, inputs: [a], parameters: {min_points: 2}}
  - {name: y, model_name: holt_winters, inputs: [a], parameters: {min_points: 5}}
"#,
    );
    let out = subject.take(&payload(&[("h", "a", "", 0, 1.0), ("h", "b", "", 0, 1.0)]));
    let expected = [("host.name=h | a.scaled{}", 2.0), ("host.name=h | b.scaled{}", 3.0)];
    assert_eq!(values(&out), pairs(&expected));
    for i in 1..6 {
        subject.take(&payload(&[("h", "a", "", i, 1.0)]));
    }
    assert_eq!(subject.skipped("x", "cold_start"), 2.0);
    assert_eq!(subject.skipped("y", "cold_start"), 5.0);
}

/// Defect 3: of several hosts in one batch only the last was inferred.
#[test]
fn every_host_gets_its_own_results() {
    let mut subject = subject(SCALE);
    let out = subject.take(&payload(&[
        ("h1", "cpu", "", 0, 1.0),
        ("h2", "cpu", "", 0, 2.0),
        ("h3", "cpu", "", 0, 3.0),
    ]));
    let expected = [
        ("host.name=h1 | cpu.scaled{}", 2.0),
        ("host.name=h2 | cpu.scaled{}", 4.0),
        ("host.name=h3 | cpu.scaled{}", 6.0),
    ];
    assert_eq!(values(&out), pairs(&expected));
}

/// Defect 4: nothing was remembered from one batch to the next.
#[test]
fn a_forecast_remembers_what_came_in_earlier_batches() {
    let mut subject = subject("rules: [{model_name: holt_winters, inputs: [cpu]}]");
    for i in 0..10 {
        assert_eq!(subject.take(&payload(&[("h", "cpu", "core=1", i, 5.0)])), []);
    }
    assert_eq!(subject.skipped("holt_winters#0", "cold_start"), 10.0);
    let out = subject.take(&payload(&[("h", "cpu", "core=1", 10, 5.0)]));
    let expected = [
        ("host.name=h | cpu.lower{core=1}", 5.0),
        ("host.name=h | cpu.predicted{core=1}", 5.0),
        ("host.name=h | cpu.upper{core=1}", 5.0),
    ];
    assert_eq!(values(&out), pairs(&expected));
}

#[test]
fn results_name_the_model_and_keep_unit_scope_and_attribute_types() {
    let mut subject = subject(
        "rules: [{model_name: scale, model_version: v3, inputs: [mem], parameters: {scale_factor: 1}}]",
    );
    let mut writer = Writer::new();
    writer.resource(|r| r.int("pid", 7));
    writer.scope("lib", "9");
    writer.gauge("mem", "By", "memory", |p| {
        p.int(T0, 42, |a| {
            a.int("n", 5);
            a.str("otel.inference.model.name", "an earlier one");
        });
    });
    let meta = Arc::new(Meta::default());
    let out = subject.stage.observe(&writer.finish(), &meta).unwrap();
    let resource = out.metrics().next().unwrap();
    assert_eq!(resource.attr("pid").unwrap().as_int(), Some(7));
    let scope = resource.scopes().next().unwrap();
    assert_eq!((scope.name(), scope.version()), ("lib", "9"));
    let metric = scope.metrics().next().unwrap();
    assert_eq!((metric.name(), metric.unit()), ("mem.scaled", "By"));
    assert_eq!(metric.description(), "Inference result from model scale");
    let point = numbers(metric.data()).unwrap().next().unwrap();
    assert_eq!(point.attrs().count(), 3);
    assert_eq!(point.attrs().get("n").unwrap().as_int(), Some(5));
    let text = |key| point.attrs().get(key).unwrap().as_str().unwrap();
    assert_eq!(text("otel.inference.model.name"), "scale");
    assert_eq!(text("otel.inference.model.version"), "v3");
    assert_eq!(point.value(), Some(Number::Double(42.0)));
}

#[test]
fn names_types_units_and_order_of_outputs_follow_the_configuration() {
    let names = |outputs: &str, naming: &str| {
        let yaml = format!(
            "naming: {naming}\nrules: [{{model_name: holt_winters, inputs: [app.cpu.load], \
             parameters: {{min_points: 2}}, {outputs}}}]"
        );
        let mut subject = subject(&yaml);
        (0..2).for_each(|i| drop(subject.take(&payload(&[("h", "app.cpu.load", "", i, 5.4)]))));
        let out = subject.take(&payload(&[("h", "app.cpu.load", "", 2, 5.4)]));
        out.into_iter()
            .map(|p| (p.series.replace("host.name=h | ", ""), p.value))
            .collect::<Vec<_>>()
    };
    let series = |outputs: &str, naming: &str| -> Vec<String> {
        names(outputs, naming).into_iter().map(|(series, _)| series).collect()
    };
    let default = ["app.cpu.load.predicted{}", "app.cpu.load.lower{}", "app.cpu.load.upper{}"];
    assert_eq!(series("outputs: []", "{}"), default);
    assert_eq!(series("outputs: [{name: x}, {name: y}]", "{}"), ["x{}", "y{}"]);
    assert_eq!(series("outputs: [{name: upper}]", "{}"), ["upper{}"], "found by its name");
    let upper = names("outputs: [{name: top, output_index: 2, data_type: int}]", "{}");
    assert_eq!(upper, [("top{}".to_owned(), Number::Int(5))]);
    assert_eq!(series("outputs: [{name: x, output_index: 9}]", "{}"), [""; 0]);
    assert_eq!(series("outputs: [{name: '{input}.p'}]", "{}"), ["app.cpu.load.p{}"]);
    assert_eq!(series("outputs: [{name: x}]", "{mode: intelligent}"), ["cpu_load.x{}"]);
    let pattern = "output_pattern: 'ml.{model}.{output}', outputs: [{name: x}]";
    assert_eq!(series(pattern, "{}"), ["ml.holt_winters.x{}"]);
}

#[test]
fn points_without_a_number_are_skipped_and_counted() {
    let mut subject = subject(SCALE);
    let mut writer = Writer::new();
    writer.gauge("cpu", "", "", |p| {
        p.none(T0, |_| ());
        p.double(T0, f64::NAN, |_| ());
        p.double(0, 4.0, |_| ());
    });
    let out = subject.take(&writer.finish());
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].time, T0, "a point without a time was observed now");
    assert_eq!(subject.skipped("simple-scale#0", "no_value"), 2.0);

    writer.histogram("cpu", "", "", Temporality::Delta, |p| {
        p.histogram(T0, &Default::default(), |_| ());
    });
    assert_eq!(subject.take(&writer.finish()), []);
    assert_eq!(subject.skipped("simple-scale#0", "unsupported_type"), 1.0);
}

#[test]
fn several_points_of_a_series_in_one_batch_are_taken_in_order_of_time() {
    let batch =
        payload(&[("h", "cpu", "", 3, 3.0), ("h", "cpu", "", 1, 1.0), ("h", "cpu", "", 2, 2.0)]);
    for (mode, expected) in [
        ("{}", vec![2.0, 4.0, 6.0]),
        ("{mode: all}", vec![2.0, 4.0, 6.0]),
        ("{mode: latest}", vec![6.0]),
        ("{mode: window, window_size: 2}", vec![4.0, 6.0]),
    ] {
        let mut subject = subject(&format!("data_handling: {mode}{SCALE}"));
        let got: Vec<f64> = subject.take(&batch).iter().map(|p| p.value.as_f64()).collect();
        assert_eq!(got, expected, "{mode}");
    }
    let mut forecast = subject("rules: [{model_name: holt_winters, inputs: [cpu]}]");
    forecast.take(&batch);
    assert_eq!(forecast.skipped("holt_winters#0", "out_of_order"), 0.0);
    forecast.take(&batch);
    assert_eq!(forecast.skipped("holt_winters#0", "out_of_order"), 3.0);
}

#[test]
fn a_replay_rebuilds_state_and_writes_nothing() {
    let mut subject = subject("rules: [{model_name: holt_winters, inputs: [cpu]}]");
    for i in 0..20 {
        assert_eq!(subject.take_as(&payload(&[("h", "cpu", "", i, 5.0)]), true), []);
    }
    let out = subject.take(&payload(&[("h", "cpu", "", 20, 5.0)]));
    assert_eq!(out.len(), 3, "warm from the replay");
}

#[test]
fn series_beyond_the_limit_make_room_and_start_cold() {
    let mut subject = subject(
        "state: {max_series: 2, ttl: 1h}\nrules: [{model_name: holt_winters, inputs: [cpu], parameters: {min_points: 2}}]",
    );
    let mut feed =
        |attrs: &str, i: u64| subject.take(&payload(&[("h", "cpu", attrs, i, 5.0)])).len();
    for i in 0..4 {
        feed("s=a", i);
        feed("s=b", i);
    }
    assert_eq!(feed("s=a", 9), 3);
    assert_eq!(feed("s=c", 9), 0, "takes the place of b");
    assert_eq!(feed("s=a", 10), 3, "a is still warm");
    assert_eq!(feed("s=b", 10), 0, "b starts cold");
    let series =
        subject.telemetry.value("foreglow_inference_series", &[("rule", "holt_winters#0")]);
    assert_eq!(series, Some(2.0));
}

#[test]
fn series_that_the_same_batch_uses_are_never_mixed_up() {
    let mut subject = subject(&format!("state: {{max_series: 2}}{SCALE}"));
    let out = subject.take(&payload(&[
        ("h", "cpu", "s=a", 0, 1.0),
        ("h", "cpu", "s=b", 0, 2.0),
        ("h", "cpu", "s=c", 0, 3.0),
    ]));
    let expected = [("host.name=h | cpu.scaled{s=a}", 2.0), ("host.name=h | cpu.scaled{s=b}", 4.0)];
    assert_eq!(values(&out), pairs(&expected));
    assert_eq!(subject.skipped("simple-scale#0", "series_limit"), 1.0);
}

#[test]
fn unseen_series_are_forgotten_after_their_time() {
    let mut subject = subject(
        "state: {ttl: 60}\nrules: [{model_name: holt_winters, inputs: [cpu], parameters: {min_points: 2}}]",
    );
    for i in 0..4 {
        subject.take(&payload(&[("h", "cpu", "s=a", i, 5.0), ("h", "cpu", "s=b", i, 5.0)]));
    }
    subject.clock.advance(Duration::from_secs(61));
    subject.take(&payload(&[("h", "cpu", "s=a", 61, 5.0)]));
    subject.take(&payload(&[("h", "cpu", "s=a", 62, 5.0)]));
    let series =
        subject.telemetry.value("foreglow_inference_series", &[("rule", "holt_winters#0")]);
    assert_eq!(series, Some(1.0));
}

struct Fragile(bool);

impl Model for Fragile {
    fn outputs(&self) -> &[&'static str] {
        &["out"]
    }
    fn infer(&mut self, rows: &Rows, out: &mut Outputs) {
        assert!(!std::mem::replace(&mut self.0, false), "boom");
        out.reset(self.outputs(), rows.len());
        out.columns[0].values.copy_from_slice(&rows.inputs[0]);
    }
}

#[test]
fn a_model_that_panics_is_counted_and_made_anew() {
    let mut subject = subject(&format!("{SCALE}\n  - {{model_name: sum, inputs: [cpu]}}"));
    let made = std::sync::atomic::AtomicU32::new(0);
    let fragile = Embedded::new(Box::new(move || {
        let first = made.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        Ok(Box::new(Fragile(first)))
    }));
    subject.stage.rules[0].1 = Engine::Embedded(Box::new(fragile.unwrap()));
    let batch = payload(&[("h", "cpu", "", 0, 1.0)]);
    let other_rule = [("host.name=h | cpu.sum{}", 1.0)];
    assert_eq!(values(&subject.take(&batch)), pairs(&other_rule));
    assert_eq!(subject.requests("simple-scale#0", "simple-scale", "panic"), 1.0);
    assert_eq!(subject.take(&batch).len(), 2, "the next batch is answered");
}

#[test]
fn requests_points_and_time_are_counted() {
    let mut subject = subject(SCALE);
    subject.take(&payload(&[("h", "cpu", "a=1", 0, 1.0), ("h", "cpu", "a=2", 0, 1.0)]));
    assert_eq!(subject.requests("simple-scale#0", "simple-scale", "ok"), 1.0);
    let labels = [("rule", "simple-scale#0"), ("model", "simple-scale")];
    assert_eq!(subject.telemetry.value("foreglow_inference_points_total", &labels), Some(2.0));
    let labels = [("model", "simple-scale")];
    assert_eq!(subject.telemetry.value("foreglow_inference_duration_seconds", &labels), Some(1.0));
}
