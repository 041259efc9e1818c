// SPDX-License-Identifier: Apache-2.0
//! What the tests of several processors need.

/// The settings of the component in the YAML sample of its README: what is below its type.
pub(crate) fn sample(readme: &str) -> String {
    let after = readme.split("```yaml\n").nth(1).expect("a sample");
    let sample = after.split("```").next().expect("its end");
    sample.lines().skip(2).map(|line| format!("{line}\n")).collect()
}
