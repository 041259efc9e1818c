// SPDX-License-Identifier: Apache-2.0
//! The payloads that benches and the allocation test share: shaped like real telemetry, made by
//! the writers, equal in every run.

use otlp_wire::{Payload, SpanKind, Temporality, write};

const TIME: u64 = 1_760_000_000_000_000_000;

/// Bits that look random but are not.
fn mix(n: u64) -> u64 {
    let z = (n ^ (n >> 30)).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

fn resource(a: &mut write::AttrWriter<'_>, service: u64) {
    a.str("service.name", &format!("shop-service-{service}"));
    a.str("service.version", "1.14.3");
    a.str("service.instance.id", &format!("{:032x}", mix(service)));
    a.str("deployment.environment", "production");
    a.str("host.name", &format!("ip-10-0-{service}-17.eu-central-1.compute.internal"));
    a.str("k8s.namespace.name", "shop");
    a.str("k8s.pod.name", &format!("shop-service-{service}-7d9c6b5f4-x2x{service}"));
    a.str("telemetry.sdk.name", "opentelemetry");
    a.str("telemetry.sdk.language", "java");
    a.str("telemetry.sdk.version", "1.40.0");
    a.int("process.pid", 4000 + service as i64);
}

/// Spans in 5 resources, 15 attributes each, about 650 bytes a span.
pub fn traces(spans: u64) -> Payload {
    let mut w = write::Traces::new();
    for service in 0..5 {
        w.resource(|a| resource(a, service));
        w.scope("io.opentelemetry.tomcat-10.0", "2.6.0-alpha");
        for i in 0..spans / 5 {
            let bits = mix(service << 32 | i);
            let mut trace_id = [0; 16];
            trace_id[..8].copy_from_slice(&bits.to_le_bytes());
            trace_id[8..].copy_from_slice(&mix(bits).to_le_bytes());
            let span = write::Span {
                trace_id,
                span_id: mix(bits ^ 1).to_le_bytes(),
                parent_span_id: Some(mix(bits ^ 2).to_le_bytes()),
                name: "GET /api/v1/carts/{cartId}",
                kind: SpanKind::Server,
                start: TIME + i * 1_000_003,
                end: TIME + i * 1_000_003 + bits % 1_000_000_000,
                flags: 257,
                ..Default::default()
            };
            w.span(&span, |a| {
                a.str("http.request.method", "GET");
                a.int("http.response.status_code", 200);
                a.str("http.route", "/api/v1/carts/{cartId}");
                a.str("url.path", &format!("/api/v1/carts/{:08x}", bits as u32));
                a.str("url.scheme", "https");
                a.str("server.address", "shop.example.com");
                a.int("server.port", 443);
                a.str("client.address", &format!("10.0.{}.{}", bits % 200, bits % 251));
                a.str("network.protocol.version", "1.1");
                a.str("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Chrome/129.0");
                a.str("enduser.id", &format!("user-{}", bits % 100_000));
                a.int("thread.id", 42);
                a.str("thread.name", "http-nio-8080-exec-7");
                a.bool("shop.cart.cached", bits.is_multiple_of(2));
                a.double("shop.cart.total", (bits % 10_000) as f64 / 100.0);
            });
        }
    }
    w.finish()
}

/// Points: 40 % gauges, 40 % sums, 20 % histograms of 12 buckets, 5 attributes each.
pub fn metrics(points: u64) -> Payload {
    let mut w = write::Metrics::new();
    let attrs = |a: &mut write::AttrWriter<'_>, i: u64| {
        a.str("http.request.method", if i.is_multiple_of(2) { "GET" } else { "POST" });
        a.str("http.route", &format!("/api/v1/route{}", i % 20));
        a.int("http.response.status_code", 200 + (i % 4) as i64 * 100);
        a.str("server.address", "shop.example.com");
        a.str("url.scheme", "https");
    };
    const BOUNDS: [f64; 11] = [5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2.5e3];
    for service in 0..5 {
        w.resource(|a| resource(a, service));
        w.scope("io.opentelemetry.runtime", "2.6.0");
        for metric in 0..points / 5 / 20 {
            let name = format!("http.server.metric.{metric}");
            let write = |p: &mut write::Points<'_>| {
                p.start(TIME - 1_000_000_000);
                for i in 0..20 {
                    let bits = mix(service << 40 | metric << 20 | i);
                    match metric % 5 {
                        0 | 1 => p.double(TIME, (bits % 100_000) as f64 / 7.0, |a| attrs(a, i)),
                        2 | 3 => p.int(TIME, (bits % 100_000) as i64, |a| attrs(a, i)),
                        _ => {
                            let counts = [bits % 9; 12];
                            let value = write::Histogram {
                                count: counts.iter().sum(),
                                sum: Some((bits % 100_000) as f64 / 3.0),
                                explicit_bounds: &BOUNDS,
                                bucket_counts: &counts,
                                ..Default::default()
                            };
                            p.histogram(TIME, &value, |a| attrs(a, i));
                        }
                    }
                }
            };
            match metric % 5 {
                0 | 1 => w.gauge(&name, "1", "a gauge of the bench", write),
                2 | 3 => w.sum(&name, "1", "a sum", Temporality::Cumulative, true, write),
                _ => w.histogram(&name, "ms", "a histogram", Temporality::Cumulative, write),
            }
        }
    }
    w.finish()
}

/// Records with 5 attributes and a body of about 100 bytes.
pub fn logs(records: u64) -> Payload {
    let mut w = write::Logs::new();
    for service in 0..5 {
        w.resource(|a| resource(a, service));
        w.scope("com.example.shop.CartService", "");
        for i in 0..records / 5 {
            let bits = mix(service << 32 | i);
            let body = format!(
                "GET /api/v1/carts/{:08x} answered 200 in {} ms for user-{} from the cache of eu-central-1",
                bits as u32,
                bits % 900,
                bits % 100_000
            );
            let log = write::Log {
                time: TIME + i,
                observed_time: TIME + i + 5,
                severity_number: 9,
                severity_text: "INFO",
                body: body.as_str().into(),
                trace_id: Some([7; 16]),
                span_id: Some([8; 8]),
                flags: 1,
                ..Default::default()
            };
            w.log(&log, |a| {
                a.str("thread.name", "http-nio-8080-exec-7");
                a.str("code.function", "handleRequest");
                a.str("enduser.id", "user-17");
                a.int("code.lineno", 118);
                a.str("log.iostream", "stdout");
            });
        }
    }
    w.finish()
}
