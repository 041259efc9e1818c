// SPDX-License-Identifier: Apache-2.0

use crate::labels::anchored_regex;

/// Texts that a pattern matches, and texts that it does not.
fn check(pattern: &str, matching: &[&str], other: &[&str]) {
    let regex = anchored_regex(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
    for text in matching {
        assert!(regex.is_match(text), "{pattern} should match {text:?}");
    }
    for text in other {
        assert!(!regex.is_match(text), "{pattern} should not match {text:?}");
    }
}

#[test]
fn go_patterns_keep_their_meaning() {
    check("a|b", &["a", "b"], &["ab", "xa", "bx", ""]);
    check("a.*", &["a", "a\nb"], &["ba"]);
    check("(?i:ab)c", &["ABc"], &["ABC"]);
    check(r"\Qa.b*\E+", &["a.b*", "a.b**"], &["axb", "a.b"]);
    check(r"\d+", &["12"], &["\u{0661}"]);
    check(r"\w+", &["a_1"], &["\u{e9}"]);
    check(r"[\w-]+", &["a-1"], &["a b"]);
    check(r"[^\d]", &["a"], &["1"]);
    check(r"[\D]", &["a"], &["1"]);
    check(r"\<a\>", &["<a>"], &["a"]);
    check("[[]", &["["], &["]"]);
    check("[]a]+", &["]a"], &["b"]);
    check("[a&&b]+", &["a&b"], &["c"]);
    check("[[:alpha:]_]+", &["a_"], &["1"]);
    check("[a-c--d]+", &["a-d"], &["e"]);
    check(r"\bfoo\b.*", &["foo bar"], &["foobar"]);
}

#[test]
fn broken_patterns_are_refused() {
    for pattern in ["(", "[a", "(?P<n", r"\", "(a)\\1", "(?=a)"] {
        assert!(anchored_regex(pattern).is_err(), "{pattern}");
    }
}
