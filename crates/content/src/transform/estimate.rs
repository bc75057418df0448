//! How much an expression can touch, before it runs.
//!
//! For each step an upper bound of its *flow* is computed from the flow into it: how many values
//! there are, how many elements and bytes they have together. Iterating yields at most as many values
//! as there are elements; a constructor yields the sum of its parts; two steps that both yield many
//! values multiply. What each step touches is added up. The bounds are generous, but they are bounds:
//! nothing that passes can grow without limit.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::Part;
use nexus_model::limits;

use super::TransformError;
use super::admit;
use super::functions::{self, Shape};

/// Values on their way from one step to the next.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Flow {
    /// How many values.
    pub(super) count: f64,
    /// Elements of arrays and members of objects in all of them together, at any depth.
    pub(super) items: f64,
    /// Their size as JSON, all together.
    pub(super) bytes: f64,
}

/// What a step yields.
#[derive(Clone, Copy, Debug)]
struct Out {
    flow: Flow,
    /// It may yield several values for one.
    many: bool,
}

/// The size of a number or a boolean.
const SMALL: f64 = 24.0;
/// The size of `{"key":…,"value":…}` without its parts.
const ENTRY: f64 = 20.0;

/// Fails when the expression can touch more than [`limits::TRANSFORM_WORK_BYTES_MAX`] for such an
/// event.
pub(super) fn check(term: &Term<&str>, event: Flow) -> Result<(), TransformError> {
    let limit = limits::TRANSFORM_WORK_BYTES_MAX as f64;
    let mut estimate = Estimate { work: 0.0, limit, variables: Vec::new() };
    match estimate.term(term, event) {
        Ok(_) => Ok(()),
        Err(Failure::TooMuch) => {
            Err(TransformError::TooMuchWork { event_bytes: event.bytes as u64 })
        }
        Err(Failure::Variable(name)) => {
            Err(TransformError::Unknown { what: format!("variable '{name}'") })
        }
    }
}

enum Failure {
    TooMuch,
    Variable(String),
}

type Estimated = Result<Out, Failure>;

struct Estimate<'s> {
    work: f64,
    limit: f64,
    /// Bound variables with the flow of one value.
    variables: Vec<(&'s str, Flow)>,
}

impl Flow {
    fn small(count: f64) -> Flow {
        Flow { count, items: 0.0, bytes: count * SMALL }
    }

    fn elements(self) -> Flow {
        Flow { count: self.items, ..self }
    }

    fn plus(self, other: Flow) -> Flow {
        Flow {
            count: self.count + other.count,
            items: self.items + other.items,
            bytes: self.bytes + other.bytes,
        }
    }
}

const fn one(flow: Flow) -> Out {
    Out { flow, many: false }
}

/// All combinations of what several steps yield for the same input of `count` values.
fn combine(parts: &[Out], count: f64) -> Out {
    let many = parts.iter().any(|part| part.many);
    let product = |except: usize| -> f64 {
        let others = parts.iter().enumerate().filter(|(index, part)| *index != except && part.many);
        others.map(|(_, part)| part.flow.count).product()
    };
    let total = if many { product(usize::MAX) } else { count };
    let mut flow = Flow { count: total, items: 0.0, bytes: 0.0 };
    for (index, part) in parts.iter().enumerate() {
        flow.items += part.flow.items * product(index);
        flow.bytes += part.flow.bytes * product(index);
    }
    Out { flow, many }
}

impl<'s> Estimate<'s> {
    fn spend(&mut self, amount: f64) -> Result<(), Failure> {
        self.work += amount;
        // Written so that a number that is none fails too.
        if self.work <= self.limit { Ok(()) } else { Err(Failure::TooMuch) }
    }

    fn term(&mut self, term: &Term<&'s str>, input: Flow) -> Estimated {
        let out = match term {
            Term::Id => one(input),
            Term::Num(text) => {
                one(Flow { count: input.count, items: 0.0, bytes: input.count * text.len() as f64 })
            }
            Term::Var(name) => one(self.variable(name, input.count)?),
            Term::Str(_, parts) => self.string(parts, input)?,
            Term::Arr(None) => one(Flow::small(input.count)),
            Term::Arr(Some(inner)) => {
                let inner = self.term(inner, input)?.flow;
                one(Flow {
                    count: input.count,
                    items: inner.items + inner.count,
                    bytes: inner.bytes + input.count + inner.count,
                })
            }
            Term::Obj(entries) => self.object(entries, input)?,
            Term::Neg(inner) => self.term(inner, input)?,
            Term::BinOp(left, op, right) => self.binary(left, op, right, input)?,
            Term::TryCatch(body, catch) => {
                let body = self.term(body, input)?;
                match catch {
                    None => body,
                    Some(catch) => {
                        let catch = self.term(catch, input)?;
                        self.either(body, catch, input)
                    }
                }
            }
            Term::IfThenElse(branches, otherwise) => {
                self.branches(branches, otherwise.as_deref(), input)?
            }
            Term::Call(name, arguments) => self.call(name, arguments, input)?,
            Term::Path(head, path) => {
                let mut out = self.term(head, input)?;
                for (part, _) in &path.0 {
                    out = self.step(out, part, input)?;
                }
                out
            }
            // Not admitted.
            Term::Recurse | Term::Label(..) | Term::Break(_) | Term::Fold(..) | Term::Def(..) => {
                return Err(Failure::TooMuch);
            }
        };
        self.spend(out.flow.count + 1.0)?;
        Ok(out)
    }

    fn variable(&self, name: &str, count: f64) -> Result<Flow, Failure> {
        let found = self.variables.iter().rev().find(|(at, _)| *at == name);
        let Some((_, value)) = found else { return Err(Failure::Variable(name.to_owned())) };
        Ok(Flow { count, items: count * value.items, bytes: count * value.bytes })
    }

    fn string(&mut self, parts: &[StrPart<&'s str, Term<&'s str>>], input: Flow) -> Estimated {
        let mut outs = Vec::new();
        for part in parts {
            outs.push(match part {
                StrPart::Str(text) => one(Flow {
                    count: input.count,
                    items: 0.0,
                    bytes: input.count * text.len() as f64,
                }),
                StrPart::Char(_) => one(Flow::small(input.count)),
                StrPart::Term(term) => {
                    let mut out = self.term(term, input)?;
                    out.flow.bytes = out.flow.bytes * 2.0 + out.flow.count;
                    out.flow.items = 0.0;
                    out
                }
            });
        }
        let out = combine(&outs, input.count);
        self.spend(out.flow.bytes)?;
        Ok(out)
    }

    fn object(
        &mut self,
        entries: &[(Term<&'s str>, Option<Term<&'s str>>)],
        input: Flow,
    ) -> Estimated {
        let mut outs = Vec::new();
        for (key, value) in entries {
            outs.push(self.term(key, input)?);
            outs.push(match value {
                Some(value) => self.term(value, input)?,
                // `{name}` is short for `{name: .name}`.
                None => one(input),
            });
        }
        let mut out = combine(&outs, input.count);
        let members = out.flow.count * entries.len() as f64;
        out.flow.items += members;
        out.flow.bytes += members * 2.0 + out.flow.count * 2.0;
        self.spend(members)?;
        Ok(out)
    }

    /// One of two, depending on the input.
    fn either(&self, left: Out, right: Out, input: Flow) -> Out {
        let many = left.many || right.many;
        let mut flow = left.flow.plus(right.flow);
        if !many {
            flow.count = input.count;
        }
        Out { flow, many }
    }

    fn branches(
        &mut self,
        branches: &[(Term<&'s str>, Term<&'s str>)],
        otherwise: Option<&Term<&'s str>>,
        input: Flow,
    ) -> Estimated {
        let mut out = match otherwise {
            Some(otherwise) => self.term(otherwise, input)?,
            None => one(input),
        };
        for (condition, then) in branches.iter().rev() {
            let condition = self.term(condition, input)?;
            let then = self.term(then, input)?;
            let chosen = self.either(then, out, input);
            let condition =
                Out { flow: Flow { items: 0.0, bytes: 0.0, ..condition.flow }, ..condition };
            out = combine(&[condition, chosen], input.count);
        }
        Ok(out)
    }

    fn step(&mut self, from: Out, part: &Part<Term<&'s str>>, input: Flow) -> Estimated {
        let bare = |out: Out| Out { flow: Flow { items: 0.0, bytes: 0.0, ..out.flow }, ..out };
        let mut parts = vec![from];
        match part {
            Part::Range(None, None) => {
                return Ok(Out { flow: from.flow.elements(), many: true });
            }
            Part::Index(index) => parts.push(bare(self.term(index, input)?)),
            Part::Range(low, high) => {
                for bound in low.iter().chain(high) {
                    parts.push(bare(self.term(bound, input)?));
                }
                self.spend(from.flow.bytes)?;
            }
        }
        Ok(combine(&parts, from.flow.count))
    }

    fn binary(
        &mut self,
        left: &Term<&'s str>,
        op: &BinaryOp<&'s str>,
        right: &Term<&'s str>,
        input: Flow,
    ) -> Estimated {
        match op {
            BinaryOp::Pipe(None) => {
                let left = self.term(left, input)?;
                let right = self.term(right, left.flow)?;
                Ok(Out { many: left.many || right.many, ..right })
            }
            BinaryOp::Pipe(Some(pattern)) => self.bind(left, pattern, right, input),
            BinaryOp::Comma => {
                let (left, right) = (self.term(left, input)?, self.term(right, input)?);
                Ok(Out { flow: left.flow.plus(right.flow), many: true })
            }
            BinaryOp::Alt => {
                let (left, right) = (self.term(left, input)?, self.term(right, input)?);
                Ok(self.either(left, right, input))
            }
            BinaryOp::And | BinaryOp::Or | BinaryOp::Cmp(_) => {
                let parts = [self.term(left, input)?, self.term(right, input)?];
                let out = combine(&parts, input.count);
                self.spend(out.flow.bytes)?;
                Ok(Out { flow: Flow::small(out.flow.count), ..out })
            }
            BinaryOp::Math(_) => {
                let parts = [self.term(left, input)?, self.term(right, input)?];
                let mut out = combine(&parts, input.count);
                self.spend(out.flow.bytes)?;
                // `text / separator` takes a text apart.
                if matches!(op, BinaryOp::Math(jaq_core::ops::Math::Div)) {
                    out.flow.items += out.flow.bytes;
                    out.flow.bytes *= 4.0;
                }
                Ok(out)
            }
            BinaryOp::Update => {
                let paths = self.term(left, input)?;
                let new = self.term(right, paths.flow)?;
                self.spend(input.items + paths.flow.count)?;
                Ok(one(Flow {
                    count: input.count,
                    items: input.items + new.flow.items + paths.flow.count,
                    bytes: input.bytes + new.flow.bytes + paths.flow.count * SMALL,
                }))
            }
            BinaryOp::Assign | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
                let paths = self.term(left, input)?;
                let value = self.term(right, input)?;
                let copies = if value.many { value.flow.count } else { 1.0 };
                let places = paths.flow.count.max(1.0);
                self.spend(copies * input.items + places * value.flow.count)?;
                self.spend(places * value.flow.bytes)?;
                let flow = Flow {
                    count: if value.many { value.flow.count } else { input.count },
                    items: copies * input.items + places * (value.flow.items + value.flow.count),
                    bytes: copies * input.bytes + places * (value.flow.bytes + SMALL),
                };
                Ok(Out { flow, many: value.many })
            }
        }
    }

    /// `left as pattern | right`: for each value of `left`, `right` sees the input again.
    fn bind(
        &mut self,
        left: &Term<&'s str>,
        pattern: &Pattern<&'s str>,
        right: &Term<&'s str>,
        input: Flow,
    ) -> Estimated {
        let left = self.term(left, input)?;
        let value = Flow { count: 1.0, ..left.flow };
        let before = self.variables.len();
        self.pattern(pattern, value, input)?;
        let repeated = match left.many {
            false => input,
            true => Flow {
                count: left.flow.count,
                items: input.items * left.flow.count,
                bytes: input.bytes * left.flow.count,
            },
        };
        let right = self.term(right, repeated);
        self.variables.truncate(before);
        let right = right?;
        Ok(Out { many: left.many || right.many, ..right })
    }

    fn pattern(
        &mut self,
        pattern: &Pattern<&'s str>,
        value: Flow,
        input: Flow,
    ) -> Result<(), Failure> {
        match pattern {
            Pattern::Var(name) => self.variables.push((name, value)),
            Pattern::Arr(items) => {
                for item in items {
                    self.pattern(item, value, input)?;
                }
            }
            Pattern::Obj(entries) => {
                for (key, inner) in entries {
                    // A key that yields several would bind several times: that is not counted here,
                    // so it is not let through.
                    let key = self.term(key, Flow { count: 1.0, ..input })?;
                    if key.many {
                        return Err(Failure::TooMuch);
                    }
                    self.pattern(inner, value, input)?;
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, name: &str, arguments: &[Term<&'s str>], input: Flow) -> Estimated {
        let Some(function) = functions::known(name, arguments.len()) else {
            return Err(Failure::TooMuch);
        };
        if function.shape == Shape::Range {
            let count = input.count * admit::range(arguments).unwrap_or(f64::INFINITY);
            return Ok(Out { flow: Flow::small(count), many: true });
        }
        let seen = match function.shape {
            Shape::Rearranged | Shape::Map | Shape::MapValues => input.elements(),
            Shape::Entries => Flow {
                count: input.items,
                items: input.items * 3.0,
                bytes: input.bytes + input.items * ENTRY,
            },
            _ => input,
        };
        let mut seen = seen;
        let mut outs = Vec::new();
        for argument in arguments {
            let out = self.term(argument, seen)?;
            if function.shape == Shape::Each {
                seen = out.flow;
            }
            outs.push(out);
        }
        self.spend(input.bytes + outs.iter().map(|out| out.flow.bytes).sum::<f64>())?;
        self.shape(function.shape, &outs, input)
    }

    fn shape(&mut self, shape: Shape, arguments: &[Out], input: Flow) -> Estimated {
        let bare = |out: &Out| Out { flow: Flow { items: 0.0, bytes: 0.0, ..out.flow }, ..*out };
        let combined: Vec<Out> =
            std::iter::once(one(input)).chain(arguments.iter().map(bare)).collect();
        let combined = combine(&combined, input.count);
        let last = arguments.last().copied().unwrap_or(one(Flow::small(input.count)));
        let count = input.count;
        Ok(match shape {
            Shape::Nothing => one(Flow::small(0.0)),
            Shape::Each => one(Flow::small(count)),
            Shape::Small | Shape::Range => {
                Out { flow: Flow::small(combined.flow.count), ..combined }
            }
            Shape::Search => {
                self.spend(combined.flow.bytes * last.flow.bytes.max(1.0) / count.max(1.0))?;
                Out { flow: Flow::small(combined.flow.count), ..combined }
            }
            Shape::Part => {
                self.spend(combined.flow.bytes)?;
                combined
            }
            Shape::Rearranged => one(Flow { items: input.items * 2.0, ..input }),
            Shape::Map | Shape::Entries => one(Flow {
                count,
                items: last.flow.items + last.flow.count,
                bytes: last.flow.bytes + last.flow.count + count * 2.0,
            }),
            Shape::MapValues => one(input.plus(Flow { count: 0.0, ..last.flow })),
            Shape::ToEntries => one(Flow {
                count,
                items: input.items * 4.0,
                bytes: input.bytes + input.items * ENTRY,
            }),
            Shape::Argument => Out { many: last.many || arguments.len() == 2, ..last },
            Shape::Text => {
                let between = match arguments {
                    [separator] => input.items * separator.flow.bytes,
                    _ => 0.0,
                };
                self.spend(between)?;
                let bytes = combined.flow.bytes * 2.0 + between + combined.flow.count * SMALL;
                Out { flow: Flow { items: 0.0, bytes, ..combined.flow }, ..combined }
            }
            Shape::Pieces => {
                let Flow { items, bytes, count } = combined.flow;
                let flow = Flow { count, items: items + bytes, bytes: bytes * 4.0 };
                Out { flow, ..combined }
            }
            Shape::Product => {
                let out = combine(arguments, count);
                self.spend(out.flow.bytes)?;
                out
            }
        })
    }
}
