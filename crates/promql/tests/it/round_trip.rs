// SPDX-License-Identifier: Apache-2.0
//! Any text is safe to parse; a printed tree parses back to an equal one.

use proptest::prelude::*;

/// Pieces that make likely and unlikely queries.
fn piece() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "up",
        "sum",
        "rate",
        "by",
        "without",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "5m",
        "1h30m",
        "0x1f",
        "1e3",
        ".5",
        "\"a\"",
        "'b'",
        "`c`",
        "=",
        "!=",
        "=~",
        "!~",
        "==",
        "+",
        "-",
        "*",
        "/",
        "^",
        "%",
        "</",
        ">/",
        "and",
        "or",
        "unless",
        "atan2",
        "bool",
        "on",
        "ignoring",
        "group_left",
        "fill",
        "offset",
        "@",
        "start()",
        ":",
        ",",
        "inf",
        "nan",
        "topk",
        "anchored",
        "smoothed",
        "step()",
        "min_of(1, 2)",
        "label_replace",
        "#",
        "\n",
        " ",
        "le",
        "__name__",
        "\u{e9}",
    ];
    prop::sample::select(WORDS).prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_query_parses_to_an_equal_tree(query in crate::steps::vector()) {
        let expr = promql::parse(&query).map_err(|e| TestCaseError::fail(format!("{query}: {e}")))?;
        // NaN literals are unequal to themselves: compare those by their text.
        let again = promql::parse(&expr.to_string());
        if query.contains("NaN") {
            prop_assert_eq!(again.map(|e| e.to_string()), Ok(expr.to_string()));
        } else {
            prop_assert_eq!(again, Ok(expr));
        }
    }

    #[test]
    fn any_text_parses_or_is_refused(text in any::<String>()) {
        let _ = promql::parse(&text);
    }

    #[test]
    fn any_mixture_of_words_parses_or_is_refused(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.join(" ");
        if let Ok(expr) = promql::parse(&text) {
            let printed = expr.to_string();
            let again = promql::parse(&printed);
            prop_assert_eq!(again.map(|e| e.to_string()).map_err(|e| e.to_string()), Ok(printed));
        }
    }
}

#[test]
fn deep_nesting_and_long_chains_are_refused() {
    for text in ["(".repeat(100_000), "-".repeat(100_000), "up + ".repeat(10_000) + "up"] {
        assert!(promql::parse(&text).is_err());
    }
    assert!(promql::parse(&format!("{}up{}", "(".repeat(90), ")".repeat(90))).is_ok());
}
