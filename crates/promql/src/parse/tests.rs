// SPDX-License-Identifier: Apache-2.0

use super::parse;

/// `input` parses, and prints as `printed`.
fn check(input: &str, printed: &str) {
    match parse(input) {
        Ok(expr) => {
            assert_eq!(expr.to_string(), printed, "{input}");
            assert_eq!(parse(printed).as_ref(), Ok(&expr), "{printed}");
        }
        Err(e) => panic!("{input}: {e}"),
    }
}

#[test]
fn expressions_print_canonically() {
    let cases = [
        ("1+2*3", "1 + 2 * 3"),
        ("-1^2", "-1 ^ 2"),
        ("2^3^2", "2 ^ 3 ^ 2"),
        ("SUM(x) BY (a,b)", "sum by (a, b) (x)"),
        ("sum by () (x)", "sum(x)"),
        ("topk without (a) (3, x)", "topk without (a) (3, x)"),
        (
            "foo{a='b',c!~\"d.*\"}[5m] offset 1h @ 3",
            "foo{a=\"b\",c!~\"d.*\"}[5m] @ 3.000 offset 1h",
        ),
        ("foo[1h:5m] offset -7m", "foo[1h:5m] offset -7m"),
        ("a / on(x) group_left(y) b", "a / on (x) group_left (y) b"),
        ("a == bool 1", "a == bool 1"),
        ("a + fill(0) b", "a + fill_left (0) fill_right (0) b"),
        ("x[5m:]", "x[5m:]"),
        ("rate(x[step()*2])", "rate(x[step() * 2])"),
        ("{\"strange name\", a=\"b\"}", "{a=\"b\",__name__=\"strange name\"}"),
        ("sum", "sum"),
        ("increase(x[1m] anchored)", "increase(x[1m] anchored)"),
    ];
    for (input, printed) in cases {
        check(input, printed);
    }
}

#[test]
fn mistakes_are_told_with_place_and_reason() {
    let cases = [
        ("", "1:1: parse error: no expression found in input"),
        ("(1", "1:3: parse error: unclosed left parenthesis"),
        ("foo(", "1:1: parse error: unknown function with name \"foo\""),
        (
            "rate(x)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        ("1 == 1", "1:1: parse error: comparisons between scalars must use BOOL modifier"),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        (
            "a and 1",
            "1:1: parse error: set operator \"and\" not allowed in binary scalar expression",
        ),
        ("rate(x[0s])", "1:8: parse error: duration must be greater than 0"),
        ("abs(x, y)", "1:1: parse error: expected 1 argument(s) in call to \"abs\", got 2"),
        ("x\n+ $", "2:3: parse error: unexpected character: '$'"),
        ("\"abc", "1:1: parse error: unterminated quoted string"),
    ];
    for (input, message) in cases {
        assert_eq!(parse(input).err().map(|e| e.to_string()).as_deref(), Some(message), "{input}");
    }
}
