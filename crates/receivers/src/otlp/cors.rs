// SPDX-License-Identifier: Apache-2.0
//! Cross-origin requests of browsers, by the collector's `cors` keys.
//!
//! Without `allowed_origins` no browser page of another origin may send. Source: Fetch standard.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

/// Who may send from a browser, and what it may send and see.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cors {
    /// Origins, each with at most one `*`; `*` alone is any.
    pub origins: Vec<String>,
    /// Request headers beyond the safe ones; `*` is any.
    pub headers: Vec<String>,
    /// Response headers a page may read.
    pub exposed: Vec<String>,
    /// Seconds a browser may remember the answer.
    pub max_age: u64,
}

/// Headers that OTLP needs from a browser and a page may always send.
const ALWAYS: [&str; 4] = ["content-type", "accept", "origin", "x-requested-with"];

impl Cors {
    /// The answer if `request` is a preflight.
    pub fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        let asked = request.headers();
        if request.method() != Method::OPTIONS
            || !asked.contains_key(ORIGIN)
            || !asked.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        {
            return None;
        }
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if !self.origin_allowed(asked.get(ORIGIN)?) {
            return Some(response);
        }
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        if let Some(wanted) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS)
            && self.headers_allowed(wanted)
        {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        if self.max_age > 0 {
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age));
        }
        Some(response)
    }

    /// Adds what lets a page of `origin` read the answer, if it may.
    pub fn allow(&self, origin: &HeaderValue, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if !self.origin_allowed(origin) {
            return;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if !self.exposed.is_empty()
            && let Ok(exposed) = HeaderValue::from_str(&self.exposed.join(", "))
        {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }

    fn origin_allowed(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        self.origins.iter().any(|pattern| match pattern.split_once('*') {
            None => pattern.eq_ignore_ascii_case(origin),
            Some((start, end)) => {
                origin.len() >= start.len() + end.len()
                    && origin.starts_with(start)
                    && origin.ends_with(end)
            }
        })
    }

    fn headers_allowed(&self, wanted: &HeaderValue) -> bool {
        let Ok(wanted) = wanted.to_str() else { return false };
        wanted.split(',').map(str::trim).filter(|name| !name.is_empty()).all(|name| {
            ALWAYS.iter().any(|known| known.eq_ignore_ascii_case(name))
                || self.headers.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors() -> Cors {
        Cors {
            origins: vec!["https://*.example.com".into(), "http://localhost:3000".into()],
            headers: vec!["X-Token".into()],
            exposed: vec![],
            max_age: 7200,
        }
    }

    fn allows(origin: &'static str) -> bool {
        cors().origin_allowed(&HeaderValue::from_static(origin))
    }

    #[test]
    fn origins_match_with_one_wildcard() {
        assert!(allows("https://a.example.com"));
        assert!(allows("http://localhost:3000"));
        assert!(!allows("https://example.com"));
        assert!(!allows("https://a.example.com.evil.org"));
        assert!(!allows("http://localhost:3001"));
    }

    #[test]
    fn a_preflight_names_only_what_is_allowed() {
        let ask = |headers: &str| {
            let request = Request::builder()
                .method("OPTIONS")
                .header("origin", "https://a.example.com")
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", headers)
                .body(())
                .expect("valid");
            cors().preflight(&request).expect("is a preflight")
        };
        let ok = ask("content-type, x-token");
        assert_eq!(ok.status(), 204);
        assert_eq!(ok.headers()["access-control-allow-headers"], "content-type, x-token");
        assert_eq!(ok.headers()["access-control-max-age"], "7200");
        assert!(!ask("x-other").headers().contains_key("access-control-allow-headers"));
    }
}
