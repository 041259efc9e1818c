// SPDX-License-Identifier: Apache-2.0
use super::super::config::NamingConfig;
use super::super::naming::{Pattern, intelligent};

fn check(threshold: usize, inputs: &[&str], output: &str, expected: &str) {
    let config = NamingConfig { abbreviation_threshold: threshold, ..NamingConfig::default() };
    assert_eq!(intelligent(&config, "m", inputs, output), expected, "{inputs:?}");
}

#[test]
fn stems_are_made_as_the_published_processor_makes_them() {
    check(4, &["system.cpu.utilization"], "prediction", "cpu_utilization.prediction");
    check(4, &["cpu.usage"], "scaled", "cpu_usage.scaled");
    check(4, &["up"], "x", "up.x");
    check(4, &["app.service.api.latency"], "p95", "api_latency.p95");
    check(4, &["a.b.c.d"], "x", "c_d.x");
    check(
        4,
        &["system.cpu.utilization", "system.memory.usage"],
        "anomaly_score",
        "cpu_utilization_memory_usage.anomaly_score",
    );
    check(
        4,
        &["app.api.requests", "app.api.errors", "app.api.latency"],
        "health_score",
        "requests_errors_latency.health_score",
    );
    check(
        3,
        &["cpu.user", "cpu.system", "memory.used", "memory.free", "disk.read"],
        "resource_score",
        "cpu2_disk_read_mem2.resource_score",
    );
    check(4, &[], "x", "m.x");
}

#[test]
fn many_inputs_are_shortened() {
    // A common prefix: up to five stems in full, then initials.
    check(2, &["a.one", "a.two", "a.three"], "x", "a_one_two_three.x");
    check(2, &["a.b.p", "a.b.q", "a.b.r", "a.b.s", "a.b.t", "a.b.u"], "x", "a_b_pqrstu.x");
    // Neither a prefix nor two or three categories.
    check(
        3,
        &["alpha.one", "bravo.two", "gamma.three", "delta.four", "omega.five"],
        "x",
        "alph_brav_gamm_delt_plus1.x",
    );
    // The same metric twice counts once.
    check(4, &["cpu.time", "cpu.time"], "x", "cpu_time.x");
}

#[test]
fn patterns_are_filled_in() {
    let fill = |text: &str| {
        let pattern = Pattern::parse(text, 2).map_err(|e| e.to_string())?;
        Ok::<_, String>(pattern.fill("out", "hw", "v2", &["a.b", "c.d"]))
    };
    assert_eq!(fill("ml.{model}.{version}.{output}").unwrap(), "ml.hw.v2.out");
    assert_eq!(fill("{input}|{input[1]}").unwrap(), "a.b|c.d");
    assert_eq!(fill("plain").unwrap(), "plain");
    for (text, expected) in [
        ("{", "unbalanced"),
        ("}", "unbalanced"),
        ("{a{b}}", "unbalanced"),
        ("{who}", "unknown placeholder {who}"),
        ("{input[2]}", "no input 2; the rule has 2"),
        ("{input[x]}", "unknown placeholder"),
    ] {
        let error = fill(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
