// SPDX-License-Identifier: Apache-2.0
use basics::Random;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use super::*;

const NOW: u64 = 1_790_000_000_000_000_000;

fn shop_after(seconds: u64) -> Shop {
    let mut shop = Shop::new(NOW, None, Random::seeded(7));
    for second in 1..=seconds {
        shop.advance(NOW + second * 1_000_000_000);
    }
    shop
}

fn requests_counted(shop: &Shop) -> u64 {
    let request: ExportMetricsServiceRequest = shop.metrics().decode();
    let metrics =
        request.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
    metrics
        .filter_map(|m| match &m.data {
            Some(Data::Histogram(h)) => Some(
                h.data_points
                    .iter()
                    .map(|p| {
                        assert_eq!(p.bucket_counts.iter().sum::<u64>(), p.count, "buckets add up");
                        p.count
                    })
                    .sum::<u64>(),
            ),
            _ => None,
        })
        .sum()
}

#[test]
fn counters_only_grow_and_follow_the_configured_rates() {
    let (early, late) = (shop_after(10), shop_after(60));
    let (few, many) = (requests_counted(&early), requests_counted(&late));
    assert!(many > few);
    // 69 requests a second on average, half to double of it by season.
    assert!((60 * 25..60 * 140).contains(&many), "{many} requests in a minute");
}

#[test]
fn spans_and_logs_of_one_journey_belong_together() {
    let shop = shop_after(5);
    let traces: ExportTraceServiceRequest = shop.traces().decode();
    let logs: ExportLogsServiceRequest = shop.logs().decode();
    let spans: Vec<_> =
        traces.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).collect();
    assert_eq!(spans.len(), 3 * 5);
    for span in &spans {
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
        if !span.parent_span_id.is_empty() {
            let parent =
                spans.iter().find(|s| s.span_id == span.parent_span_id).expect("parent is sent");
            assert_eq!(parent.trace_id, span.trace_id);
            assert!(parent.start_time_unix_nano <= span.start_time_unix_nano);
            assert!(parent.end_time_unix_nano >= span.end_time_unix_nano);
        }
    }
    let records =
        logs.resource_logs.iter().flat_map(|r| &r.scope_logs).flat_map(|s| &s.log_records);
    for record in records.filter(|r| !r.trace_id.is_empty()) {
        assert!(spans.iter().any(|s| s.trace_id == record.trace_id && s.span_id == record.span_id));
    }
}

#[test]
fn an_incident_slows_one_service_at_a_time() {
    let mut seen = 0;
    for second in 0..3600 {
        let now = NOW + second * 1_000_000_000;
        let troubled = (0..4).filter(|i| world::incident(*i, now) > 0.0).count();
        assert!(troubled <= 1);
        seen += troubled;
    }
    assert!(seen > 60, "an hour has incidents");
}
