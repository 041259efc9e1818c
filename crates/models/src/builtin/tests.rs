// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::{Outputs, Param, Rows};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
/// A start that is no multiple of an hour, as real ones are.
const START: u64 = 1_790_000_123 * SECOND;

fn params(list: &[(&str, Param)]) -> Params {
    Params(list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn error_of(name: &str, inputs: usize, list: &[(&str, Param)]) -> String {
    create(name, inputs, &params(list)).err().map_or_else(String::new, |e| e.to_string())
}

/// Runs one series through `model`; gives (value, predicted, lower, upper) per point.
fn run(model: &mut dyn Model, points: impl IntoIterator<Item = (u64, f64)>) -> Vec<[f64; 4]> {
    let mut rows = Rows::new(1);
    let mut out = Outputs::default();
    let answer = |(time, y)| {
        rows.clear();
        rows.push(&[y], time, 0);
        model.infer(&rows, &mut out);
        [y, out.columns[0].values[0], out.columns[1].values[0], out.columns[2].values[0]]
    };
    points.into_iter().map(answer).collect()
}

/// Nearly normal noise of standard deviation 0.5.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut random = basics::Random::seeded(seed);
    move || ((0..12).map(|_| random.unit()).sum::<f64>() - 6.0) / 2.0
}

/// An hourly wave of amplitude 10 around 100 with noise, a point every `every` seconds.
fn wave(every: u64, hours: u64) -> impl Iterator<Item = (u64, f64)> {
    let mut noise = noise(every);
    (0..hours * 3600 / every).map(move |i| {
        let time = START + i * every * SECOND;
        let angle = (time / SECOND) as f64 / 3600.0 * std::f64::consts::TAU;
        (time, 100.0 + 10.0 * angle.sin() + noise())
    })
}

#[test]
fn scale_multiplies_and_sum_adds_row_by_row() {
    let mut rows = Rows::new(1);
    rows.push(&[3.0], START, 0);
    rows.push(&[f64::NAN], START, 1);
    rows.push(&[-1.5], START, 2);
    let mut out = Outputs::default();
    let factor = params(&[("scale_factor", Param::Double(2.5))]);
    create("simple-scaler", 1, &factor).unwrap().infer(&rows, &mut out);
    assert_eq!(out.columns[0].values[0], 7.5);
    assert!(out.columns[0].values[1].is_nan());
    assert_eq!(out.columns[0].values[2], -3.75);

    let mut rows = Rows::new(3);
    rows.push(&[1.0, 2.0, 4.0], START, 0);
    rows.push(&[10.0, 20.0, 40.0], START, 1);
    create("simple-sum", 3, &Params::default()).unwrap().infer(&rows, &mut out);
    assert_eq!(out.columns[0].values, [7.0, 70.0]);
}

#[test]
fn wrong_settings_are_refused_with_what_would_be_right() {
    let text = |s: &str| Param::Text(s.into());
    for (name, inputs, list, expected) in [
        ("simple-scal", 1, vec![], "no embedded model \"simple-scal\""),
        ("scale", 2, vec![], "takes one input, got 2"),
        ("scale", 1, vec![("factor", Param::Int(2))], "knows scale_factor"),
        ("scale", 1, vec![("scale_factor", text("two"))], "must be a number, got \"two\""),
        ("sum", 2, vec![("x", Param::Int(2))], "takes none"),
        ("holt_winters", 1, vec![("season", text("1 fortnight"))], "must be a duration"),
        ("holt_winters", 1, vec![("interval", Param::Double(1.0))], "from 0.5 to 0.9999"),
        ("holt_winters", 1, vec![("season", text("10ms"))], "less than 1 ms a slot"),
    ] {
        let error = error_of(name, inputs, &list);
        assert!(error.contains(expected), "{name}: {error}");
    }
    assert_eq!(error_of("scale", 1, &[("scale_factor", text("2"))]), "");
}

#[test]
fn a_duration_is_seconds_or_text_with_a_unit() {
    let horizon = |value| params(&[("horizon", value)]).duration("horizon", Default::default());
    for (value, seconds) in [
        (Param::Int(90), Some(90.0)),
        (Param::Double(0.5), Some(0.5)),
        (Param::Text("1h30m".into()), Some(5400.0)),
        (Param::Text("1d".into()), Some(86_400.0)),
        (Param::Text("soon".into()), None),
        (Param::Int(-1), None),
        (Param::Bool(true), None),
    ] {
        assert_eq!(horizon(value.clone()).ok().map(|d| d.as_secs_f64()), seconds, "{value:?}");
    }
}

#[test]
fn nothing_is_predicted_before_min_points() {
    let five = params(&[("min_points", Param::Int(5))]);
    let mut model = HoltWinters::new(&five).unwrap();
    let answers = run(&mut model, (0..8).map(|i| (START + i * SECOND, 4.0)));
    let known: Vec<bool> = answers.iter().map(|a| !a[1].is_nan()).collect();
    assert_eq!(known, [false, false, false, false, false, true, true, true]);
}

#[test]
fn a_constant_is_predicted_exactly_whatever_its_size() {
    for value in [0.0, 1.0, -3.25, 8_589_934_592.0, 1.79e18] {
        let mut model = HoltWinters::new(&Params::default()).unwrap();
        let points = (0..900).map(|i| (START + i * 5 * SECOND, value));
        for [y, predicted, lower, upper] in run(&mut model, points).into_iter().skip(10) {
            assert_eq!([predicted, lower, upper], [y, y, y]);
        }
    }
}

/// (mean absolute error, share of points inside the interval) from hour `from` on.
fn quality(answers: &[[f64; 4]], skip: usize) -> (f64, f64) {
    let scored = &answers[skip..];
    let count = scored.len() as f64;
    let mae = scored.iter().map(|[y, p, ..]| (y - p).abs()).sum::<f64>() / count;
    let inside = scored.iter().filter(|[y, _, lower, upper]| lower <= y && y <= upper).count();
    (mae, inside as f64 / count)
}

#[test]
fn an_hourly_wave_is_forecast_better_than_by_repeating_the_last_hour() {
    for every in [5, 15, 60] {
        let mut model = HoltWinters::new(&Params::default()).unwrap();
        let answers = run(&mut model, wave(every, 24));
        let hour = (3600 / every) as usize;
        let (mae, coverage) = quality(&answers, 6 * hour);
        let naive: Vec<[f64; 4]> =
            answers.windows(hour + 1).map(|w| [w[hour][0], w[0][0], 0.0, 0.0]).collect();
        let (naive_mae, _) = quality(&naive, 5 * hour);
        let mase = mae / naive_mae;
        assert!(mase < 0.9, "every {every} s: MASE {mase}");
        assert!((0.93..=0.975).contains(&coverage), "every {every} s: coverage {coverage}");
    }
}

#[test]
fn a_wave_of_a_few_slots_is_forecast_better_than_by_the_last_value() {
    let mut model = HoltWinters::new(&Params::default()).unwrap();
    let points = wave(5, 6).map(|(time, y)| {
        let angle = (time / SECOND) as f64 / 300.0 * std::f64::consts::TAU;
        (time, y + 10.0 * angle.sin())
    });
    let answers = run(&mut model, points);
    let (mae, coverage) = quality(&answers, 2 * 720);
    let last: Vec<[f64; 4]> = answers.windows(2).map(|w| [w[1][0], w[0][0], 0.0, 0.0]).collect();
    let (last_mae, _) = quality(&last, 2 * 720);
    assert!(mae < 0.9 * last_mae, "{mae} against {last_mae}");
    assert!((0.93..=0.975).contains(&coverage), "coverage {coverage}");
}

#[test]
fn a_growing_series_keeps_its_forecast_through_the_season_change() {
    let mut model = HoltWinters::new(&Params::default()).unwrap();
    let mut noise = noise(7);
    let points = (0..4 * 240).map(|i| (START + i * 15 * SECOND, i as f64 * 0.5 + noise()));
    let answers = run(&mut model, points);
    let worst = answers[240..].iter().map(|[y, p, ..]| (y - p).abs()).fold(0.0, f64::max);
    assert!(worst < 15.0, "worst error {worst} on a rise of 120 an hour");
}

#[test]
fn a_horizon_looks_ahead_by_its_time() {
    let ten = params(&[("horizon", Param::Text("10m".into()))]);
    let mut model = HoltWinters::new(&ten).unwrap();
    let points: Vec<_> = wave(15, 8).collect();
    let answers = run(&mut model, points.iter().copied());
    let ahead = 40;
    let scored: Vec<[f64; 4]> = (5 * 240..points.len() - ahead)
        .map(|i| [points[i + ahead].1, answers[i][1], answers[i][2], answers[i][3]])
        .collect();
    let (mae, coverage) = quality(&scored, 0);
    assert!(mae < 1.2, "mean error {mae} on an amplitude of 10");
    assert!(coverage > 0.9, "coverage {coverage}");
}

#[test]
fn late_and_absent_values_change_nothing() {
    let mut model = HoltWinters::new(&Params::default()).unwrap();
    run(&mut model, (0..30).map(|i| (START + i * SECOND, i as f64)));
    let mut rows = Rows::new(1);
    let mut out = Outputs::default();
    rows.push(&[1e6], START + 29 * SECOND, 0);
    model.infer(&rows, &mut out);
    assert_eq!((out.late, out.cold), (1, 0));
    rows.clear();
    rows.push(&[f64::NAN], START + 31 * SECOND, 0);
    model.infer(&rows, &mut out);
    assert!(out.columns[0].values[0].is_nan());
    let next = run(&mut model, [(START + 30 * SECOND, 30.0)]);
    assert!((next[0][1] - 30.0).abs() < 5.0, "{:?}", next[0]);
}

#[test]
fn series_do_not_share_state_and_can_be_forgotten() {
    let mut model = HoltWinters::new(&Params::default()).unwrap();
    let mut rows = Rows::new(1);
    let mut out = Outputs::default();
    for i in 0..40 {
        rows.clear();
        for slot in [0, 1500] {
            rows.push(&[f64::from(slot)], START + i * SECOND, slot);
        }
        model.infer(&rows, &mut out);
    }
    assert_eq!(out.columns[0].values, [0.0, 1500.0]);
    model.forget(0);
    model.forget(1_000_000);
    rows.times = vec![START + 41 * SECOND; 2];
    model.infer(&rows, &mut out);
    assert!(out.columns[0].values[0].is_nan());
    assert_eq!((out.columns[0].values[1], out.cold), (1500.0, 1));
}

#[test]
fn a_series_takes_less_than_400_bytes() {
    let mut model = HoltWinters::new(&Params::default()).unwrap();
    let mut rows = Rows::new(1);
    (0..1024).for_each(|slot| rows.push(&[1.0], START, slot));
    model.infer(&rows, &mut Outputs::default());
    let per_series = model.state_bytes() / 1024;
    assert!((1..=400).contains(&per_series), "{per_series} B");
}

proptest! {
    #[test]
    fn any_values_at_any_times_give_ordered_finite_bounds_or_none(
        points in prop::collection::vec((0u64..10_000_000_000_000, prop::num::f64::ANY), 1..200)
    ) {
        let mut model = HoltWinters::new(&Params::default()).unwrap();
        let mut time = 0;
        let points = points.into_iter().map(|(gap, y)| { time += gap; (time, y) });
        for [_, predicted, lower, upper] in run(&mut model, points) {
            if !predicted.is_nan() {
                prop_assert!(lower.is_finite() && upper.is_finite());
                prop_assert!(lower <= predicted && predicted <= upper);
            }
        }
    }
}
