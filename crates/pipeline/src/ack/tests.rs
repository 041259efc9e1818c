// SPDX-License-Identifier: Apache-2.0

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use basics::Kind;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::budget::Budget;

type Verdicts = Arc<Mutex<Vec<Result<Delivered>>>>;

fn waiting() -> (Arc<Token>, Verdicts) {
    let heard = Verdicts::default();
    let note = heard.clone();
    (Token::new(move |outcome| note.lock().push(outcome)), heard)
}

fn kinds(heard: &Verdicts) -> Vec<Option<Kind>> {
    heard.lock().iter().map(|outcome| outcome.as_ref().err().map(Error::kind)).collect()
}

#[test]
fn the_callback_waits_for_the_last_holder() {
    let (token, heard) = waiting();
    let acks = Acks::one(token);
    let other = acks.clone();
    acks.settle(Ok(()));
    assert!(heard.lock().is_empty());
    other.settle(Ok(()));
    assert_eq!(kinds(&heard), [None]);
}

#[test]
fn a_holder_that_vanishes_counts_as_a_failure_that_may_pass() {
    let (token, heard) = waiting();
    drop(Acks::one(token));
    assert!(kinds(&heard)[0].unwrap().is_retryable());
}

#[test]
fn a_panic_while_holding_is_heard() {
    let (token, heard) = waiting();
    let acks = Acks::one(token);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _held = acks;
        panic!("told to");
    }));
    assert!(panicked.is_err());
    assert!(kinds(&heard)[0].unwrap().is_retryable());
}

#[test]
fn a_failure_that_may_pass_outranks_one_that_will_not() {
    for order in [[0, 1], [1, 0]] {
        let (token, heard) = waiting();
        let acks = Acks::one(token);
        let errors = [Error::rejected("no"), Error::overloaded("later")];
        let other = acks.clone();
        acks.settle(Err(errors[order[0]].clone()));
        other.settle(Err(errors[order[1]].clone()));
        assert_eq!(kinds(&heard), [Some(Kind::Overloaded)]);
    }
}

#[test]
fn rejected_items_add_up_over_parts_but_not_over_copies() {
    let rejecting = |rejected, message: &str| Ok(Delivered { rejected, message: message.into() });
    let (one, other) = (Lane::new(), Lane::new());
    let (token, heard) = waiting();
    let acks = Acks::one(token);
    for (lane, rejected, message) in [(one, 2, "old"), (one, 3, "old"), (other, 4, "odd")] {
        let mut part = acks.clone();
        part.enter(lane, false);
        part.settle_as(rejecting(rejected, message));
    }
    acks.settle(Ok(()));
    let told = Delivered { rejected: 5, message: "old; odd".to_owned() };
    assert_eq!(heard.lock().first().and_then(|v| v.clone().ok()), Some(told.clone()));
    assert_eq!(told.of(3).rejected, 3);
}

#[test]
fn a_failure_outranks_what_was_rejected() {
    let (token, heard) = waiting();
    let acks = Acks::one(token);
    acks.clone().settle_as(Ok(Delivered { rejected: 1, message: "old".to_owned() }));
    acks.settle(Err(Error::retry("later")));
    assert!(kinds(&heard)[0].unwrap().is_retryable());
}

#[test]
fn a_token_of_the_log_hears_nobody_else() {
    let (token, mut heard) = Token::pair_of_log();
    let mut acks = Acks::one(token);
    let mut with_log = acks.clone();
    with_log.enter(Lane::new(), true);
    acks.enter(Lane::new(), false);
    assert!(acks.is_none());
    assert!(heard.try_recv().is_err());
    with_log.settle_as(Ok(Delivered { rejected: 1, message: "old".to_owned() }));
    assert_eq!(heard.try_recv().map(|verdict| verdict.map(|d| d.rejected).ok()), Ok(Some(1)));
    acks.settle(Err(Error::retry("nobody hears it")));
}

#[test]
fn memory_is_held_until_the_last_holder_has_settled_whoever_answers() {
    let budget = Budget::new(1 << 20);
    let (token, heard) = waiting();
    let mut acks = Acks::one(token);
    acks.hold(budget.take(4096).unwrap());
    let answered = acks.take_waiting();
    let other = acks.clone();
    answered.settle(Ok(()));
    assert_eq!(kinds(&heard), [None]);
    acks.settle(Ok(()));
    assert_eq!(budget.used(), 4096);
    drop(other);
    assert_eq!(budget.used(), 0);
}

/// What happens to the batches of a pipeline, as far as acks see it.
#[derive(Clone, Debug)]
enum Step {
    /// One holder becomes two.
    Copy(usize),
    /// Two holders become one.
    Join(usize, usize),
    /// A holder ends with a verdict: 0 fine, 1 may pass, 2 final, 3 vanished.
    End(usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<usize>().prop_map(Step::Copy),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Step::Join(a, b)),
        (any::<usize>(), 0..4u8).prop_map(|(a, verdict)| Step::End(a, verdict)),
    ]
}

fn end(acks: Acks, verdict: u8) {
    match verdict {
        0 => acks.settle(Ok(())),
        1 => acks.settle(Err(Error::retry("later"))),
        2 => acks.settle(Err(Error::rejected("never"))),
        _ => drop(acks),
    }
}

proptest! {
    #[test]
    fn every_callback_runs_once_with_the_worst_verdict(
        steps in proptest::collection::vec(step(), 0..40),
        last in 0..4u8,
    ) {
        const TOKENS: usize = 3;
        let calls: Vec<_> = (0..TOKENS).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let answers: Vec<_> = (0..TOKENS).map(|_| Verdicts::default()).collect();
        // A holder is its acks and, as the model, the tokens in it.
        let mut holders: Vec<(Acks, Vec<usize>)> = (0..TOKENS)
            .map(|i| {
                let (calls, answers) = (calls[i].clone(), answers[i].clone());
                let token = Token::new(move |outcome| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    answers.lock().push(outcome);
                });
                (Acks::one(token), vec![i])
            })
            .collect();
        // The worst verdict each token has got: 0 fine, 1 final, 2 may pass.
        let mut worst = [0u8; TOKENS];
        let rank = |verdict: u8| match verdict { 0 => 0, 2 => 1, _ => 2 };
        let note = |worst: &mut [u8; TOKENS], tokens: &[usize], verdict: u8| {
            for &token in tokens {
                worst[token] = worst[token].max(rank(verdict));
            }
        };
        for step in steps {
            if holders.is_empty() {
                break;
            }
            let count = holders.len();
            match step {
                Step::Copy(at) => holders.push({
                    let (acks, tokens) = &holders[at % count];
                    (acks.clone(), tokens.clone())
                }),
                Step::Join(a, b) if a % count != b % count => {
                    let (high, low) = ((a % count).max(b % count), (a % count).min(b % count));
                    let (acks, tokens) = holders.remove(high);
                    holders[low].0.join(acks);
                    holders[low].1.extend(tokens);
                }
                Step::Join(..) => {}
                Step::End(at, verdict) => {
                    let (acks, tokens) = holders.remove(at % count);
                    note(&mut worst, &tokens, verdict);
                    end(acks, verdict);
                }
            }
        }
        for (acks, tokens) in holders {
            note(&mut worst, &tokens, last);
            end(acks, last);
        }
        for token in 0..TOKENS {
            prop_assert_eq!(calls[token].load(Ordering::SeqCst), 1);
            let retryable = kinds(&answers[token])[0].map(Kind::is_retryable);
            let expected = [None, Some(false), Some(true)][usize::from(worst[token])];
            prop_assert_eq!(retryable, expected);
        }
    }
}
