// SPDX-License-Identifier: Apache-2.0

use pipeline::config::shared::HttpServer;
use std::time::Duration;

use basics::Clock;
use http::HeaderMap;
use otlp_series::Refusal;
use otlp_wire::write::{AttrWriter, ExponentialBuckets, ExponentialHistogram, Histogram, Metrics};
use otlp_wire::{Number, Payload, Temporality};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::accept::Wanted;
use super::page::Pages;
use super::server::{Offer, serve};
use super::text::Form;
use super::*;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;
const TEXT: Form = Form { open_metrics: false, utf8: false };
const OPEN: Form = Form { open_metrics: true, utf8: false };

fn config(json: &str) -> Config {
    serde_json::from_str(json).expect("valid")
}

fn payload(write: impl FnOnce(&mut Metrics)) -> Payload {
    let mut out = Metrics::new();
    out.resource(|attrs| {
        attrs.str("service.namespace", "shop");
        attrs.str("service.name", "api-service");
        attrs.str("service.instance.id", "i1");
        attrs.str("host.name", "h");
        attrs.str("environment", "prod");
    });
    out.scope("lib", "1");
    write(&mut out);
    out.finish()
}

struct Shown {
    pages: Arc<Pages>,
    clock: Clock,
}

impl Shown {
    fn new(json: &str) -> Self {
        let clock = Clock::manual(1_700_000_000 * S);
        clock.advance(Duration::from_secs(1000));
        Shown { pages: Arc::new(Pages::new(&config(json), clock.clone())), clock }
    }

    fn take(&self, write: impl FnOnce(&mut Metrics)) -> otlp_series::Report {
        self.pages.take(&payload(write))
    }

    async fn page(&self, form: Form) -> String {
        let body = self.pages.page(form, false).await;
        String::from_utf8(body.to_vec()).expect("UTF-8")
    }

    /// Lines that begin with `name`.
    async fn lines(&self, name: &str) -> Vec<String> {
        let page = self.page(TEXT).await;
        page.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }
}

/// What the collector's page was measured to be, see the golden page below.
fn measured(out: &mut Metrics) {
    let attrs = |attrs: &mut AttrWriter<'_>| {
        attrs.int("http.status_code", 200);
        attrs.str("data_plane_id", "dp-prod-01");
    };
    let value = Histogram {
        count: 3,
        sum: Some(7.5),
        bucket_counts: &[1, 2],
        explicit_bounds: &[0.5],
        ..Histogram::default()
    };
    let cumulative = Temporality::Cumulative;
    out.histogram("http.server.duration", "ms", "how long", cumulative, |p| {
        p.histogram(5 * S, &value, attrs);
        let ids = Some(([0xab; 16], [0xcd; 8]));
        p.exemplar(4 * S + 5 * MS, Number::Double(0.4), ids, |a| a.str("k", "v"));
    });
    out.sum("orders.created", "", "", Temporality::Delta, true, |p| p.int(5 * S, 5, attrs));
    out.gauge("mem.util", "1", "a\\b\nc", |p| p.double(5 * S, 0.25, attrs));
}

#[tokio::test]
async fn the_page_is_the_collectors() {
    let shown = Shown::new("{}");
    assert_eq!(shown.take(measured).refused.total(), 0);
    let labels = "data_plane_id=\"dp-prod-01\",http_status_code=\"200\",instance=\"i1\",job=\"shop/api-service\",\
        otel_scope_name=\"lib\",otel_scope_schema_url=\"\",otel_scope_version=\"1\"";
    let name = "http_server_duration_milliseconds";
    let expected = format!(
        "# HELP {name} how long\n# TYPE {name} histogram\n\
         {name}_bucket{{{labels},le=\"0.5\"}} 1\n{name}_bucket{{{labels},le=\"+Inf\"}} 3\n\
         {name}_sum{{{labels}}} 7.5\n{name}_count{{{labels}}} 3\n\
         # HELP mem_util_ratio a\\\\b\\nc\n# TYPE mem_util_ratio gauge\nmem_util_ratio{{{labels}}} 0.25\n\
         # HELP orders_created_total \n# TYPE orders_created_total counter\norders_created_total{{{labels}}} 5\n\
         # HELP target_info Target metadata\n# TYPE target_info gauge\n\
         target_info{{environment=\"prod\",host_name=\"h\",instance=\"i1\",job=\"shop/api-service\"}} 1\n"
    );
    assert_eq!(shown.page(TEXT).await, expected);

    let open = shown.page(OPEN).await;
    assert!(open.ends_with("# EOF\n"), "{open}");
    assert!(open.contains("# TYPE orders_created counter\norders_created_total{"), "{open}");
    let exemplar = format!(
        "le=\"0.5\"}} 1 # {{span_id=\"{}\",trace_id=\"{}\"}} 0.4 4.005\n",
        "cd".repeat(8),
        "ab".repeat(16)
    );
    assert!(open.contains(&exemplar), "{open}");
}

#[tokio::test]
async fn values_of_attributes_are_texts_and_an_empty_one_stays_on_the_page() {
    let shown = Shown::new(r#"{"without_scope_info":true}"#);
    shown.take(|out| {
        out.gauge("g", "{request}", "", |p| {
            p.double(5 * S, 1.0, |attrs| {
                attrs.bool("b", true);
                attrs.int("i", 7);
                attrs.double("d", 0.5);
                attrs.str("none", "");
            });
        });
    });
    let lines = shown.lines("g{").await;
    let expected = r#"g{b="true",d="0.5",i="7",instance="i1",job="shop/api-service",none=""} 1"#;
    assert_eq!(lines, [expected]);
}

#[tokio::test]
async fn keys_change_names_and_labels() {
    let gauge = |out: &mut Metrics| {
        out.gauge("mem.util", "1", "", |p| p.double(5 * S, 0.25, |a| a.str("host.name", "mine")));
    };
    let cases = [
        (
            r#"{"namespace":"ns","without_scope_info":true}"#,
            "ns_mem_util_ratio{host_name=\"mine\",instance=\"i1\",job=\"shop/api-service\"} 0.25",
        ),
        (
            r#"{"add_metric_suffixes":false,"without_scope_info":true}"#,
            "mem_util{host_name=\"mine\",instance=\"i1\",job=\"shop/api-service\"} 0.25",
        ),
        (
            r#"{"translation_strategy":"UnderscoreEscapingWithoutSuffixes","without_scope_info":true,"send_timestamps":true}"#,
            "mem_util{host_name=\"mine\",instance=\"i1\",job=\"shop/api-service\"} 0.25 5000",
        ),
        (
            r#"{"const_labels":{"dc":"x"},"without_scope_info":true}"#,
            "mem_util_ratio{dc=\"x\",host_name=\"mine\",instance=\"i1\",job=\"shop/api-service\"} 0.25",
        ),
        (
            r#"{"resource_to_telemetry_conversion":{"enabled":true,"exclude_service_attributes":true},"without_scope_info":true}"#,
            "mem_util_ratio{environment=\"prod\",host_name=\"h\",instance=\"i1\",job=\"shop/api-service\"} 0.25",
        ),
        (
            r#"{"resource_constant_labels":{"included":["env*","host.?ame"],"excluded":["host*"]},"without_scope_info":true}"#,
            "mem_util_ratio{environment=\"prod\",host_name=\"mine\",instance=\"i1\",job=\"shop/api-service\"} 0.25",
        ),
    ];
    for (json, expected) in cases {
        let shown = Shown::new(json);
        shown.take(gauge);
        let page = shown.page(TEXT).await;
        assert!(page.lines().any(|line| line == expected), "{json}: {page}");
        let info = page.lines().find(|line| line.contains("target_info{")).expect("target_info");
        assert!(!info.contains("dc=") && info.contains("environment=\"prod\""), "{info}");
    }
}

#[tokio::test]
async fn names_in_utf_8_are_quoted_for_those_who_take_them() {
    let json = r#"{"translation_strategy":"NoUTF8EscapingWithSuffixes","without_scope_info":true}"#;
    let shown = Shown::new(json);
    shown.take(|out| {
        out.sum("http.req", "", "", Temporality::Cumulative, true, |p| {
            p.int(5 * S, 1, |a| a.str("a.b", "x\"y"));
        });
    });
    let rest = "instance=\"i1\",job=\"shop/api-service\"";
    let utf8 = shown.page(Form { utf8: true, ..TEXT }).await;
    let expected = format!(
        "# TYPE \"http.req_total\" counter\n{{\"http.req_total\",\"a.b\"=\"x\\\"y\",{rest}}} 1\n"
    );
    assert!(utf8.contains(&expected), "{utf8}");
    let escaped = shown.page(TEXT).await;
    assert!(escaped.contains(&format!("http_req_total{{a_b=\"x\\\"y\",{rest}}} 1\n")), "{escaped}");
}

#[tokio::test]
async fn deltas_are_added_up_while_they_are_contiguous() {
    /// Start and end in seconds, what is added, what is shown then.
    type Step = (u64, u64, u64, &'static str);
    let sum: &[Step] = &[
        (0, 1, 5, "5"),
        (1, 2, 3, "8"),
        (1, 2, 4, "4"),
        (2, 3, 1, "5"),
        (5, 6, 7, "7"),
        (6, 4, 9, "7"),
    ];
    let histogram: &[Step] =
        &[(0, 1, 5, "5"), (1, 2, 3, "8"), (1, 2, 4, "8"), (2, 3, 1, "9"), (5, 6, 7, "7")];
    let shown = Shown::new("{}");
    for (start, end, added, total) in sum {
        shown.take(|out| {
            out.sum("s", "", "", Temporality::Delta, true, |p| {
                p.start(start * S);
                p.int(end * S, *added as i64, |_| {});
            });
        });
        let line = shown.lines("s_total").await.remove(0);
        assert!(line.ends_with(&format!("}} {total}")), "{start}-{end}: {line}");
    }
    for (start, end, added, total) in histogram {
        shown.take(|out| {
            let counts = [*added, 0];
            let value = Histogram {
                count: *added,
                bucket_counts: &counts,
                explicit_bounds: &[1.0],
                ..Histogram::default()
            };
            out.histogram("h", "", "", Temporality::Delta, |p| {
                p.start(start * S);
                p.histogram(end * S, &value, |_| {});
            });
        });
        for line in shown.lines("h_").await {
            assert!(line.ends_with(&format!("}} {total}")), "{start}-{end}: {line}");
        }
    }
    let report = shown.take(|out| {
        out.sum("updown", "", "", Temporality::Delta, false, |p| p.int(S, 1, |_| {}));
    });
    assert_eq!(report.refused.get(Refusal::Temporality), 1);
    assert!(shown.lines("updown").await.is_empty());
}

#[tokio::test]
async fn the_newest_point_decides_which_buckets_there_are() {
    let shown = Shown::new("{}");
    for (time, bounds) in [(1, [1.0, 2.0]), (2, [1.0, 5.0])] {
        shown.take(|out| {
            let value = Histogram {
                count: 3,
                bucket_counts: &[1, 1, 1],
                explicit_bounds: &bounds,
                ..Histogram::default()
            };
            out.histogram("h", "", "", Temporality::Cumulative, |p| {
                p.histogram(time * S, &value, |_| {})
            });
        });
    }
    let lines = shown.lines("h_bucket").await;
    let bounds: Vec<&str> = lines.iter().filter_map(|l| l.split("le=\"").nth(1)).collect();
    assert_eq!(bounds, ["1\"} 1", "5\"} 2", "+Inf\"} 3"]);
}

#[tokio::test]
async fn series_go_when_stale_and_when_nobody_updates_them() {
    let shown = Shown::new(r#"{"metric_expiration":"60s"}"#);
    let gauge = |name: &'static str| {
        move |out: &mut Metrics| out.gauge(name, "", "", |p| p.int(5 * S, 1, |_| {}))
    };
    shown.take(gauge("a"));
    shown.take(gauge("b"));
    shown.take(|out| out.gauge("a", "", "", |p| p.none(6 * S, |_| {})));
    assert!(shown.lines("a{").await.is_empty(), "stale");
    shown.clock.advance(Duration::from_secs(50));
    shown.take(gauge("a"));
    assert_eq!(shown.lines("a{").await.len(), 1, "back again");
    shown.clock.advance(Duration::from_secs(20));
    assert!(shown.lines("b{").await.is_empty(), "expired");
    assert_eq!(shown.lines("a{").await.len(), 1);
    shown.clock.advance(Duration::from_secs(100));
    shown.take(gauge("c"));
    assert_eq!(shown.pages.len(), 2, "what expired is forgotten; target_info and one gauge stay");
    shown.take(gauge("a"));
    assert_eq!(shown.lines("a{").await.len(), 1, "and may come again");
}

#[tokio::test]
async fn the_first_type_of_a_name_stays_and_older_points_are_ignored() {
    let shown = Shown::new("{}");
    shown.take(|out| out.gauge("x", "", "first", |p| p.int(5 * S, 1, |_| {})));
    let report = shown.take(|out| {
        out.gauge("x", "", "second", |p| p.int(4 * S, 2, |_| {}));
        out.sum("x", "", "", Temporality::Cumulative, true, |p| p.int(9 * S, 1, |_| {}));
        let value = Histogram { count: 1, ..Histogram::default() };
        out.histogram("x", "", "", Temporality::Cumulative, |p| p.histogram(9 * S, &value, |_| {}));
    });
    assert_eq!(report.refused.get(Refusal::TypeConflict), 1);
    let page = shown.page(TEXT).await;
    assert!(page.contains("# HELP x first\n# TYPE x gauge\nx{"), "{page}");
    assert!(shown.lines("x{").await[0].ends_with(" 1"), "{page}");
    assert_eq!(shown.lines("x_total{").await.len(), 1, "another name");
}

#[tokio::test]
async fn exponential_histograms_show_count_and_sum() {
    let shown = Shown::new("{}");
    for (start, end) in [(0, 1), (1, 2)] {
        let value = ExponentialHistogram {
            count: 4,
            sum: Some(2.5),
            zero_count: 1,
            positive: ExponentialBuckets { offset: 0, counts: &[3] },
            ..ExponentialHistogram::default()
        };
        shown.take(|out| {
            out.exponential_histogram("e", "", "", Temporality::Delta, |p| {
                p.start(start * S);
                p.exponential_histogram(end * S, &value, |_| {});
            });
        });
    }
    let lines = shown.lines("e_").await;
    let values: Vec<&str> = lines.iter().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(values, ["8", "5", "8"], "{lines:?}");
}

#[tokio::test]
async fn target_info_is_the_newest_of_a_job_and_instance() {
    let shown = Shown::new("{}");
    for host in ["old", "new"] {
        let mut out = Metrics::new();
        out.resource(|attrs| {
            attrs.str("service.name", "a");
            attrs.str("host.name", host);
        });
        out.scope("", "");
        out.gauge("g", "", "", |p| p.int(S, 1, |_| {}));
        shown.pages.take(&out.finish());
    }
    let lines = shown.lines("target_info").await;
    assert_eq!(lines, ["target_info{host_name=\"new\",job=\"a\"} 1"]);
}

#[test]
fn series_are_bounded() {
    let mut table = super::table::Table::new(config("{}").translation());
    table.limit(3);
    let report = table.take(
        &payload(|out| {
            out.gauge("g", "", "", |p| {
                for at in 0..10 {
                    p.int(S, 1, |a| a.int("at", at));
                }
            });
        }),
        0,
    );
    assert_eq!(report.refused.get(Refusal::SeriesLimit), 7);
}

#[test]
fn formats_are_chosen_by_quality() {
    let (text, open) = ("text/plain", "application/openmetrics-text");
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.75,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
    let cases = [
        ("", true, text),
        ("text/html,*/*;q=0.8", true, text),
        (prometheus, true, open),
        (prometheus, false, text),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.3", true, text),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.3", true, text),
        ("application/openmetrics-text;q=0", true, text),
    ];
    for (accept, allowed, expected) in cases {
        let mut headers = HeaderMap::new();
        headers.insert("accept", accept.parse().expect("a header"));
        let wanted = Wanted::of(&headers, allowed, false);
        assert!(wanted.content_type().starts_with(expected), "{accept}");
    }
    for (encoding, expected) in
        [("gzip", true), ("br, gzip;q=0.5", true), ("gzip;q=0", false), ("", false)]
    {
        let mut headers = HeaderMap::new();
        headers.insert("accept-encoding", encoding.parse().expect("a header"));
        assert_eq!(Wanted::of(&headers, true, false).gzip, expected, "{encoding}");
    }
}

#[tokio::test]
async fn the_page_is_served_and_nothing_else() {
    let shown = Shown::new("{}");
    shown.take(measured);
    let offer = Offer { open_metrics: true, utf8: false };
    let keys = HttpServer::default();
    let sockets = ::net::pool::Pool::default();
    let server = serve(&sockets, &keys, "127.0.0.1:0", None, shown.pages.clone(), offer);
    let server = server.await.expect("listens");
    let ask = async |request: &str| {
        let mut stream = tokio::net::TcpStream::connect(server.address()).await.expect("connects");
        let request = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        stream.write_all(b"accept-encoding: gzip\r\n\r\n").await.expect("written");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("read");
        answer
    };
    let answer = ask("GET /metrics").await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    assert!(text.contains("content-encoding: gzip"), "{text}");
    let at = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a body") + 4;
    let plain = testkit::backend::inflate("gzip", &bytes::Bytes::copy_from_slice(&answer[at..]));
    assert_eq!(plain, shown.page(TEXT).await);
    assert!(ask("GET /").await.starts_with(b"HTTP/1.1 404"));
    assert!(ask("POST /metrics").await.starts_with(b"HTTP/1.1 405"));
    let address = server.address().to_string();
    let taken = serve(&sockets, &keys, &address, None, shown.pages.clone(), offer).await;
    assert!(taken.is_err_and(|error| error.message().contains("cannot listen")));
}

#[test]
fn settings_that_cannot_be_are_told() {
    for (yaml, told) in [
        ("namespace: x", "endpoint"),
        ("endpoint: '0.0.0.0:8889'\nconst_labels: {a.b: c}", "not a valid label name"),
        (
            "endpoint: ':8889'\nresource_constant_labels: {included: [a]}\nresource_to_telemetry_conversion: {enabled: true}",
            "either",
        ),
        ("endpoint: ':8889'\ntranslation_strategy: Mine", "translation_strategy"),
    ] {
        let error = pipeline::config::from_yaml::<Config>(yaml).expect_err(yaml);
        assert!(format!("{error:?}").contains(told), "{yaml}: {error:?}");
    }
    pipeline::config::from_yaml::<Config>("{endpoint: 0.0.0.0:8889, namespace: ns, const_labels: {dc: x}, metric_expiration: 10m, enable_open_metrics: true, resource_to_telemetry_conversion: {enabled: true}}").expect("loads");
}
