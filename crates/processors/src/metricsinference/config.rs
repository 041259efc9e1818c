// SPDX-License-Identifier: Apache-2.0
//! The YAML of `metricsinference`: the keys of the published processor and a few more.

use basics::Result;
use models::kserve::{ClientConfig, DoubleEncoding, Keepalive};
use models::{DataType, Param, Params, builtin};
use pipeline::config::{Checker, ComponentConfig};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::naming::Pattern;
use super::selector::Selector;

/// How far apart the points of a joined row may lie unless the user says: the export interval
/// that OpenTelemetry SDKs have by default, so both halves of one cycle meet even when they come
/// in separate requests.
const TOLERANCE: Duration = Duration::from_secs(60);

/// Settings of the processor.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The model server. Set: all models are remote. Absent: all models are embedded.
    pub grpc: Option<GrpcConfig>,
    /// Time for one call to the server: seconds as a number, or a duration. Default 10s.
    pub timeout: Option<Seconds>,
    /// How result metrics are named.
    pub naming: NamingConfig,
    /// Which points are used, and how inputs are matched in time.
    pub data_handling: DataHandlingConfig,
    /// Bounds of what is remembered.
    pub state: StateConfig,
    /// What to compute.
    pub rules: Vec<RuleConfig>,
}

/// Where the model server is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GrpcConfig {
    /// `host:port`, or `http://host:port`.
    pub endpoint: String,
    /// TLS; not supported yet.
    pub use_ssl: bool,
    /// gzip; taken note of, requests are sent plain.
    pub compression: bool,
    /// Largest answer taken, in bytes; 0 = 4 MiB.
    pub max_receive_message_size: usize,
    /// Sent with every call.
    pub headers: BTreeMap<String, String>,
    /// HTTP/2 pings.
    pub keepalive: Option<KeepaliveConfig>,
    /// How parameters with a fraction travel: as text ("2.000000", any server) or natively.
    pub parameters_encoding: ParametersEncoding,
}

/// How parameters with a fraction travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParametersEncoding {
    /// As text with six decimals.
    #[default]
    String,
    /// As a double, which MLServer drops.
    Native,
}

/// HTTP/2 pings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct KeepaliveConfig {
    /// Time between pings; default 30s.
    pub time: Option<Seconds>,
    /// Time an answer may take; default 20s.
    pub timeout: Option<Seconds>,
    /// Ping also when no call is open.
    pub permit_without_stream: bool,
}

/// How result metrics are named.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NamingConfig {
    /// Default: names in `outputs` are used as written, results without one are named after the
    /// input.
    pub mode: Option<NamingMode>,
    /// Parts of an input's name that make its stem.
    pub max_stem_parts: usize,
    /// Leave out a first part such as `system`.
    pub skip_common_domains: bool,
    /// Group many inputs by what they measure.
    pub enable_category_grouping: bool,
    /// Most stems joined in full.
    pub abbreviation_threshold: usize,
}

impl Default for NamingConfig {
    fn default() -> Self {
        NamingConfig {
            mode: None,
            max_stem_parts: 2,
            skip_common_domains: true,
            enable_category_grouping: true,
            abbreviation_threshold: 4,
        }
    }
}

/// How result metrics are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamingMode {
    /// As written.
    Exact,
    /// `<stem of the inputs>.<output>`, as the published processor does, written names included.
    Intelligent,
}

/// Which points are used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DataHandlingConfig {
    /// `all` (default): every point is answered. `latest`: the newest of each series in a batch.
    /// `window`: the newest `window_size` of them.
    pub mode: Option<DataMode>,
    /// Points of a series and batch in mode `window`.
    pub window_size: Option<usize>,
    /// Accepted; points of a joined row are always matched in time.
    pub align_timestamps: Option<bool>,
    /// Milliseconds that the points of a joined row may lie apart. Default 60000.
    pub timestamp_tolerance: Option<u64>,
}

/// Which points of a series in one batch are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataMode {
    /// The newest.
    Latest,
    /// The newest few.
    Window,
    /// All.
    #[default]
    All,
}

/// Bounds of what is remembered.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct StateConfig {
    /// Most series a rule keeps; the longest unseen go first. The default is 320 MB of
    /// Holt-Winters state at 60 slots.
    pub max_series: usize,
    /// A series unseen for this long is forgotten. Default 1h.
    pub ttl: Option<Seconds>,
}

impl Default for StateConfig {
    fn default() -> Self {
        StateConfig { max_series: 1_000_000, ttl: None }
    }
}

/// One model applied to some inputs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RuleConfig {
    /// Name in the processor's own metrics; default `<model_name>#<index>`.
    pub name: String,
    /// Which model.
    pub model_name: String,
    /// Version; empty leaves the choice to the server.
    pub model_version: String,
    /// Metric names or selectors.
    pub inputs: Vec<String>,
    /// Results to write; empty = all that the model has.
    pub outputs: Vec<OutputConfig>,
    /// Name of each result, with placeholders.
    pub output_pattern: String,
    /// Parameters of the model.
    pub parameters: BTreeMap<String, ParamValue>,
}

/// One result metric.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OutputConfig {
    /// Metric name.
    pub name: String,
    /// How numbers are written; default as the model types them.
    pub data_type: Option<OutputType>,
    /// Description.
    pub description: String,
    /// Unit.
    pub unit: String,
    /// Which output of the model; default the one of this name, else of this position.
    pub output_index: Option<usize>,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputType {
    /// Doubles.
    #[serde(alias = "double", alias = "FP32", alias = "FP64")]
    Float,
    /// Integers.
    #[serde(alias = "int64", alias = "int32", alias = "INT32", alias = "INT64")]
    Int,
    /// 0 or 1.
    #[serde(alias = "BOOL")]
    Bool,
    /// Text, which no metric can hold.
    #[serde(alias = "BYTES")]
    String,
}

impl OutputType {
    /// As the models crate calls it.
    pub fn data_type(self) -> DataType {
        match self {
            OutputType::Float | OutputType::String => DataType::Float,
            OutputType::Int => DataType::Int,
            OutputType::Bool => DataType::Bool,
        }
    }
}

/// A time in the configuration: a number of seconds, or a duration such as `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecondsVisitor)
    }
}

struct SecondsVisitor;

impl Visitor<'_> for SecondsVisitor {
    type Value = Seconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds or a duration such as 500ms or 10s")
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Seconds, E> {
        Ok(Seconds(Duration::from_secs(seconds)))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Seconds, E> {
        Duration::try_from_secs_f64(seconds).map(Seconds).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Seconds, E> {
        basics::duration::parse(text).map(Seconds).map_err(E::custom)
    }
}

/// A parameter value of any scalar type.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamValue(pub Param);

impl<'de> Deserialize<'de> for ParamValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParamVisitor).map(ParamValue)
    }
}

struct ParamVisitor;

impl Visitor<'_> for ParamVisitor {
    type Value = Param;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a text, or true or false")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Param, E> {
        Ok(Param::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Param, E> {
        Ok(Param::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Param, E> {
        Ok(i64::try_from(value).map_or(Param::Double(value as f64), Param::Int))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Param, E> {
        Ok(Param::Double(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Param, E> {
        Ok(Param::Text(value.to_owned()))
    }
}

impl Config {
    /// Time for one call.
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or(Duration::from_secs(10), |timeout| timeout.0)
    }
}

impl DataHandlingConfig {
    /// Most points of a series that are used of one batch.
    pub fn points_max(&self) -> usize {
        match self.mode.unwrap_or_default() {
            DataMode::Latest => 1,
            DataMode::Window => self.window_size.unwrap_or(1).max(1),
            DataMode::All => usize::MAX,
        }
    }

    /// How far the points of a joined row may lie apart.
    pub fn tolerance(&self) -> Duration {
        self.timestamp_tolerance.map_or(TOLERANCE, Duration::from_millis)
    }
}

impl StateConfig {
    /// Time after which an unseen series is forgotten.
    pub fn ttl(&self) -> Duration {
        self.ttl.map_or(Duration::from_secs(3600), |ttl| ttl.0)
    }
}

impl GrpcConfig {
    /// As the client wants it.
    pub fn client(&self) -> ClientConfig {
        let or =
            |time: Option<Seconds>, default| time.map_or(Duration::from_secs(default), |t| t.0);
        ClientConfig {
            endpoint: self.endpoint.clone(),
            headers: self.headers.clone(),
            max_receive_message_size: match self.max_receive_message_size {
                0 => None,
                bytes => Some(bytes),
            },
            keepalive: self.keepalive.as_ref().map(|keepalive| Keepalive {
                time: or(keepalive.time, 30),
                timeout: or(keepalive.timeout, 20),
                permit_without_stream: keepalive.permit_without_stream,
            }),
            doubles: match self.parameters_encoding {
                ParametersEncoding::String => DoubleEncoding::Text,
                ParametersEncoding::Native => DoubleEncoding::Native,
            },
        }
    }
}

impl RuleConfig {
    /// The parameters as models read them.
    pub fn params(&self) -> Params {
        let own = |(name, value): (&String, &ParamValue)| (name.clone(), value.0.clone());
        Params(self.parameters.iter().map(own).collect())
    }

    /// The inputs, read.
    ///
    /// # Errors
    /// The first input that does not read.
    pub fn selectors(&self) -> Result<Vec<Selector>> {
        self.inputs.iter().map(|input| Selector::parse(input)).collect()
    }

    fn validate(&self, index: usize, embedded: bool, at: &mut Checker<'_>) {
        if self.model_name.is_empty() {
            let text = format!("missing required field \"model_name\" for rule at index {index}");
            at.error("model_name", text);
        } else if embedded {
            let model = builtin::create(&self.model_name, self.inputs.len().max(1), &self.params());
            if let Err(error) = model.map(|_| ()) {
                at.error("model_name", error.to_string());
            }
        }
        if self.inputs.is_empty() {
            at.error(
                "inputs",
                format!("missing required field \"inputs\" for rule at index {index}"),
            );
        }
        for (index, input) in self.inputs.iter().enumerate() {
            if let Err(error) = Selector::parse(input) {
                at.key("inputs").item(index).error("", error.to_string());
            }
        }
        if let Err(error) = Pattern::parse(&self.output_pattern, self.inputs.len()) {
            at.error("output_pattern", error.to_string());
        }
        for (index, output) in self.outputs.iter().enumerate() {
            let mut at = at.key("outputs");
            let mut at = at.item(index);
            if output.name.is_empty() && self.output_pattern.is_empty() {
                at.error("name", "an output needs a name".to_owned());
            }
            if let Err(error) = Pattern::parse(&output.name, self.inputs.len()) {
                at.error("name", error.to_string());
            }
            if output.data_type == Some(OutputType::String) {
                at.error("data_type", "text results cannot become metric points".to_owned());
            }
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if let Some(grpc) = &self.grpc {
            let mut at = at.key("grpc");
            if let Err(error) = grpc.client().check() {
                let text = match grpc.endpoint.as_str() {
                    "" => {
                        "gRPC endpoint must be specified; for embedded models leave out grpc".into()
                    }
                    _ => error.to_string(),
                };
                at.error("endpoint", text);
            }
            if grpc.use_ssl {
                at.error("use_ssl", "TLS to the model server is not supported yet".to_owned());
            }
            if grpc.compression {
                at.warn("compression", "requests are sent uncompressed".to_owned());
            }
        }
        if self.timeout.is_some_and(|timeout| timeout.0.is_zero()) {
            at.error("timeout", "must be longer than nothing".to_owned());
        }
        if self.data_handling.mode == Some(DataMode::Window)
            && self.data_handling.window_size == Some(0)
        {
            at.key("data_handling").error("window_size", "must be at least 1".to_owned());
        }
        if self.state.max_series == 0 {
            at.key("state").error("max_series", "must be at least 1".to_owned());
        }
        if self.rules.is_empty() {
            at.error("rules", "no rules: nothing would be computed".to_owned());
        }
        let embedded = self.grpc.is_none();
        for (index, rule) in self.rules.iter().enumerate() {
            rule.validate(index, embedded, &mut at.key("rules").item(index));
        }
    }
}
