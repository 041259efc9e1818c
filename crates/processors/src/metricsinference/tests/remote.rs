// SPDX-License-Identifier: Apache-2.0
//! Rules whose model is a (fake) KServe server.
use super::super::remote::QUEUE;
use super::*;
use models::kserve::proto::ParameterChoice;
use testkit::kserve::{Dialect, FakeKserve, FakeModel, Fault};
use tokio::time::timeout;

/// Sends results into a channel.
struct Collected(mpsc::UnboundedSender<Payload>);

#[async_trait]
impl Emit for Collected {
    async fn emit(&self, payload: Payload, _: Arc<Meta>) -> Result<()> {
        let _ = self.0.send(payload);
        Ok(())
    }
}

struct Running {
    subject: Subject,
    results: mpsc::UnboundedReceiver<Payload>,
}

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn yaml(endpoint: &str, more: &str) -> String {
    format!(
        r#"
grpc: {{endpoint: "{endpoint}"}}
{more}
rules:
  - name: scale
    model_name: simple-scale
    inputs: [cpu]
    outputs: [{{name: cpu.predicted}}]
    parameters: {{scale_factor: 2.0}}
  - name: sum
    model_name: simple-sum
    inputs: [http, grpc]
    outputs: [{{name: total}}]
"#
    )
}

fn run(yaml: &str) -> Running {
    let mut subject = Subject { clock: Clock::system(), ..subject(yaml) };
    subject.stage = Inference::new(&config(yaml), &subject.telemetry, Clock::system()).unwrap();
    let (sender, results) = mpsc::unbounded_channel();
    subject.stage.start(|| Arc::new(Collected(sender))).unwrap();
    Running { subject, results }
}

impl Running {
    fn feed(&mut self, list: &[(&str, &str, &str, u64, f64)]) {
        let started = std::time::Instant::now();
        assert_eq!(self.subject.take(&payload(list)), [], "remote results come later");
        assert!(started.elapsed() < Duration::from_millis(500), "the pipeline does not wait");
    }

    async fn result(&mut self) -> Vec<(String, f64)> {
        let payload = timeout(PATIENCE, self.results.recv()).await.expect("a result in time");
        values(&points(&payload.expect("the workers run")))
    }

    async fn until(&self, rule: &str, model: &str, outcome: &str, count: f64) {
        let reached = async {
            while self.subject.requests(rule, model, outcome) < count {
                tokio::task::yield_now().await;
            }
        };
        if timeout(PATIENCE, reached).await.is_err() {
            panic!("{rule} {outcome}: {}", self.subject.requests(rule, model, outcome));
        }
    }
}

fn models() -> [(&'static str, FakeModel); 2] {
    [("simple-scale", FakeModel::scale()), ("simple-sum", FakeModel::sum())]
}

/// Defects 5 and 6: raw answers were not read, tensors were misnamed and mistyped.
#[tokio::test]
async fn all_dialects_give_the_same_results() {
    for dialect in [Dialect::MlServer, Dialect::Triton, Dialect::Strict] {
        for datatype in ["FP64", "FP32", "INT64"] {
            let models = models().map(|(name, model)| (name, model.typed(datatype)));
            let fake = FakeKserve::start(dialect, &models).await;
            let mut running = run(&yaml(&fake.endpoint(), ""));
            running.feed(&[
                ("h1", "cpu", "core=0", 1, 3.0),
                ("h1", "cpu", "core=1", 1, 5.0),
                ("h2", "cpu", "core=0", 1, 7.0),
            ]);
            let expected = [
                ("host.name=h1 | cpu.predicted{core=0}", 6.0),
                ("host.name=h1 | cpu.predicted{core=1}", 10.0),
                ("host.name=h2 | cpu.predicted{core=0}", 14.0),
            ];
            assert_eq!(running.result().await, pairs(&expected), "{dialect:?} {datatype}");
            running.feed(&[("h", "http", "", 2, 1.0), ("h", "grpc", "", 2, 10.0)]);
            let expected = [("host.name=h | total{}", 11.0)];
            assert_eq!(running.result().await, pairs(&expected), "{dialect:?} {datatype}");
        }
    }
}

#[tokio::test]
async fn all_series_go_in_one_request_with_the_models_tensor_names() {
    let fake = FakeKserve::start(Dialect::Triton, &models()).await;
    let mut running = run(&yaml(&fake.endpoint(), ""));
    let labels: Vec<String> = (0..1000).map(|i| format!("core={i}")).collect();
    let list: Vec<_> = labels.iter().map(|label| ("h", "cpu", label.as_str(), 1, 1.0)).collect();
    running.feed(&list);
    assert_eq!(running.result().await.len(), 1000);
    let requests = fake.requests();
    assert_eq!(requests.len(), 1);
    let input = &requests[0].inputs[0];
    assert_eq!((input.name.as_str(), input.datatype.as_str()), ("input_tensor", "FP64"));
    assert_eq!(input.shape, [1000]);
    let factor = requests[0].parameters["scale_factor"].choice.clone();
    assert_eq!(factor, Some(ParameterChoice::String("2.000000".into())));
}

#[tokio::test]
async fn doubles_can_be_sent_natively() {
    let fake = FakeKserve::start(Dialect::Triton, &models()).await;
    let yaml = yaml(&fake.endpoint(), "").replace("\"}", "\", parameters_encoding: native}");
    let mut running = run(&yaml);
    running.feed(&[("h", "cpu", "", 1, 3.0)]);
    assert_eq!(running.result().await[0].1, 6.0);
    let choice = fake.requests()[0].parameters["scale_factor"].choice.clone();
    assert_eq!(choice, Some(ParameterChoice::Double(2.0)));
}

#[tokio::test]
async fn headers_go_with_every_call_and_answers_have_a_limit() {
    let fake = FakeKserve::start(Dialect::Strict, &models()).await;
    let more = "\", headers: {Authorization: Bearer x}, max_receive_message_size: 400}";
    let mut running = run(&yaml(&fake.endpoint(), "").replace("\"}", more));
    running.feed(&[("h", "cpu", "", 1, 3.0)]);
    assert_eq!(running.result().await[0].1, 6.0);
    assert_eq!(fake.headers()["authorization"], "Bearer x");
    let labels: Vec<String> = (0..100).map(|i| format!("core={i}")).collect();
    let list: Vec<_> = labels.iter().map(|label| ("h", "cpu", label.as_str(), 2, 1.0)).collect();
    running.feed(&list);
    running.until("scale", "simple-scale", "error", 1.0).await;
}

/// Also defect 7: the order of inputs came from a map.
#[tokio::test]
async fn a_model_that_describes_nothing_gets_tensors_named_after_the_inputs() {
    let silent = models().map(|(name, model)| (name, model.silent()));
    let fake = FakeKserve::start(Dialect::MlServer, &silent).await;
    let mut running = run(&yaml(&fake.endpoint(), ""));
    running.feed(&[("h", "http", "", 2, 1.0), ("h", "grpc", "", 2, 10.0)]);
    assert_eq!(running.result().await, pairs(&[("host.name=h | total{}", 11.0)]));
    let names: Vec<String> = fake.requests()[0].inputs.iter().map(|t| t.name.clone()).collect();
    assert_eq!(names, ["http", "grpc"]);
}

#[tokio::test]
async fn more_rows_than_fit_are_split_over_calls() {
    let fake = FakeKserve::start(Dialect::Triton, &models()).await;
    let mut running = run(&yaml(&fake.endpoint(), ""));
    let labels: Vec<String> = (0..20_000).map(|i| format!("{i:05}")).collect();
    let mut writer = Writer::new();
    writer.gauge("cpu", "", "", |points| {
        for (i, label) in labels.iter().enumerate() {
            points.double(T0, i as f64, |to| to.str("id", label));
        }
    });
    assert_eq!(running.subject.take(&writer.finish()), []);
    let got = running.result().await;
    assert_eq!(got.len(), 20_000);
    let expected = |i: usize| (format!(" | cpu.predicted{{id={}}}", labels[i]), i as f64 * 2.0);
    assert!(got.iter().enumerate().all(|(i, have)| *have == expected(i)));
    assert_eq!(fake.requests().len(), 2);
}

/// Defect 9: a server that was not there at the start was never looked for again.
#[tokio::test]
async fn a_dead_server_costs_nothing_and_is_used_when_it_comes_back() {
    let mut fake = FakeKserve::start(Dialect::Strict, &models()).await;
    fake.stop().await;
    let mut running = run(&yaml(&fake.endpoint(), "timeout: 2"));
    running.feed(&[("h", "cpu", "", 1, 3.0)]);
    running.until("scale", "simple-scale", "unavailable", 1.0).await;
    fake.restart().await;
    let mut second = 2;
    let back = async {
        while running.results.is_empty() {
            running.subject.take(&payload(&[("h", "cpu", "", second, 3.0)]));
            second += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, back).await.expect("the server is found again");
    assert_eq!(running.result().await[0].1, 6.0);
    // Gone again in the middle of it.
    fake.stop().await;
    running.feed(&[("h", "cpu", "", 9_999, 3.0)]);
    running.until("scale", "simple-scale", "unavailable", 2.0).await;
}

/// Defect 8: a slow server held up the pipeline.
#[tokio::test]
async fn a_hanging_server_fills_the_queue_and_nothing_else() {
    let fake = FakeKserve::start(Dialect::Strict, &models()).await;
    fake.fail(Fault::Hang);
    let mut running = run(&yaml(&fake.endpoint(), "timeout: 300ms"));
    for i in 0..QUEUE as u64 + 4 {
        running.feed(&[("h", "cpu", "", i, 3.0)]);
    }
    running.until("scale", "simple-scale", "overflow", 3.0).await;
    running.until("scale", "simple-scale", "timeout", 1.0).await;
    fake.fail(Fault::None);
    assert_eq!(running.result().await[0].1, 6.0);
    // The other rule has its own queue and was never held up.
    assert_eq!(running.subject.requests("sum", "simple-sum", "overflow"), 0.0);
}

#[tokio::test]
async fn what_makes_no_sense_is_counted_and_not_written() {
    for (fault, outcome) in [
        (Fault::Garbage, "error"),
        (Fault::WrongShape, "error"),
        (Fault::Exception, "error"),
        (Fault::NotReady, "unavailable"),
        (Fault::NotANumber, "ok"),
    ] {
        let fake = FakeKserve::start(Dialect::MlServer, &models()).await;
        fake.fail(fault);
        let mut running = run(&yaml(&fake.endpoint(), ""));
        running.feed(&[("h", "cpu", "a=1", 1, 3.0), ("h", "cpu", "a=2", 1, 3.0)]);
        running.until("scale", "simple-scale", outcome, 1.0).await;
        running.subject.stage.finish_remote().await;
        assert!(running.results.is_empty(), "{fault:?}");
        if fault == Fault::NotANumber {
            assert_eq!(running.subject.skipped("scale", "no_answer"), 2.0);
        }
    }
}

#[tokio::test]
async fn an_unknown_model_and_a_model_of_another_shape_are_unavailable() {
    let narrow = FakeModel { inputs: vec![], ..FakeModel::scale() };
    let wide = FakeModel {
        inputs: vec![testkit::kserve::tensor("x", "FP64", &[-1, 3])],
        ..FakeModel::sum()
    };
    let fake = FakeKserve::start(Dialect::Strict, &[("other", narrow), ("simple-sum", wide)]).await;
    let mut running = run(&yaml(&fake.endpoint(), ""));
    running.feed(&[("h", "cpu", "", 1, 3.0), ("h", "http", "", 1, 3.0), ("h", "grpc", "", 1, 3.0)]);
    running.until("scale", "simple-scale", "unavailable", 1.0).await;
    running.until("sum", "simple-sum", "unavailable", 1.0).await;
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn a_call_that_fails_for_a_moment_is_tried_once_more() {
    let fake = FakeKserve::start(Dialect::Strict, &models()).await;
    fake.fail(Fault::Unavailable(1));
    let mut running = run(&yaml(&fake.endpoint(), ""));
    running.feed(&[("h", "cpu", "", 1, 3.0)]);
    assert_eq!(running.result().await[0].1, 6.0);
    assert_eq!(fake.requests().len(), 2);
    fake.fail(Fault::Unavailable(2));
    running.feed(&[("h", "cpu", "", 2, 3.0)]);
    running.until("scale", "simple-scale", "unavailable", 1.0).await;
    assert_eq!(fake.requests().len(), 4);
}

#[tokio::test]
async fn a_peer_that_speaks_no_grpc_is_unavailable() {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n\xff\xfe").await;
        }
    });
    let mut running = run(&yaml(&endpoint, "timeout: 2"));
    running.feed(&[("h", "cpu", "", 1, 3.0)]);
    running.until("scale", "simple-scale", "unavailable", 1.0).await;
}

#[tokio::test]
async fn a_replay_asks_nobody() {
    let fake = FakeKserve::start(Dialect::Strict, &models()).await;
    let mut running = run(&yaml(&fake.endpoint(), ""));
    running.subject.take_as(&payload(&[("h", "cpu", "", 1, 3.0)]), true);
    running.feed(&[("h", "cpu", "", 2, 4.0)]);
    assert_eq!(running.result().await[0].1, 8.0);
    assert_eq!(fake.requests().len(), 1);
}
