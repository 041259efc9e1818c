// SPDX-License-Identifier: Apache-2.0
//! The dashboard's files over HTTP, out of the binary.
//!
//! In: method, path and headers of a request that no API route took. Out: a whole response.
//! - An embedded file: compressed as the client likes best (br, gzip, plain), with an `ETag`;
//!   files under `/assets/` carry a hash in their name and may be kept for ever.
//! - Another path without a file ending: `index.html`, whose script knows the pages.
//! - 404 for unknown files and for the prefixes of the APIs, so that a wrong client never gets HTML.
//! - Built without `web/dist`: a plain page that names the command to run.
//!
//! Every answer carries the headers that keep other sites out: content security policy without
//! inline code or styles, no framing, no sniffing. Bounds: nothing is allocated but headers and, for
//! clients that take no compression, the file itself. Errors: none; every request has an answer.

mod assets;
mod encoding;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use assets::{Asset, Lookup};

/// No inline scripts or styles, nothing from other hosts, no frames around the page.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; object-src 'none'; \
     frame-ancestors 'none'; form-action 'self'";

/// Path prefixes that belong to APIs: never answered with a page.
const RESERVED: [&str; 6] = ["/api", "/v1", "/metrics", "/federate", "/loki", "/-"];

/// Endings of files; a path that has one names a file, all others name a page.
const FILE_ENDINGS: [&str; 14] = [
    "br",
    "css",
    "gz",
    "html",
    "ico",
    "js",
    "json",
    "map",
    "png",
    "svg",
    "txt",
    "webmanifest",
    "woff2",
    "xml",
];

/// Hashed names: a year is what caches treat as for ever.
const CACHE_FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Names that stay while the content changes: ask each time, by `ETag`.
const CACHE_ASK: &str = "no-cache";

const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
<title>Dashboard not built</title>\n<h1>The dashboard is not in this binary</h1>\n\
<p>It was built on a machine without Node.js 20 or newer, or before the dashboard was built. Run</p>\n\
<pre>make web</pre>\n<p>in the source tree and build the binary again. Everything else works: \
<a href=\"/api/v1/status/buildinfo\">the query API</a>, receivers, storage.</p>\n</html>\n";

/// Answers every request with [`respond`]; for merging below the API routes as their fallback.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().fallback(|request: Request<Body>| async move {
        respond(request.method(), request.uri().path(), request.headers())
    })
}

/// The response to a request for a file or a page; `path` as it stands in the request line.
pub fn respond(method: &Method, path: &str, headers: &HeaderMap) -> Response<Body> {
    respond_from(assets::embedded, method, path, headers)
}

fn respond_from(
    lookup: Lookup,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Response<Body> {
    let mut response = route(lookup, method, path, headers);
    secure(response.headers_mut());
    if method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

fn route(lookup: Lookup, method: &Method, path: &str, headers: &HeaderMap) -> Response<Body> {
    if is_reserved(path) {
        return text(StatusCode::NOT_FOUND, "404 page not found\n");
    }
    if method != Method::GET && method != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let name = path.trim_start_matches('/');
    if let Some(asset) = Asset::choose(lookup, name, headers) {
        return file(name, asset, headers);
    }
    if names_file(name) {
        return text(StatusCode::NOT_FOUND, "no such file\n");
    }
    match Asset::choose(lookup, "index.html", headers) {
        Some(index) => file("index.html", index, headers),
        None => html(NOT_BUILT),
    }
}

fn is_reserved(path: &str) -> bool {
    RESERVED.iter().any(|prefix| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn names_file(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let ending = last.rsplit_once('.').map(|(_, ending)| ending);
    name.starts_with("assets/") || ending.is_some_and(|ending| FILE_ENDINGS.contains(&ending))
}

/// A file, or 304 when the client has it.
fn file(name: &str, asset: Asset, headers: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let cache = if name.starts_with("assets/") { CACHE_FOR_EVER } else { CACHE_ASK };
    let out = response.headers_mut();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    out.insert(header::ETAG, asset.etag());
    if has_current(headers, &asset.etag()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    out.insert(header::CONTENT_TYPE, content_type(name));
    if let Some(encoding) = asset.encoding.token() {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(asset.bytes.len()));
    *response.body_mut() = Body::from(asset.bytes);
    response
}

/// `If-None-Match` names this very representation (or any, by `*`).
fn has_current(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let sent =
        headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    sent.flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes())
}

fn content_type(name: &str) -> HeaderValue {
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    let textual = mime.type_() == mime_guess::mime::TEXT || mime.subtype() == "javascript";
    let value = if textual { format!("{mime}; charset=utf-8") } else { mime.to_string() };
    HeaderValue::try_from(value)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}

fn text(status: StatusCode, message: &'static str) -> Response<Body> {
    plain(status, "text/plain; charset=utf-8", message)
}

fn html(page: &'static str) -> Response<Body> {
    plain(StatusCode::OK, "text/html; charset=utf-8", page)
}

fn plain(status: StatusCode, content_type: &'static str, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE_ASK));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    response
}

/// The headers that every answer carries.
fn secure(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // A first visit may carry the token in its address.
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
}

#[cfg(test)]
mod tests;
