//! foreglow
fn main() {}
