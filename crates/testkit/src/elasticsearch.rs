// SPDX-License-Identifier: Apache-2.0
//! A strict stand-in for the bulk API of Elasticsearch.
//!
//! It refuses what Elasticsearch refuses: bodies that are not pairs of lines ending in a line end,
//! unknown actions and parameters, index names against the rules, documents that are no JSON
//! object or name a key twice, `index` on a data stream, a document of a data stream without
//! `@timestamp`, `require_data_stream` on an index that is none, an id that is taken. Names like
//! `logs-*-*`, `metrics-*-*` and `traces-*-*` are data streams, as Elasticsearch's own templates
//! have it. Requests larger than its limit get 413. On demand requests and documents fail.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use tokio::net::TcpListener;

use crate::backend::inflate;

/// A document that was taken.
#[derive(Clone, Debug)]
pub struct Document {
    /// The index it was sent to.
    pub index: String,
    /// The metadata of its action line.
    pub action: Json,
    /// The document.
    pub source: Json,
}

/// JSON whose objects name each key once.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// Without point and exponent.
    Int(i128),
    /// With one of them.
    Double(f64),
    /// Text.
    Text(String),
    /// List.
    List(Vec<Json>),
    /// Object.
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Parses `text`.
    ///
    /// # Errors
    /// What is wrong, a key that is there twice included.
    pub fn parse(text: &[u8]) -> Result<Json, String> {
        serde_json::from_slice(text).map_err(|e| e.to_string())
    }

    /// The member `key`; [`Json::Null`] if there is none.
    pub fn get(&self, key: &str) -> &Json {
        match self {
            Json::Object(members) => members.get(key).unwrap_or(&Json::Null),
            _ => &Json::Null,
        }
    }

    /// Its text; empty for all else.
    pub fn text(&self) -> &str {
        match self {
            Json::Text(text) => text,
            _ => "",
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Int(value) => write!(f, "{value}"),
            Json::Double(value) => write!(f, "{value:?}"),
            Json::Text(text) => write!(f, "{text:?}"),
            Json::List(list) => f.debug_list().entries(list.iter().map(Plain)).finish(),
            Json::Object(members) => {
                let members = members.iter().map(|(key, value)| (key, Plain(value)));
                f.debug_map().entries(members).finish()
            }
        }
    }
}

/// Shows a value as JSON inside lists and maps.
struct Plain<'a>(&'a Json);

impl fmt::Debug for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Int(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Double(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut out = Vec::new();
        while let Some(value) = list.next_element()? {
            out.push(value);
        }
        Ok(Json::List(out))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut out = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, Json>()? {
            if out.contains_key(&key) {
                return Err(serde::de::Error::custom(format!("Duplicate field '{key}'")));
            }
            out.insert(key, value);
        }
        Ok(Json::Object(out))
    }
}

#[derive(Default)]
struct State {
    documents: Mutex<Vec<Document>>,
    requests: Mutex<Vec<(String, HeaderMap, usize)>>,
    ids: Mutex<HashSet<(String, String)>>,
    faults: Mutex<VecDeque<u16>>,
    item_faults: Mutex<VecDeque<u16>>,
    bytes_max: Mutex<Option<usize>>,
    is_opensearch: Mutex<bool>,
}

/// The server; stops when dropped.
pub struct Elasticsearch {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Elasticsearch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Elasticsearch {
    /// Listens on a free port of the loopback interface.
    pub async fn start() -> Elasticsearch {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let task = tokio::spawn(serve(listener, state.clone()));
        Elasticsearch { address, state, task }
    }

    /// `http://address`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests get these statuses, one each; 200 lets one through.
    pub fn fail(&self, statuses: impl IntoIterator<Item = u16>) {
        self.state.faults.lock().extend(statuses);
    }

    /// The next documents get these statuses, one each; 201 lets one through.
    pub fn fail_documents(&self, statuses: impl IntoIterator<Item = u16>) {
        self.state.item_faults.lock().extend(statuses);
    }

    /// Larger requests (inflated) get 413.
    pub fn limit(&self, bytes_max: usize) {
        *self.state.bytes_max.lock() = Some(bytes_max);
    }

    /// Refuses from now on what OpenSearch does not know.
    pub fn be_opensearch(&self) {
        *self.state.is_opensearch.lock() = true;
    }

    /// Documents taken so far, in order.
    pub fn documents(&self) -> Vec<Document> {
        self.state.documents.lock().clone()
    }

    /// Path with query, headers and number of documents of each request that was read.
    pub fn requests(&self) -> Vec<(String, HeaderMap, usize)> {
        self.state.requests.lock().clone()
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(state.clone(), request));
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            // A client that goes away is not this side's failure.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
    let plain = inflate(header("content-encoding"), &body);
    let respond = |status: u16, body: String| {
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("x-elastic-product", "Elasticsearch");
        Ok(response.body(Full::new(Bytes::from(body))).expect("a response"))
    };
    let fault = state.faults.lock().pop_front().filter(|status| *status != 200);
    if let Some(status) = fault {
        return respond(status, error("as_ordered", "as ordered", status));
    }
    if state.bytes_max.lock().is_some_and(|limit| plain.len() > limit) {
        return respond(413, String::new());
    }
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    if parts.uri.path() != "/_bulk" || parts.method != http::Method::POST {
        return respond(405, error("illegal_argument_exception", path, 405));
    }
    if !["application/x-ndjson", "application/json"].contains(&header("content-type")) {
        return respond(406, error("media_type_header_exception", "Content-Type", 406));
    }
    match read(&plain, *state.is_opensearch.lock()) {
        Err(reason) => respond(400, error("illegal_argument_exception", &reason, 400)),
        Ok(pairs) => {
            let count = pairs.len();
            state.requests.lock().push((path.to_owned(), parts.headers.clone(), count));
            let outcomes: Vec<_> =
                pairs.into_iter().map(|(action, source)| state.take(action, source)).collect();
            let errors = outcomes.iter().any(|(status, _, _)| *status >= 300);
            let items: Vec<String> = outcomes.iter().map(item).collect();
            let items = items.join(",");
            respond(200, format!(r#"{{"errors":{errors},"took":1,"items":[{items}]}}"#))
        }
    }
}

fn error(kind: &str, reason: &str, status: u16) -> String {
    format!(r#"{{"error":{{"type":{kind:?},"reason":{reason:?}}},"status":{status}}}"#)
}

fn item((status, kind, reason): &(u16, &'static str, String)) -> String {
    match status {
        ..300 => format!(r#"{{"create":{{"status":{status}}}}}"#),
        _ => format!(
            r#"{{"create":{{"status":{status},"error":{{"type":{kind:?},"reason":{reason:?}}}}}}}"#
        ),
    }
}

/// An action with its metadata, and a document.
type Pair = ((String, Json), Vec<u8>);

/// Actions and documents; an error fails the request as a whole.
fn read(body: &[u8], opensearch: bool) -> Result<Vec<Pair>, String> {
    if body.is_empty() {
        return Err("request body is required".to_owned());
    }
    if !body.ends_with(b"\n") {
        return Err("The bulk request must be terminated by a newline [\\n]".to_owned());
    }
    let mut lines = body[..body.len() - 1].split(|byte| *byte == b'\n');
    let mut out = Vec::new();
    while let Some(line) = lines.next() {
        let number = out.len() * 2 + 1;
        let wrong = |what: &str| format!("Malformed action/metadata line [{number}], {what}");
        let Ok(Json::Object(action)) = Json::parse(line) else {
            return Err(wrong("expected START_OBJECT"));
        };
        let mut action = action.into_iter();
        let (Some((name, meta)), None) = (action.next(), action.next()) else {
            return Err(wrong("expected one action"));
        };
        if !["create", "index"].contains(&name.as_str()) {
            return Err(wrong(&format!("found [{name}]")));
        }
        let Json::Object(members) = &meta else { return Err(wrong("expected START_OBJECT")) };
        const KNOWN: [&str; 6] =
            ["_index", "_id", "pipeline", "routing", "dynamic_templates", "require_data_stream"];
        let known = if opensearch { &KNOWN[..4] } else { &KNOWN };
        if let Some(key) = members.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!(
                "Action/metadata line [{number}] contains an unknown parameter [{key}]"
            ));
        }
        let source = lines.next().ok_or("a document is missing")?;
        out.push(((name, meta), source.to_vec()));
    }
    Ok(out)
}

/// Elasticsearch's rules for names of indices.
fn name_fault(name: &str) -> Option<String> {
    let forbidden = name.chars().find(|c| "\\/*?\"<>| ,#:".contains(*c));
    let fault = match name {
        "" => "must not be empty".to_owned(),
        "." | ".." => "must not be '.' or '..'".to_owned(),
        _ if name.starts_with(['_', '-', '+']) => "must not start with '_', '-', or '+'".to_owned(),
        _ if name.chars().any(char::is_uppercase) => "must be lowercase".to_owned(),
        _ if name.len() > 255 => "index name is too long".to_owned(),
        _ => format!("must not contain '{}'", forbidden?),
    };
    Some(format!("Invalid index name [{name}], {fault}"))
}

/// Does one of the built-in templates make a data stream of this name?
fn is_data_stream(name: &str) -> bool {
    let mut parts = name.splitn(3, '-');
    let kind = parts.next().unwrap_or_default();
    ["logs", "metrics", "traces"].contains(&kind)
        && parts.filter(|part| !part.is_empty()).count() == 2
}

impl State {
    fn take(&self, (action, meta): (String, Json), source: Vec<u8>) -> (u16, &'static str, String) {
        if let Some(status) = self.item_faults.lock().pop_front().filter(|status| *status != 201) {
            return (status, "as_ordered", "as ordered".to_owned());
        }
        let index = meta.get("_index").text().to_owned();
        if let Some(fault) = name_fault(&index) {
            return (400, "invalid_index_name_exception", fault);
        }
        let is_stream = is_data_stream(&index);
        if *meta.get("require_data_stream") == Json::Bool(true) && !is_stream {
            return (
                404,
                "index_not_found_exception",
                format!("no such index [{index}] and [require_data_stream] request is [true]"),
            );
        }
        if is_stream && action != "create" {
            return (
                400,
                "illegal_argument_exception",
                "only write ops with an op_type of create are allowed in data streams".to_owned(),
            );
        }
        let parsed = match Json::parse(&source) {
            Ok(parsed @ Json::Object(_)) => parsed,
            Ok(_) => {
                return (400, "document_parsing_exception", "expected START_OBJECT".to_owned());
            }
            Err(reason) => return (400, "document_parsing_exception", reason),
        };
        if is_stream && *parsed.get("@timestamp") == Json::Null {
            return (
                400,
                "document_parsing_exception",
                "data stream timestamp field [@timestamp] is missing".to_owned(),
            );
        }
        let id = meta.get("_id").text();
        if !id.is_empty() && !self.ids.lock().insert((index.clone(), id.to_owned())) {
            return (
                409,
                "version_conflict_engine_exception",
                format!("[{id}]: version conflict, document already exists"),
            );
        }
        self.documents.lock().push(Document { index, action: meta, source: parsed });
        (201, "", String::new())
    }
}
