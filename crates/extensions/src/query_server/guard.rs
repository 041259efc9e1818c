// SPDX-License-Identifier: Apache-2.0
//! Who may talk to the page: no web site but our own, and off loopback nobody without the token.
//!
//! Three checks, in this order, before any handler runs:
//! 1. `Host` must name this machine: an IP address, `localhost`, or a name from `allowed_hosts`.
//!    A name that an attacker's DNS points at 127.0.0.1 (DNS rebinding) is refused with 403.
//! 2. `Origin`, when a browser sends one, must be the `Host`. So another site's script can neither
//!    read from us nor post to us.
//! 3. If the listener is not on loopback (or a token is configured): the token, as cookie, bearer
//!    token, basic-auth password or `?token=`; the last sets the cookie and redirects to the same
//!    page without it. The link is printed at start. `/-/healthy` and `/-/ready` stay open.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use base64::Engine as _;

/// Name of the cookie that holds the token.
const COOKIE: &str = "foreglow_token";

/// The rules of one listener.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Extra host names, lower case, without port.
    pub allowed_hosts: Vec<String>,
    /// The token everybody must show; `None` = open.
    pub token: Option<String>,
}

/// What the guard says of a request.
#[derive(Debug)]
pub enum Decision {
    /// Handle it.
    Pass,
    /// Answer this instead.
    Answer(Response<Body>),
}

impl Guard {
    /// A random token: 128 bits from the operating system, in hex.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn make_token() -> basics::Result<String> {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes)
            .map_err(|e| basics::Error::closed(format!("no randomness for a token: {e}")))?;
        Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
    }

    /// Judges `request`.
    pub fn judge<B>(&self, request: &Request<B>) -> Decision {
        let headers = request.headers();
        let host = host_of(request);
        if !self.is_known_host(&host) {
            return refuse(format!(
                "host {host:?} is not known here; open the page by its address, or add the name to allowed_hosts of the query_server extension\n"
            ));
        }
        if let Some(origin) = headers.get(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or("");
            let same = origin
                .split_once("://")
                .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(&host));
            if !same {
                return refuse(format!("cross-site request from origin {origin:?} refused\n"));
            }
        }
        let Some(token) = &self.token else { return Decision::Pass };
        let path = request.uri().path();
        if path == "/-/healthy" || path == "/-/ready" {
            return Decision::Pass;
        }
        if let Some(given) = query_token(request.uri())
            && same_bytes(given.as_bytes(), token.as_bytes())
            && request.method() == Method::GET
        {
            return Decision::Answer(set_cookie_and_redirect(request.uri(), token));
        }
        if shown_tokens(headers).any(|given| same_bytes(given.as_bytes(), token.as_bytes())) {
            return Decision::Pass;
        }
        Decision::Answer(unauthorized())
    }

    fn is_known_host(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.allowed_hosts.iter().any(|h| h.eq_ignore_ascii_case(&name))
    }
}

/// `Host` of HTTP/1, authority of HTTP/2.
fn host_of<B>(request: &Request<B>) -> String {
    let header = request.headers().get(header::HOST).and_then(|h| h.to_str().ok());
    let authority = request.uri().authority().map(|a| a.as_str());
    header.or(authority).unwrap_or("").to_owned()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn query_token(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// Every token the request shows, whatever way.
fn shown_tokens(headers: &HeaderMap) -> impl Iterator<Item = String> + '_ {
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.to_owned());
    let authorization = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split_once(' '))
        .and_then(|(scheme, value)| match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Some(value.trim().to_owned()),
            "basic" => basic_password(value.trim()),
            _ => None,
        });
    cookies.chain(authorization)
}

fn basic_password(value: &str) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(value).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// Compares in a time that does not tell where the first difference is.
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

fn refuse(text: String) -> Decision {
    Decision::Answer(plain(StatusCode::FORBIDDEN, text))
}

fn unauthorized() -> Response<Body> {
    let text = "this page needs its token: open the link that foreglow printed when it started, or send it as a bearer token\n";
    let mut response = plain(StatusCode::UNAUTHORIZED, text.to_owned());
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"foreglow\""));
    response
}

fn set_cookie_and_redirect(uri: &Uri, token: &str) -> Response<Body> {
    let rest: Vec<&str> = uri
        .query()
        .unwrap_or("")
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("token="))
        .collect();
    // One leading slash only: `//host/path` would redirect to another site.
    let path = format!("/{}", uri.path().trim_start_matches('/'));
    let target = if rest.is_empty() { path } else { format!("{path}?{}", rest.join("&")) };
    let mut response = plain(StatusCode::SEE_OTHER, String::new());
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000");
    for (name, value) in [(header::LOCATION, target), (header::SET_COOKIE, cookie)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard, path: &str, headers: &[(&str, &str)], expected: Option<u16>) {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let got = match guard.judge(&request.body(()).expect("valid request")) {
            Decision::Pass => None,
            Decision::Answer(answer) => Some(answer.status().as_u16()),
        };
        assert_eq!(got, expected, "{path} {headers:?}");
    }

    #[test]
    fn only_known_hosts_and_the_own_origin_pass() {
        let guard = Guard { allowed_hosts: vec!["metrics.example".into()], token: None };
        for (host, expected) in [
            ("localhost:7070", None),
            ("127.0.0.1:7070", None),
            ("[::1]:7070", None),
            ("10.1.2.3", None),
            ("app.localhost", None),
            ("metrics.example:7070", None),
            ("METRICS.example", None),
            ("evil.example", Some(403)),
            ("127.0.0.1.evil.example", Some(403)),
            ("", Some(403)),
        ] {
            check(&guard, "/", &[("host", host)], expected);
        }
        let host = ("host", "localhost:7070");
        for (origin, expected) in [
            ("http://localhost:7070", None),
            ("https://localhost:7070", None),
            ("http://localhost:9999", Some(403)),
            ("http://evil.example", Some(403)),
            ("null", Some(403)),
        ] {
            check(&guard, "/api/v1/query", &[host, ("origin", origin)], expected);
        }
    }

    #[test]
    fn a_token_is_wanted_in_any_of_its_four_forms() {
        let guard = Guard { allowed_hosts: vec![], token: Some("s3cret".into()) };
        let host = ("host", "10.0.0.1:7070");
        for (path, header, expected) in [
            ("/", None, Some(401)),
            ("/-/healthy", None, None),
            ("/?token=s3cret", None, Some(303)),
            ("/?token=wrong!", None, Some(401)),
            ("/", Some(("cookie", "a=b; foreglow_token=s3cret")), None),
            ("/", Some(("cookie", "foreglow_token=s3cre")), Some(401)),
            ("/", Some(("authorization", "Bearer s3cret")), None),
            ("/", Some(("authorization", "Basic dTpzM2NyZXQ=")), None),
            ("/", Some(("authorization", "Basic dTpub3Bl")), Some(401)),
            ("/", Some(("authorization", "Digest s3cret")), Some(401)),
        ] {
            let headers: Vec<_> = std::iter::once(host).chain(header).collect();
            check(&guard, path, &headers, expected);
        }
    }

    #[test]
    fn the_token_link_leads_to_the_same_page_on_this_host() {
        let uri: Uri = "/explore?q=up&token=s3cret&range=1h".parse().expect("uri");
        let answer = set_cookie_and_redirect(&uri, "s3cret");
        assert_eq!(answer.headers()[header::LOCATION], "/explore?q=up&range=1h");
        let uri: Uri = "http://h//evil.example/x?token=s3cret".parse().expect("uri");
        let answer = set_cookie_and_redirect(&uri, "s3cret");
        assert_eq!(answer.headers()[header::LOCATION], "/evil.example/x");
    }
}
