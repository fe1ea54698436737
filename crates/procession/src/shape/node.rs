//! What was seen of a type: a tree of what it asked for, and how far each look at it
//! has come.

use super::own;
use crate::codec::refusal::Refusal;
use std::collections::HashMap;

/// Parts of a tuple that are looked at one by one; those behind are like the last.
pub(super) const MOST_PARTS: usize = 64;

/// How often something made up is exchanged for a type that refuses it.
pub(super) const MOST_TRIES: usize = 8;

/// What a type asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Label {
    Scalar(&'static str),
    Unit(&'static str),
    Option,
    Sequence,
    Map,
    Newtype(&'static str),
    Tuple(&'static str, usize),
    Fields(&'static [&'static str]),
    Enum(&'static [&'static str]),
    /// The structure or enum so many levels up.
    Recursion(usize),
}

/// A place in a type.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// What was asked for there; more than one thing where it depends on a value.
    pub(super) forms: Vec<Form>,
    /// Of a type that says by itself what it stands for.
    pub(super) own: Option<String>,
    /// Nothing more is to be learnt there, because the type refuses whatever it gets.
    pub(super) stuck: bool,
    pub(super) settled: bool,
}

#[derive(Debug)]
pub(super) struct Form {
    pub(super) label: Label,
    pub(super) parts: Vec<Node>,
    /// Values made up for it that were refused.
    pub(super) tries: usize,
    accepted: bool,
}

/// One look at a type after the other.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) refused: bool,
    /// `true` if this run has shown something new.
    pub(super) progress: bool,
    /// `true` if it is known what this run failed of.
    pub(super) blamed: bool,
    pub(super) steps: usize,
    /// The structures and enums that we are in, by their visitors' types.
    pub(super) inside: Vec<&'static str>,
    /// How deep we are below a recursion, where nothing is written down.
    pub(super) ending: usize,
    /// Which variant leads to an end, for each enum.
    pub(super) ends: HashMap<&'static str, u32>,
    pub(super) depth: usize,
}

impl Trace {
    pub(super) fn begin(&mut self) {
        self.progress = false;
        self.blamed = false;
        self.inside.clear();
        self.ending = 0;
        self.depth = 0;
    }
}

impl Node {
    /// Finds out whether all is seen that can be.
    pub(super) fn settle(&mut self) -> bool {
        let mut settled = !self.forms.is_empty();
        for form in &mut self.forms {
            let mut all = true;
            for part in &mut form.parts {
                all &= part.settle();
            }
            let stuck = match form.label {
                Label::Option | Label::Sequence | Label::Map => false,
                Label::Enum(variants) => {
                    let seen = form.parts.len() == variants.len();
                    seen && form.parts.iter().all(|part| part.stuck) && !variants.is_empty()
                }
                _ => form.parts.iter().any(|part| part.stuck),
            };
            self.stuck |= stuck;
            settled &= all && form.accepted;
        }
        self.settled = settled || self.stuck;
        self.settled
    }

    /// Takes down what the type there says by itself.
    pub(super) fn note<T>(
        &mut self,
        trace: &mut Trace,
        outcome: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        if let Some(own) = own::take() {
            self.own = Some(own);
            if outcome.is_err() {
                self.stuck = true;
                trace.blamed = true;
                trace.progress = true;
            }
        }
        outcome
    }

    pub(super) fn form(&mut self, label: Label, parts: usize, trace: &mut Trace) -> &mut Form {
        let found = self.forms.iter().position(|form| form.label == label);
        let index = found.unwrap_or_else(|| {
            trace.progress = true;
            let parts = std::iter::repeat_with(Node::default).take(parts).collect();
            self.forms.push(Form {
                label,
                parts,
                tries: 0,
                accepted: false,
            });
            self.forms.len() - 1
        });
        &mut self.forms[index]
    }
}

impl Form {
    /// Takes in whether the type has accepted what was made up.
    pub(super) fn learn<T>(
        &mut self,
        outcome: Result<T, Refusal>,
        most_tries: usize,
        trace: &mut Trace,
    ) -> (Result<T, Refusal>, bool) {
        let mut stuck = false;
        match &outcome {
            Ok(_) => {
                trace.progress |= !self.accepted;
                self.accepted = true;
            }
            Err(_) if !trace.blamed => {
                trace.blamed = true;
                trace.progress = true;
                self.tries += 1;
                stuck = self.tries >= most_tries;
            }
            Err(_) => {}
        }
        (outcome, stuck)
    }
}

impl Form {
    /// Returns `true` if there is to be something inside.
    pub(super) fn next(&self, trace: &Trace) -> bool {
        let inside_is_new = self.parts.iter().any(|part| !part.settled);
        let inside_can_be = self.parts.iter().all(|part| !part.stuck);
        trace.ending == 0 && inside_can_be && (inside_is_new || self.tries % 2 == 1)
    }

    /// Which variant it is to be.
    pub(super) fn variant(&self) -> usize {
        let parts = || self.parts.iter();
        parts()
            .position(|part| !part.settled)
            .or_else(|| parts().position(|part| !part.stuck))
            .unwrap_or(0)
    }
}
