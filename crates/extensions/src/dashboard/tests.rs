// SPDX-License-Identifier: Apache-2.0

use std::borrow::Cow;
use std::io::Write as _;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use libdeflater::{CompressionLvl, Compressor};

use super::assets::{Stored, embedded};
use super::{CONTENT_SECURITY_POLICY, respond_from};

const SCRIPT: &str = "console.log('hello hello hello hello hello')";

fn gzip(text: &str) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::best());
    let mut out = vec![0; compressor.gzip_compress_bound(text.len())];
    let length =
        compressor.gzip_compress(text.as_bytes(), &mut out).expect("the buffer is large enough");
    out.truncate(length);
    out
}

/// A built page: the index in three forms, a script in the two embedded ones, an icon as it is.
fn built(name: &str) -> Option<Stored> {
    let bytes: Vec<u8> = match name {
        "index.html" => b"<html>index</html>".to_vec(),
        "index.html.br" => b"index as br".to_vec(),
        "index.html.gz" => gzip("<html>index</html>"),
        "assets/index-AbC123.js.br" => b"script as br".to_vec(),
        "assets/index-AbC123.js.gz" => gzip(SCRIPT),
        "favicon.svg" => b"<svg/>".to_vec(),
        _ => return None,
    };
    let mut hash = [0; 32];
    (&mut hash[..]).write_all(&bytes[..bytes.len().min(32)]).expect("fits");
    Some(Stored { bytes: Cow::Owned(bytes), hash })
}

fn nothing(_: &str) -> Option<Stored> {
    None
}

fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

fn get(path: &str, accept: &'static str) -> Response<Body> {
    respond_from(built, &Method::GET, path, &headers(&[(header::ACCEPT_ENCODING, accept)]))
}

fn text_of<'a>(response: &'a Response<Body>, name: &header::HeaderName) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap_or("?"))
}

async fn body(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body in memory");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn clients_get_the_encoding_they_like_best() {
    const PATH: &str = "/assets/index-AbC123.js";
    for (accept, encoding) in [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("br;q=0.5, gzip;q=0.9", "gzip"),
        ("br;q=0, *", "gzip"),
        ("*", "br"),
        ("GZIP;Q=0.3", "gzip"),
        ("identity", ""),
        ("", ""),
        ("br;q=0, gzip;q=0", ""),
        ("br;q=nonsense", "br"),
        (";;;,,q=", ""),
    ] {
        let response = get(PATH, accept);
        assert_eq!(response.status(), StatusCode::OK, "{accept}");
        assert_eq!(text_of(&response, &header::CONTENT_ENCODING), encoding, "{accept}");
        assert_eq!(text_of(&response, &header::VARY), "accept-encoding");
        assert_eq!(text_of(&response, &header::CONTENT_TYPE), "text/javascript; charset=utf-8");
        if encoding.is_empty() {
            assert_eq!(text_of(&response, &header::CONTENT_LENGTH), SCRIPT.len().to_string());
            assert_eq!(body(response).await, SCRIPT, "{accept}");
        }
    }
}

#[test]
fn hashed_files_are_kept_for_ever_and_others_asked_for() {
    let cache = |path| text_of(&get(path, "br"), &header::CACHE_CONTROL).to_owned();
    assert_eq!(cache("/assets/index-AbC123.js"), "public, max-age=31536000, immutable");
    assert_eq!(cache("/"), "no-cache");
    assert_eq!(cache("/favicon.svg"), "no-cache");
}

#[tokio::test]
async fn pages_get_the_index_and_unknown_files_get_404() {
    for (path, status, start) in [
        ("/", StatusCode::OK, "<html>index"),
        ("/inference", StatusCode::OK, "<html>index"),
        ("/services/cart.v2", StatusCode::OK, "<html>index"),
        ("/apiary", StatusCode::OK, "<html>index"),
        ("/favicon.svg", StatusCode::OK, "<svg/>"),
        ("/assets/gone-123.js", StatusCode::NOT_FOUND, "no such file"),
        ("/assets/no-ending", StatusCode::NOT_FOUND, "no such file"),
        ("/robots.txt", StatusCode::NOT_FOUND, "no such file"),
        ("/../../etc/passwd", StatusCode::OK, "<html>index"),
        ("/api", StatusCode::NOT_FOUND, "404 page not found"),
        ("/api/v1/rules/test/test", StatusCode::NOT_FOUND, "404 page not found"),
        ("/v1/traces", StatusCode::NOT_FOUND, "404 page not found"),
        ("/metrics", StatusCode::NOT_FOUND, "404 page not found"),
        ("/-/ready", StatusCode::NOT_FOUND, "404 page not found"),
        ("/loki/api/v1/push", StatusCode::NOT_FOUND, "404 page not found"),
        ("/federate", StatusCode::NOT_FOUND, "404 page not found"),
    ] {
        let response = get(path, "identity");
        assert_eq!(response.status(), status, "{path}");
        assert!(body(response).await.starts_with(start), "{path}");
    }
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let first = get("/", "br");
    let tag = text_of(&first, &header::ETAG).to_owned();
    assert!(tag.ends_with("-br\""), "{tag}");
    for (sent, status) in [
        (tag.clone(), StatusCode::NOT_MODIFIED),
        (format!("\"other\", W/{tag}"), StatusCode::NOT_MODIFIED),
        ("*".to_owned(), StatusCode::NOT_MODIFIED),
        ("\"other\"".to_owned(), StatusCode::OK),
    ] {
        let mut wanted = headers(&[(header::ACCEPT_ENCODING, "br")]);
        wanted.insert(header::IF_NONE_MATCH, HeaderValue::try_from(&sent).expect("a header value"));
        let response = respond_from(built, &Method::GET, "/", &wanted);
        assert_eq!(response.status(), status, "{sent}");
        assert_eq!(text_of(&response, &header::ETAG), tag);
        assert_eq!(body(response).await.is_empty(), status == StatusCode::NOT_MODIFIED);
    }
    assert_ne!(
        text_of(&get("/", "gzip"), &header::ETAG),
        tag,
        "encodings are different representations"
    );
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let response = respond_from(built, &Method::POST, "/", &HeaderMap::new());
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(text_of(&response, &header::ALLOW), "GET, HEAD");
    let head = respond_from(built, &Method::HEAD, "/favicon.svg", &HeaderMap::new());
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(text_of(&head, &header::CONTENT_LENGTH), "6");
    assert_eq!(body(head).await, "");
}

#[test]
fn every_answer_keeps_other_sites_out() {
    for path in ["/", "/assets/index-AbC123.js", "/gone.js", "/api/x"] {
        let response = get(path, "br");
        assert_eq!(text_of(&response, &header::CONTENT_SECURITY_POLICY), CONTENT_SECURITY_POLICY);
        assert_eq!(text_of(&response, &header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(text_of(&response, &header::X_FRAME_OPTIONS), "DENY");
        assert_eq!(text_of(&response, &header::REFERRER_POLICY), "no-referrer");
    }
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
}

#[tokio::test]
async fn without_a_build_the_page_names_the_command() {
    let response = respond_from(nothing, &Method::GET, "/inference", &HeaderMap::new());
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text_of(&response, &header::CONTENT_TYPE), "text/html; charset=utf-8");
    assert!(body(response).await.contains("<pre>make web</pre>"));
    let script = respond_from(nothing, &Method::GET, "/assets/x.js", &HeaderMap::new());
    assert_eq!(script.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_embedded_is_served_whole() {
    let response = super::respond(&Method::GET, "/", &HeaderMap::new());
    assert_eq!(response.status(), StatusCode::OK);
    let page = body(response).await;
    let Some(index) = embedded("index.html") else {
        assert!(page.contains("make web"), "no build: the page says so");
        return;
    };
    assert_eq!(page.as_bytes(), &index.bytes[..]);
    for name in page.split('"').filter_map(|part| part.strip_prefix("/assets/")) {
        for accept in ["br", "gzip", "identity"] {
            let wanted = headers(&[(header::ACCEPT_ENCODING, accept)]);
            let asset = super::respond(&Method::GET, &format!("/assets/{name}"), &wanted);
            assert_eq!(asset.status(), StatusCode::OK, "{name} {accept}");
        }
    }
}
