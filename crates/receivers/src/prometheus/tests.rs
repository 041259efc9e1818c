// SPDX-License-Identifier: Apache-2.0

use std::sync::Arc;

use otlp_wire::{Data, Payload, PointView};
use pipeline::config::from_yaml;
use pipeline::relabel::Relabel;

use super::Config;
use super::discovery::{Discovery, Found};
use super::endpoint::Endpoint;
use super::page::Format;
use super::target::{Facts, Identity, Page, Target};

const SECOND: u64 = 1_000_000_000;

fn config(job: &str) -> Config {
    let yaml = format!("config: {{scrape_configs: [{{job_name: shop, {job}}}]}}");
    from_yaml(&yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

/// A target of a job with these keys.
fn target_of(job: &str) -> Target {
    let config = config(job);
    let (job, global) = (&config.config.scrape_configs[0], &config.config.global);
    let rules = super::rules(&config, job, global).expect("compiles");
    Target::new(Arc::new(rules), identity(&[("env", "prod")]))
}

fn target() -> Target {
    target_of("scheme: http")
}

fn identity(labels: &[(&str, &str)]) -> Identity {
    let own = [("job", "shop"), ("instance", "shop.test:9090")];
    let labels = own.iter().chain(labels).copied().collect();
    Identity { labels, scheme: "http".into(), timeout: 10.0 }
}

#[test]
fn classic_histograms_are_marked_as_native_ones_when_they_are_to_be_converted() {
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 9\nh_count 3\n\
                # TYPE c counter\nc 1\n";
    let convert = "convert_classic_histograms_to_nhcb: true";
    for (job, expected) in [
        ("scheme: http", false),
        (convert, true),
        (&*format!("{convert}, always_scrape_classic_histograms: true"), false),
    ] {
        let page = Page { bytes: page.as_bytes(), format: Format::Text };
        let payload = target_of(job).observe(Some(page), Facts { time: SECOND, seconds: 0.25 }).0;
        let metrics = payload.metrics().flat_map(|r| r.scopes()).flat_map(|s| s.metrics());
        let marked: Vec<&str> = metrics
            .filter(|metric| metric.metadata().into_iter().any(|(key, _)| key == otlp_wire::NHCB))
            .map(|metric| metric.name())
            .collect();
        assert_eq!(marked, if expected { vec!["h"] } else { vec![] }, "{job}");
    }
}

fn observe(target: &mut Target, text: Option<&str>, seconds: u64) -> Vec<String> {
    let openmetrics = text.is_some_and(|text| text.ends_with("# EOF\n"));
    let format = if openmetrics { Format::OpenMetrics } else { Format::Text };
    let page = text.map(|text| Page { bytes: text.as_bytes(), format });
    shown(&target.observe(page, Facts { time: seconds * SECOND, seconds: 0.25 }).0)
}

/// What is on the page, without what is told about the scrape.
fn points(target: &mut Target, text: &str, seconds: u64) -> Vec<String> {
    let mut all = observe(target, Some(text), seconds);
    all.retain(|line| !line.starts_with("up{") && !line.starts_with("scrape_"));
    all
}

/// `name{labels} value @time/start` of every point, `stale` where it has no value.
fn shown(payload: &Payload) -> Vec<String> {
    let mut out = Vec::new();
    for metric in payload.metrics().flat_map(|r| r.scopes()).flat_map(|s| s.metrics()) {
        let name = metric.name();
        match metric.data() {
            Data::Gauge { points } | Data::Sum { points, .. } => {
                for point in points {
                    let value = point.value().map(|v| v.as_f64().to_string());
                    out.push(show(name, &point, value.unwrap_or_default()));
                }
            }
            Data::Histogram { points, .. } => {
                for point in points {
                    let bounds: Vec<f64> = point.explicit_bounds().collect();
                    let counts: Vec<u64> = point.bucket_counts().collect();
                    let value =
                        format!("{} {bounds:?} {counts:?} {:?}", point.count(), point.sum());
                    out.push(show(name, &point, value));
                }
            }
            Data::ExponentialHistogram { points, .. } => {
                for point in points {
                    out.push(show(name, &point, format!("native {}", point.count())));
                }
            }
            Data::Summary { points } => {
                for point in points {
                    out.push(show(name, &point, format!("{} {}", point.count(), point.sum())));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    out
}

fn show<'a>(name: &str, point: &impl PointView<'a>, value: String) -> String {
    let labels: Vec<String> =
        point.attrs().iter().map(|(k, v)| format!("{k}={}", v.text())).collect();
    let value = if point.no_recorded_value() { "stale".to_owned() } else { value };
    let (time, start) = (point.time() / SECOND, point.start() / SECOND);
    format!("{name}{{{}}} {value} @{time}/{start}", labels.join(","))
}

#[test]
fn a_target_tells_its_points_and_about_itself() {
    let mut target = target();
    let page = "# TYPE a_total counter\na_total{env=\"dev\",x=\"1\"} 5\nb{job=\"other\"} 1 90000\n";
    assert_eq!(
        observe(&mut target, Some(page), 100),
        [
            "a_total{env=prod,exported_env=dev,x=1} 5 @100/0",
            "b{env=prod,exported_job=other} 1 @90/0",
            "up{env=prod} 1 @100/0",
            "scrape_duration_seconds{env=prod} 0.25 @100/0",
            "scrape_samples_scraped{env=prod} 2 @100/0",
            "scrape_samples_post_metric_relabeling{env=prod} 2 @100/0",
            "scrape_series_added{env=prod} 2 @100/0",
        ]
    );
    assert_eq!(observe(&mut target, Some(page), 110)[6], "scrape_series_added{env=prod} 0 @110/0");
}

#[test]
fn the_resource_is_the_target_and_what_it_says_about_itself() {
    let mut target = target();
    let page = Page { bytes: b"a 1\ntarget_info{build=\"7\"} 1", format: Format::Text };
    let (payload, _) = target.observe(Some(page), Facts { time: SECOND, seconds: 0.0 });
    let resource = payload.metrics().next().expect("one");
    let attrs: Vec<_> = resource.attrs().iter().map(|(k, v)| format!("{k}={}", v.text())).collect();
    assert_eq!(
        attrs,
        [
            "service.name=shop",
            "server.address=shop.test",
            "service.instance.id=shop.test:9090",
            "server.port=9090",
            "url.scheme=http",
            "build=7",
            "env=prod",
        ]
    );
}

#[test]
fn each_type_becomes_its_point() {
    let mut target = target_of("honor_labels: true");
    let text = "# TYPE http_requests_total counter\nhttp_requests_total{code=\"200\"} 3\n\
        # TYPE temp gauge\ntemp -1.5\nfree 2\n\
        # TYPE lat histogram\nlat_bucket{le=\"0.5\"} 1\nlat_bucket{le=\"+Inf\"} 3\nlat_bucket{le=\"1\"} 2\nlat_sum 4.5\nlat_count 3\n\
        # TYPE q summary\nq{quantile=\"0.5\"} 7\nq_sum 9\nq_count 2\n\
        # TYPE nocount histogram\nnocount_sum 1\n";
    assert_eq!(
        points(&mut target, text, 5),
        [
            "http_requests_total{code=200,env=prod} 3 @5/0",
            "temp{env=prod} -1.5 @5/0",
            "free{env=prod} 2 @5/0",
            "lat{env=prod} 3 [0.5, 1.0] [1, 1, 1] Some(4.5) @5/0",
            "q{env=prod} 2 9 @5/0",
        ]
    );
}

#[test]
fn openmetrics_types_and_created_lines_are_those_of_the_collector() {
    let text = "# TYPE o counter\no_total{a=\"1\"} 5\no_created{a=\"1\"} 3.5\n\
        # TYPE build info\nbuild_info{v=\"2\"} 1\n\
        # TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_created 4\n# EOF\n";
    assert_eq!(
        points(&mut target(), text, 5),
        [
            "o_total{a=1,env=prod} 5 @5/3",
            "build{env=prod,v=2} 1 @5/0",
            "h{env=prod} 2 [] [2] None @5/4",
        ]
    );
}

#[test]
fn samples_of_a_histogram_need_not_stand_together() {
    let text = "# TYPE h histogram\nh_count{a=\"1\"} 1\nh_count{a=\"2\"} 2\n\
        h_bucket{a=\"2\",le=\"1\"} 2\nh_bucket{a=\"1\",le=\"1\"} 0\n";
    assert_eq!(
        points(&mut target(), text, 5),
        ["h{a=1,env=prod} 1 [1.0] [0, 1] None @5/0", "h{a=2,env=prod} 2 [1.0] [2, 0] None @5/0",]
    );
}

#[test]
fn what_vanishes_is_marked_stale_once() {
    let mut target = target();
    let both = "a 1\nt 1 5000\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_count 1\n";
    observe(&mut target, Some(both), 10);
    assert_eq!(
        points(&mut target, "a 1\n", 20),
        ["a{env=prod} 1 @20/0", "h{env=prod} stale @20/0"]
    );
    assert_eq!(observe(&mut target, Some("a 1\n"), 30).len(), 6);
    let failed = observe(&mut target, None, 40);
    assert_eq!(failed[..2], ["a{env=prod} stale @40/0", "up{env=prod} 0 @40/0"]);
    assert_eq!(observe(&mut target, None, 50).len(), 5);
    // It was not forgotten while the target was away.
    assert_eq!(observe(&mut target, Some("a 1\n"), 60)[5], "scrape_series_added{env=prod} 0 @60/0");
}

#[test]
fn a_target_that_goes_ends_all_it_told() {
    let mut target = target();
    assert!(target.end(SECOND).is_none(), "it never told anything");
    observe(&mut target, Some("a 1\n"), 10);
    let last = shown(&target.end(20 * SECOND).expect("something ends"));
    assert_eq!(last[..2], ["a{env=prod} stale @20/0", "up{env=prod} stale @20/0"]);
    assert_eq!(last.len(), 6);
}

#[test]
fn half_a_page_is_no_page() {
    let mut target = target();
    let broken = "a 1\nb x\n";
    let shown = observe(&mut target, Some(broken), 10);
    assert_eq!(shown[0], "up{env=prod} 0 @10/0");
    assert_eq!(shown[2], "scrape_samples_scraped{env=prod} 1 @10/0");
    // What was before the mistake was never told, so it does not end either.
    assert_eq!(observe(&mut target, None, 20).len(), 5);
}

#[test]
fn rules_and_limits_act_on_samples_with_all_their_labels() {
    let page = "a{x=\"1\"} 1\nb{x=\"2\"} 2\n";
    for (job, expected) in [
        (
            "metric_relabel_configs: [{source_labels: [__name__, env], regex: 'a;prod', action: drop}]",
            "b{env=prod,x=2} 2 @5/0",
        ),
        (
            "metric_relabel_configs: [{regex: x, action: labeldrop}]",
            "a{env=prod} 1 @5/0|b{env=prod} 2 @5/0",
        ),
        (
            "metric_relabel_configs: [{source_labels: [x], target_label: __name__, replacement: 'n_$$1'}]",
            "n_1{env=prod,x=1} 1 @5/0|n_2{env=prod,x=2} 2 @5/0",
        ),
        ("sample_limit: 2", "a{env=prod,x=1} 1 @5/0|b{env=prod,x=2} 2 @5/0"),
        ("sample_limit: 1", ""),
        ("label_limit: 5", "a{env=prod,x=1} 1 @5/0|b{env=prod,x=2} 2 @5/0"),
        ("label_limit: 4", ""),
        ("label_name_length_limit: 7", ""),
        ("label_value_length_limit: 13", ""),
        ("label_value_length_limit: 14", "a{env=prod,x=1} 1 @5/0|b{env=prod,x=2} 2 @5/0"),
    ] {
        assert_eq!(points(&mut target_of(job), page, 5).join("|"), expected, "{job}");
    }
}

#[test]
fn scopes_and_other_instances_get_groups_of_their_own() {
    let mut target = target_of("honor_labels: true");
    let text = "a{otel_scope_name=\"lib\",otel_scope_version=\"2\",otel_scope_tier=\"gold\"} 1\n\
        b{job=\"other\",instance=\"x:1\"} 2\nc 3\n";
    let page = Page { bytes: text.as_bytes(), format: Format::Text };
    let (payload, _) = target.observe(Some(page), Facts { time: SECOND, seconds: 0.0 });
    let mut groups = Vec::new();
    for resource in payload.metrics() {
        for scope in resource.scopes() {
            let names: Vec<_> = scope.metrics().map(|m| m.name().to_owned()).collect();
            let scope = scope.scope();
            let tier = scope.attrs().get("tier").map(|v| v.text().into_owned());
            let job = resource.attr("service.name").map(|v| v.text().into_owned());
            groups.push(format!("{job:?} {} {tier:?} {}", scope.name(), names[0]));
        }
    }
    assert_eq!(
        groups,
        [
            "Some(\"shop\") foreglow/receivers/prometheus None c",
            "Some(\"shop\") lib Some(\"gold\") a",
            "Some(\"other\") foreglow/receivers/prometheus None b",
        ]
    );
}

fn endpoint(job: &str, labels: &[(&str, &str)]) -> Result<Option<Endpoint>, String> {
    let config = config(job);
    let (job, global) = (&config.config.scrape_configs[0], &config.config.global);
    let relabel = Relabel::new(&job.relabel_configs).expect("compiles");
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let found = Found { address: "host:80".into(), labels };
    Endpoint::new(job, global, &relabel, &found).map_err(|e| e.to_string())
}

#[test]
fn targets_are_made_of_labels_and_rules() {
    for (job, uri, labels) in [
        (
            "params: {q: [a, 'b c']}",
            "http://host:80/metrics?q=a&q=b%20c",
            "instance=host:80 job=shop team=x",
        ),
        (
            "metrics_path: /m?a=b, params: {q: [c]}",
            "http://host:80/m?a=b&q=c",
            "instance=host:80 job=shop team=x",
        ),
        (
            "relabel_configs: [{source_labels: [__address__], regex: '(.*):.*', target_label: host, replacement: '$$1'}, {target_label: __address__, replacement: 'other:90'}, {target_label: __metrics_path__, replacement: /p}, {target_label: __param_x, replacement: y}]",
            "http://other:90/p?x=y",
            "host=host instance=other:90 job=shop team=x",
        ),
        (
            "relabel_configs: [{source_labels: [__meta_a], target_label: a}]",
            "http://host:80/metrics",
            "a=m instance=host:80 job=shop team=x",
        ),
    ] {
        let labelled = [("team", "x"), ("__meta_a", "m")];
        let endpoint = endpoint(job, &labelled).expect(job).expect("kept");
        assert_eq!(endpoint.uri.to_string(), uri);
        let found: Vec<_> =
            endpoint.identity.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(found.join(" "), labels, "{job}");
    }
    let dropped = "relabel_configs: [{source_labels: [team], regex: x, action: drop}]";
    assert!(endpoint(dropped, &[("team", "x")]).expect("no mistake").is_none());
    for (rule, told) in [
        ("{target_label: __address__, replacement: ''}", "no address"),
        ("{target_label: __scrape_interval__, replacement: x}", "__scrape_interval__ is \"x\""),
        ("{target_label: __scrape_timeout__, replacement: 2h}", "timeout cannot be greater"),
    ] {
        let said = endpoint(&format!("relabel_configs: [{rule}]"), &[]).expect_err(rule);
        assert!(said.contains(told), "{rule}: {said}");
    }
}

#[test]
fn files_of_targets_are_read_again_when_they_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("a.json"), r#"[{"targets":["a:1"],"labels":{"env":"x"}}]"#)
        .expect("written");
    std::fs::write(path("b.yml"), "- targets: ['b:1', 'b:2']\n").expect("written");
    std::fs::write(path("ignored.txt"), "x").expect("written");
    let files = format!("['{0}/*.json', '{0}/*.yml']", folder.path().display());
    let config = config(&format!(
        "static_configs: [{{targets: [s:1]}}], file_sd_configs: [{{files: {files}}}]"
    ));
    let mut discovery = Discovery::new(&config.config.scrape_configs[0]);
    let mut look = || {
        let found = discovery.look()?;
        Some(found.iter().map(|found| found.address.clone()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(look().as_deref(), Some("s:1 a:1 b:1 b:2"));
    assert_eq!(look(), None, "nothing has changed");
    std::fs::write(path("b.yml"), "- targets: ['b:33']\n").expect("written");
    assert_eq!(look().as_deref(), Some("s:1 a:1 b:33"));
    std::fs::write(path("a.json"), "half a fi").expect("written");
    assert_eq!(look(), None, "a broken file keeps what it had");
    std::fs::remove_file(path("a.json")).expect("removed");
    assert_eq!(look().as_deref(), Some("s:1 b:33"));
}

#[test]
fn the_files_labels_and_its_path_are_the_targets() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.json");
    std::fs::write(&file, r#"[{"targets":["a:1"],"labels":{"env":"x"}}]"#).expect("written");
    let config = config(&format!("file_sd_configs: [{{files: ['{}']}}]", file.display()));
    let mut discovery = Discovery::new(&config.config.scrape_configs[0]);
    let found = discovery.look().expect("found");
    let path = file.display().to_string();
    let labels = vec![("env".into(), "x".into()), ("__meta_filepath".into(), path)];
    assert_eq!(found, [Found { address: "a:1".into(), labels }]);
}

#[test]
fn what_is_wrong_or_missing_is_told_by_name() {
    for (job, told) in [
        (
            "kubernetes_sd_configs: [{role: pod}]",
            "kubernetes_sd_configs is not supported yet; use static_configs",
        ),
        ("http_sd_configs: []", "http_sd_configs is not supported yet"),
        ("oauth2: {}", "oauth2 is not supported yet"),
        ("authorization: {credentials_file: /nowhere}", "cannot read /nowhere"),
        ("bearer_token_file: /nowhere", "cannot read /nowhere"),
        ("static_configs: [{targets: ['http://a']}]", "is not a valid hostname"),
        ("scrape_interval: 1s, scrape_timeout: 2s", "scrape timeout greater than scrape interval"),
        ("scrape_protocols: []", "scrape_protocols cannot be empty"),
        ("scrape_protocols: [PrometheusProto, PrometheusProto]", "duplicated protocol"),
        ("scrape_protocols: [Nothing]", "Nothing"),
        ("bearer_token: a, basic_auth: {username: b}", "at most one of basic_auth"),
        ("authorization: {type: Basic, credentials: a}", "use \"basic_auth\""),
        ("http_headers: {Host: {values: [a]}}", "setting header \"Host\" is not allowed"),
        ("file_sd_configs: [{files: ['*/a.json']}]", "is not valid for file discovery"),
        ("file_sd_configs: [{files: ['a.txt']}]", "is not valid for file discovery"),
        ("relabel_configs: [{action: hashmod, target_label: a}]", "requires non-zero modulus"),
        ("nothing: 1", "nothing"),
    ] {
        let yaml = format!("config: {{scrape_configs: [{{job_name: shop, {job}}}]}}");
        let said = from_yaml::<Config>(&yaml).expect_err(job);
        assert!(said.contains(told), "{job}: {said}");
    }
}

#[test]
fn the_api_is_refused_only_when_it_is_asked_for() {
    let jobs = "config: {scrape_configs: [{job_name: a}]}";
    from_yaml::<Config>(&format!("{{api_server: {{enabled: false}}, {jobs}}}")).expect("off");
    let told = from_yaml::<Config>(&format!("{{api_server: {{enabled: true}}, {jobs}}}"));
    assert!(told.expect_err("on").contains("api_server::enabled: enabled is not supported yet"));
}

#[test]
fn jobs_may_stand_in_files_of_their_own_where_a_dollar_has_no_meaning() {
    let folder = tempfile::tempdir().expect("temp dir");
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write(
        "a.yml",
        "scrape_configs: [{job_name: a, relabel_configs: [{source_labels: [x], regex: '(.*)', target_label: y, replacement: '${1}$1'}]}]",
    );
    write("b.yml", "scrape_configs: [{job_name: b, scrape_interval: 5s}]");
    write("c.yaml", "scrape_configs: [{job_nam: c}]");
    let config = |files: &str| {
        let files = files.replace('@', &folder.path().display().to_string());
        let yaml = format!(
            "config: {{scrape_configs: [{{job_name: here}}], scrape_config_files: [{files}]}}"
        );
        pipeline::config::from_yaml::<Config>(&yaml)
    };
    let found = config("'@/*.yml', '@/none.yml'").expect("valid").config.jobs().expect("read");
    let names: Vec<_> = found.iter().map(|job| job.job_name.as_str()).collect();
    assert_eq!(names, ["here", "a", "b"]);
    assert_eq!(found[1].relabel_configs[0].replacement, "${1}$1");
    let told = config("'@/c.yaml'").expect_err("misspelt");
    assert!(told.contains("c.yaml") && told.contains("job_nam"), "{told}");
    let told = config("'@/a.yml', '@/a.yml'").expect_err("twice");
    assert!(told.contains("found multiple scrape configs with job name \"a\""), "{told}");
    let alone = format!("config: {{scrape_config_files: ['{}/b.yml']}}", folder.path().display());
    assert!(pipeline::config::from_yaml::<Config>(&alone).is_ok());
}
