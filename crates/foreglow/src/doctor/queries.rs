// SPDX-License-Identifier: Apache-2.0
//! What Grafana and the documents' checks ask of the query APIs: do they answer, are all targets
//! scraped, is a query fast.

use super::ask::{Asker, escape};
use super::pages::Page;
use super::report::Finding;

/// Documents' own bound for typical queries.
const SLOW: f64 = 2.0;

/// Most targets told one by one.
const TARGETS_MAX: usize = 10;

/// The Prometheus and Jaeger APIs at `base`, as Grafana's data sources test them.
pub async fn apis(asker: &Asker, base: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (what, path, has) in [
        ("Prometheus API", "/api/v1/query?query=1%2B1", "\"2\""),
        ("Prometheus API: labels", "/api/v1/label/__name__/values?limit=10", "\"success\""),
        ("Jaeger API", "/api/services", "\"data\""),
    ] {
        found.push(match asker.get(&format!("{base}{path}")).await {
            Ok(said) if said.status == 200 && said.text().contains(has) => {
                let took = said.took.as_secs_f64();
                let seen = format!("answers in {:.1} ms; data source {base}", took * 1e3);
                match took > SLOW {
                    true => Finding::warn(what, seen, "slower than 2 s: is the machine busy?"),
                    false => Finding::ok(what, seen),
                }
            }
            Ok(said) if matches!(said.status, 401 | 403) => Finding::warn(
                what,
                "asks for credentials",
                "give doctor --token; Grafana sends it as header Authorization: Bearer TOKEN",
            ),
            Ok(said) => {
                let start: String = said.text().chars().take(120).collect();
                let advice = "is this foreglow's page? Give --url";
                Finding::fail(
                    what,
                    format!("{base}{path} answers {}: {start}", said.status),
                    advice,
                )
            }
            Err(error) => {
                Finding::fail(what, format!("{base} {error}"), "is --listen the right one?")
            }
        });
    }
    found
}

/// Scraped targets: those that are not there, one by one.
pub async fn targets(asker: &Asker, base: &str) -> Vec<Finding> {
    let Ok(said) = asker.get(&format!("{base}/api/v1/targets?state=active")).await else {
        return Vec::new();
    };
    let answer = said.json();
    let all: Vec<_> = answer["data"]["activeTargets"].as_array().into_iter().flatten().collect();
    if all.is_empty() {
        return Vec::new();
    }
    let down: Vec<_> = all.iter().filter(|target| target["health"] == "down").collect();
    let mut found = vec![Finding::ok(
        "scraped targets",
        format!("{} of {} answer", all.len() - down.len(), all.len()),
    )];
    for target in down.into_iter().take(TARGETS_MAX) {
        let text = |key: &str| target[key].as_str().unwrap_or_default().to_owned();
        found.push(Finding::fail(
            "scraped target",
            format!("{}: {}", text("scrapeUrl"), text("lastError")),
            "is that process running, and its exporter's port the one in the scrape configuration?",
        ));
    }
    found
}

/// Own counters as they were a minute ago; of the page at port `port`.
pub async fn a_minute_ago(asker: &Asker, base: &str, port: u16) -> Option<Page> {
    let query = format!(
        "{{__name__=~\"otelcol_(receiver|exporter|processor)_.+_(spans|metric_points|log_records)(_total)?\",instance=~\".*:{port}\"}} offset 1m"
    );
    let query = escape(&query);
    let said = asker.get(&format!("{base}/api/v1/query?query={query}")).await.ok()?;
    (said.status == 200).then(|| Page::of_answer(&said.json())).filter(|page| !page.is_empty())
}

/// Spans that begin later than now, by service: clocks that are ahead.
pub async fn from_the_future(asker: &Asker, base: &str) -> Vec<Finding> {
    /// Services asked about; each is one small query.
    const SERVICES_MAX: usize = 20;
    let Ok(said) = asker.get(&format!("{base}/api/services")).await else { return Vec::new() };
    let answer = said.json();
    let services = answer["data"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (start, end) = (now.as_micros() + 60_000_000, now.as_micros() + 86_400_000_000);
    let mut found = Vec::new();
    for service in services.take(SERVICES_MAX) {
        let name = escape(service);
        let url = format!("{base}/api/traces?service={name}&start={start}&end={end}&limit=1");
        let Ok(said) = asker.get(&url).await else { continue };
        if said.json()["data"].as_array().is_some_and(|traces| !traces.is_empty()) {
            found.push(Finding::warn(
                format!("clock of {service}"),
                "sends spans that begin more than a minute from now",
                "set the clock of its host by NTP",
            ));
        }
    }
    found
}
