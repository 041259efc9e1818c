// SPDX-License-Identifier: Apache-2.0
//! From nodes to text.

use super::parse::{Node, Operand, Pipe};
use super::{OUTPUT_BYTES_MAX, STEPS_MAX, Value, World, functions, numbers};

type Result<T> = std::result::Result<T, String>;

/// Expands the nodes.
pub(super) fn run(
    nodes: &[Node],
    variables: &[(&str, Value)],
    world: &dyn World,
) -> Result<String> {
    let known = [
        ("Labels", "labels"),
        ("ExternalLabels", "externalLabels"),
        ("ExternalURL", "externalURL"),
        ("Value", "value"),
    ];
    let dot = known.into_iter().filter_map(|(field, name)| {
        let (_, value) = variables.iter().find(|(variable, _)| *variable == name)?;
        Some((field.to_owned(), value.clone()))
    });
    let dot = Value::Map(dot.collect());
    let mut variables: Vec<(String, Value)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    variables.push((String::new(), dot.clone()));
    let mut running = Running { variables, world, out: String::new(), steps: 0 };
    running.list(nodes, &dot)?;
    Ok(running.out)
}

struct Running<'w> {
    /// Later ones hide earlier ones of the same name.
    variables: Vec<(String, Value)>,
    world: &'w dyn World,
    out: String,
    steps: usize,
}

impl Running<'_> {
    fn list(&mut self, nodes: &[Node], dot: &Value) -> Result<()> {
        let scope = self.variables.len();
        for node in nodes {
            self.node(node, dot)?;
        }
        self.variables.truncate(scope);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<()> {
        self.steps += 1;
        if self.steps > STEPS_MAX || self.out.len() > OUTPUT_BYTES_MAX {
            return Err("the template does too much".to_owned());
        }
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.assign.is_none() {
                    self.out.push_str(&numbers::print(&value));
                }
            }
            Node::If(branches, otherwise) => {
                let scope = self.variables.len();
                for (condition, body) in branches {
                    if truth(&self.pipe(condition, dot)?) {
                        self.list(body, dot)?;
                        self.variables.truncate(scope);
                        return Ok(());
                    }
                }
                self.list(otherwise, dot)?;
                self.variables.truncate(scope);
            }
            Node::With(pipe, body, otherwise) => {
                let scope = self.variables.len();
                let value = self.pipe(pipe, dot)?;
                match truth(&value) {
                    true => self.list(body, &value)?,
                    false => self.list(otherwise, dot)?,
                }
                self.variables.truncate(scope);
            }
            Node::Range { names, over, body, otherwise } => {
                let items: Vec<(Value, Value)> = match self.pipe(over, dot)? {
                    Value::List(list) => list
                        .into_iter()
                        .enumerate()
                        .map(|(at, v)| (Value::Int(at as i64), v))
                        .collect(),
                    Value::Map(map) => {
                        map.into_iter().map(|(key, v)| (Value::Text(key), v)).collect()
                    }
                    Value::Nil => Vec::new(),
                    other => {
                        return Err(format!("range can't iterate over {}", numbers::print(&other)));
                    }
                };
                if items.is_empty() {
                    return self.list(otherwise, dot);
                }
                for (key, value) in items {
                    let scope = self.variables.len();
                    match names.as_slice() {
                        [] => {}
                        [one] => self.variables.push((one.clone(), value.clone())),
                        [first, second, ..] => {
                            self.variables.push((first.clone(), key));
                            self.variables.push((second.clone(), value.clone()));
                        }
                    }
                    self.list(body, &value)?;
                    self.variables.truncate(scope);
                }
            }
        }
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value> {
        let mut value: Option<Value> = None;
        for command in &pipe.commands {
            self.steps += 1;
            value = Some(match &command[0] {
                Operand::Name(name) if matches!(name.as_str(), "and" | "or") => {
                    self.lazy(name == "or", &command[1..], value, dot)?
                }
                Operand::Name(name) => {
                    let mut arguments = Vec::with_capacity(command.len());
                    for operand in &command[1..] {
                        arguments.push(self.operand(operand, dot)?);
                    }
                    arguments.extend(value);
                    functions::call(name, &arguments, self.world)?
                }
                first if command.len() == 1 && value.is_none() => self.operand(first, dot)?,
                _ => return Err("can't give argument to non-function".to_owned()),
            });
        }
        let value = value.unwrap_or(Value::Nil);
        match &pipe.assign {
            Some((name, true)) => self.variables.push((name.clone(), value.clone())),
            Some((name, false)) => {
                let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
                known.ok_or_else(|| format!("undefined variable \"${name}\""))?.1 = value.clone();
            }
            None => {}
        }
        Ok(value)
    }

    /// `and`, `or`: the first argument that decides, else the last.
    fn lazy(
        &mut self,
        or: bool,
        operands: &[Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value> {
        let mut last = Value::Nil;
        for operand in operands {
            last = self.operand(operand, dot)?;
            if truth(&last) == or {
                return Ok(last);
            }
        }
        Ok(piped.unwrap_or(last))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value> {
        match operand {
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Name(name) => functions::call(name, &[], self.world),
            Operand::Dot(path) => fields(dot.clone(), path),
            Operand::Variable(name, path) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let (_, value) = known.ok_or_else(|| format!("undefined variable \"${name}\""))?;
                fields(value.clone(), path)
            }
            Operand::Pipe(pipe, path) => {
                let value = self.pipe(pipe, dot)?;
                fields(value, path)
            }
        }
    }
}

fn fields(mut value: Value, path: &[String]) -> Result<Value> {
    for name in path {
        value = match value {
            // Of labels, a missing one is the empty text (`missingkey=zero`).
            Value::Map(mut map) => map.remove(name).unwrap_or(Value::Text(String::new())),
            Value::Nil => return Err(format!("nil data; no entry for key {name:?}")),
            _ => return Err(format!("can't evaluate field {name}")),
        };
    }
    Ok(value)
}

/// Whether `if` takes a value for true.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Nil => false,
        Value::Bool(truth) => *truth,
        Value::Int(number) => *number != 0,
        Value::Float(number) => *number != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::Map(map) => !map.is_empty(),
        Value::List(list) => !list.is_empty(),
    }
}
