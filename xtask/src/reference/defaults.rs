// SPDX-License-Identifier: Apache-2.0
//! What a key is when it is not written: the `Default` of its struct, read without running it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use syn::{Expr, ExprLit, ExprStruct, Lit, Member, Stmt, Type, UnOp};

use super::keys::rename;
use super::types::{Shape, Sources, parameters, type_name};

/// A default value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, empty.
    None,
    /// As one would write it.
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    /// A struct whose fields differ from its type's defaults as told.
    Fields(HashMap<String, Value>),
    /// An expression this generator does not read; the key's text must say it.
    Unknown,
}

/// Reads defaults.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub sources: &'a Sources,
}

impl Reader<'_> {
    /// The defaults of the fields of the struct `name` as seen from `file`, by Rust name.
    pub fn of_struct(&self, name: &str, file: &Path) -> HashMap<String, Value> {
        let Some(declared) = self.sources.find(name, file) else { return HashMap::new() };
        match &declared.default {
            None => HashMap::new(),
            Some(block) => match self.block(block, &declared.file) {
                Value::Fields(fields) => fields,
                _ => HashMap::new(),
            },
        }
    }

    /// What a field of type `kind` is if nothing is said.
    pub fn of_type(&self, kind: &Type, file: &Path) -> Value {
        match type_name(kind).as_str() {
            "bool" => Value::Bool(false),
            "Duration" => Value::Text("0s".into()),
            "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "f32"
            | "f64" => Value::Number(0.0),
            "Box" | "Arc" => {
                parameters(kind).first().map_or(Value::None, |p| self.of_type(p, file))
            }
            name => self.of_named(name, file),
        }
    }

    fn of_named(&self, name: &str, file: &Path) -> Value {
        let Some(declared) = self.sources.find(name, file) else { return Value::None };
        if let Some(block) = &declared.default {
            return self.block(block, &declared.file);
        }
        match &declared.shape {
            Shape::Enum(variants) => {
                let default = variants.iter().find(|variant| variant.is_default);
                default.map_or(Value::None, |variant| {
                    Value::Text(rename(&variant.name, &variant.attributes, &declared.attributes))
                })
            }
            _ => Value::None,
        }
    }

    /// The value of the function `name`, as in `#[serde(default = "name")]`.
    pub fn of_function(&self, name: &str, file: &Path) -> Value {
        let name = name.rsplit("::").next().unwrap_or(name);
        let function = self.sources.function(name, file);
        function.map_or(Value::Unknown, |function| self.block(&function.block, file))
    }

    fn block(&self, block: &syn::Block, file: &Path) -> Value {
        let mut scope = Scope { reader: *self, file: file.to_owned(), lets: HashMap::new() };
        let mut last = Value::Unknown;
        for statement in &block.stmts {
            match statement {
                Stmt::Local(local) => {
                    if let (syn::Pat::Ident(name), Some(init)) = (&local.pat, &local.init) {
                        let value = scope.value(&init.expr);
                        scope.lets.insert(name.ident.to_string(), value);
                    }
                }
                Stmt::Expr(expression, _) => last = scope.value(expression),
                _ => {}
            }
        }
        last
    }
}

struct Scope<'a> {
    reader: Reader<'a>,
    file: PathBuf,
    lets: HashMap<String, Value>,
}

impl Scope<'_> {
    fn value(&self, expression: &Expr) -> Value {
        match expression {
            Expr::Lit(ExprLit { lit, .. }) => literal(lit),
            Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
                match self.value(&unary.expr) {
                    Value::Number(number) => Value::Number(-number),
                    _ => Value::Unknown,
                }
            }
            Expr::Binary(binary) => match (self.value(&binary.left), self.value(&binary.right)) {
                (Value::Number(a), Value::Number(b)) => match binary.op {
                    syn::BinOp::Mul(_) => Value::Number(a * b),
                    syn::BinOp::Shl(_) => Value::Number(a * b.exp2()),
                    syn::BinOp::Add(_) => Value::Number(a + b),
                    _ => Value::Unknown,
                },
                _ => Value::Unknown,
            },
            Expr::Reference(reference) => self.value(&reference.expr),
            Expr::Paren(inner) => self.value(&inner.expr),
            Expr::Array(array) => Value::List(array.elems.iter().map(|e| self.value(e)).collect()),
            Expr::Macro(call) if call.mac.path.is_ident("vec") => self.list(&call.mac.tokens),
            Expr::Path(path) => self.path(&path.path),
            Expr::Call(call) => self.call(&call.func, call.args.iter().next()),
            Expr::MethodCall(call) => match call.method.to_string().as_str() {
                "into" | "to_owned" | "to_string" | "to_vec" => self.value(&call.receiver),
                _ => Value::Unknown,
            },
            Expr::Struct(literal) => self.fields(literal),
            _ => Value::Unknown,
        }
    }

    fn list(&self, tokens: &proc_macro2::TokenStream) -> Value {
        match syn::parse_str::<syn::ExprArray>(&format!("[{tokens}]")) {
            Ok(array) => Value::List(array.elems.iter().map(|e| self.value(e)).collect()),
            Err(_) => Value::Unknown,
        }
    }

    fn path(&self, path: &syn::Path) -> Value {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        match names.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["None" | "IgnoredAny"] => Value::None,
            [name] if self.lets.contains_key(*name) => self.lets[*name].clone(),
            [.., "ZERO"] => Value::Text("0s".into()),
            [.., name] if name.chars().all(|c| c.is_uppercase() || c == '_' || c.is_numeric()) => {
                let constant = self.reader.sources.constant(name, &self.file);
                constant.map_or(Value::Unknown, |expression| self.value(expression))
            }
            [.., kind, variant] => self.variant(kind, variant),
            _ => Value::Unknown,
        }
    }

    fn variant(&self, kind: &str, variant: &str) -> Value {
        let Some(declared) = self.reader.sources.find(kind, &self.file) else {
            return Value::Unknown;
        };
        let Shape::Enum(variants) = &declared.shape else { return Value::Unknown };
        let found = variants.iter().find(|one| one.name == variant);
        found.map_or(Value::Unknown, |one| {
            Value::Text(rename(&one.name, &one.attributes, &declared.attributes))
        })
    }

    fn call(&self, function: &Expr, argument: Option<&Expr>) -> Value {
        let Expr::Path(path) = function else { return Value::Unknown };
        let names: Vec<String> = path.path.segments.iter().map(|s| s.ident.to_string()).collect();
        let number = || match argument.map(|argument| self.value(argument)) {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        };
        let time = |unit: f64| number().map_or(Value::Unknown, |n| Value::Text(duration(n * unit)));
        match names.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["Some" | "Ok" | "Box" | "Arc"] | [.., "Box" | "Arc" | "String", "new" | "from"]
                if argument.is_some() =>
            {
                argument.map_or(Value::Unknown, |argument| self.value(argument))
            }
            [.., "new"] => Value::None,
            [.., "from_secs"] => time(1.0),
            [.., "from_mins"] => time(60.0),
            [.., "from_hours"] => time(3600.0),
            [.., "from_millis"] => time(0.001),
            [.., "from_micros"] => time(0.000_001),
            [.., kind, "default"] => self.reader.of_named(kind, &self.file),
            [name] if argument.is_none() => self.reader.of_function(name, &self.file),
            // A newtype around its value.
            [_] => argument.map_or(Value::Unknown, |argument| self.value(argument)),
            _ => Value::Unknown,
        }
    }

    fn fields(&self, literal: &ExprStruct) -> Value {
        let mut fields = match literal.rest.as_deref().map(|rest| self.value(rest)) {
            Some(Value::Fields(fields)) => fields,
            _ => HashMap::new(),
        };
        for field in &literal.fields {
            if let Member::Named(name) = &field.member {
                fields.insert(name.to_string(), self.value(&field.expr));
            }
        }
        Value::Fields(fields)
    }
}

fn literal(literal: &Lit) -> Value {
    match literal {
        Lit::Bool(value) => Value::Bool(value.value),
        Lit::Int(value) => value.base10_parse().map_or(Value::Unknown, Value::Number),
        Lit::Float(value) => value.base10_parse().map_or(Value::Unknown, Value::Number),
        Lit::Str(value) if value.value().is_empty() => Value::None,
        Lit::Str(value) => Value::Text(value.value()),
        _ => Value::Unknown,
    }
}

/// As the collector's users write it.
fn duration(seconds: f64) -> String {
    for (unit, length) in [("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001)] {
        let count = seconds / length;
        if count >= 1.0 && (count - count.round()).abs() < 1e-9 {
            return format!("{}{unit}", count.round());
        }
    }
    format!("{seconds}s")
}
