// SPDX-License-Identifier: Apache-2.0

use std::time::{Duration, Instant};

use pipeline::config::from_yaml;

use super::*;

fn tokens(yaml: &str) -> Tokens {
    let config = Arc::new(from_yaml::<Config>(yaml).expect("valid settings"));
    Tokens { header: header_name(&config.header).expect("valid"), config, values: OnceLock::new() }
}

async fn is_let_in(tokens: &Tokens, header: &str, value: &str) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(header.parse::<HeaderName>().expect("name"), value.parse().expect("value"));
    tokens.authenticate(&headers).await.is_ok()
}

#[tokio::test]
async fn only_the_whole_token_behind_the_scheme_is_let_in() {
    let one = tokens("token: s3cret");
    for (value, expected) in [
        ("Bearer s3cret", true),
        ("Bearer s3cre", false),
        ("Bearer s3cret2", false),
        ("bearer s3cret", false),
        ("s3cret", false),
        ("", false),
    ] {
        assert_eq!(is_let_in(&one, "authorization", value).await, expected, "{value}");
    }
    let several = tokens("{tokens: [a, b], scheme: '', header: X-Key}");
    assert!(is_let_in(&several, "x-key", "b").await);
    assert!(!is_let_in(&several, "authorization", "b").await);
    assert!(one.authenticate(&HeaderMap::new()).await.is_err());
}

#[tokio::test]
async fn a_client_sends_the_first_token_and_what_a_file_holds_now() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tokens");
    std::fs::write(&file, "first\nsecond\n").expect("writes");
    let from_file = tokens(&format!("filename: {}", file.display()));
    let sent = |tokens: &Tokens| {
        let mut headers = HeaderMap::new();
        tokens.add_to(&mut headers).expect("credentials");
        headers["authorization"].to_str().expect("text").to_owned()
    };
    assert_eq!(sent(&from_file), "Bearer first");
    assert!(is_let_in(&from_file, "authorization", "Bearer second").await);
    std::fs::write(&file, "a longer third\n").expect("writes");
    let deadline = Instant::now() + Duration::from_secs(20);
    while sent(&from_file) != "Bearer a longer third" {
        assert!(Instant::now() < deadline, "the new token is not seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!is_let_in(&from_file, "authorization", "Bearer second").await);
}

#[test]
fn wrong_settings_are_told() {
    for (yaml, message) in [
        ("{}", "no bearer token provided"),
        ("{token: a, tokens: [b]}", "either tokens or token should be provided, not both"),
        ("{filename: /no/such}", "filename: cannot read /no/such"),
        ("{token: a, header: 'a b'}", "header: \"a b\" is not the name of a header"),
    ] {
        let told = from_yaml::<Config>(yaml).err().expect(message);
        assert!(told.contains(message), "{told}");
    }
}
