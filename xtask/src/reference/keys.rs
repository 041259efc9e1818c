// SPDX-License-Identifier: Apache-2.0
//! The keys of a component, as a tree.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Result, bail};
use syn::Type;

use super::defaults::{Reader, Value};
use super::types::{
    Declared, SerdeAttributes, Shape, Sources, parameters, qualified_name, type_name,
};

/// One key.
pub struct Key {
    pub name: String,
    pub aliases: Vec<String>,
    pub doc: String,
    pub kind: Kind,
    pub default: Value,
}

/// What can be written for a key.
pub enum Kind {
    Bool,
    Number {
        whole: bool,
    },
    Text,
    Duration,
    /// One of these, with what each means.
    Choice(Vec<(String, String)>),
    List(Box<Kind>),
    /// Any keys, each with such a value.
    Map(Box<Kind>),
    Keys(Vec<Key>),
    /// Taken and left.
    NoEffect,
    /// Taken in any form.
    Any,
}

/// Deeper than any configuration; a type that holds itself ends here.
const DEPTH_MAX: usize = 7;

/// The keys of the settings type `name` as seen from `file`.
pub fn of(sources: &Sources, name: &str, file: &Path) -> Result<Vec<Key>> {
    let Some(declared) = sources.find(name, file) else { bail!("no type {name}") };
    let defaults = Reader { sources }.of_struct(name, file);
    Ok(Tree { sources }.keys(declared, &defaults, 0))
}

struct Tree<'a> {
    sources: &'a Sources,
}

impl Tree<'_> {
    fn keys(&self, declared: &Declared, given: &HashMap<String, Value>, depth: usize) -> Vec<Key> {
        let Shape::Struct(fields) = &declared.shape else { return Vec::new() };
        let reader = Reader { sources: self.sources };
        let mut keys = Vec::new();
        for field in fields.iter().filter(|field| !field.attributes.skip) {
            let default = match (given.get(&field.name), &field.attributes.default) {
                (Some(value), _) => value.clone(),
                (None, Some(function)) => reader.of_function(function, &declared.file),
                (None, None) => reader.of_type(&field.kind, &declared.file),
            };
            let name = rename(&field.name, &field.attributes, &declared.attributes);
            let kind = self.kind(&field.kind, &declared.file, &default, depth);
            // `..client`: its keys stand among these.
            if name.starts_with("..") {
                if let Kind::Keys(inner) = kind {
                    keys.extend(inner);
                }
                continue;
            }
            let aliases = field.attributes.aliases.clone();
            keys.push(Key { name, aliases, doc: field.doc.clone(), kind, default });
        }
        keys
    }

    fn kind(&self, kind: &Type, file: &Path, default: &Value, depth: usize) -> Kind {
        let inner = |n: usize| {
            let inner = parameters(kind).get(n).copied();
            inner.map_or(Kind::Any, |inner| self.kind(inner, file, &Value::None, depth + 1))
        };
        match type_name(kind).as_str() {
            "bool" => Kind::Bool,
            "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" => {
                Kind::Number { whole: true }
            }
            "f32" | "f64" => Kind::Number { whole: false },
            "String" | "str" | "PathBuf" | "Regex" => Kind::Text,
            "Duration" => Kind::Duration,
            "NoEffect" | "IgnoredAny" => Kind::NoEffect,
            "Option" | "Box" | "Arc" => match parameters(kind).first() {
                Some(inner) => self.kind(inner, file, default, depth),
                None => Kind::Any,
            },
            "Vec" | "HashSet" | "BTreeSet" => Kind::List(Box::new(inner(0))),
            "BTreeMap" | "HashMap" | "IndexMap" => Kind::Map(Box::new(inner(1))),
            _ if depth < DEPTH_MAX => self.named(&qualified_name(kind), file, default, depth),
            _ => Kind::Any,
        }
    }

    fn named(&self, name: &str, file: &Path, default: &Value, depth: usize) -> Kind {
        let Some(declared) = self.sources.find(name, file) else { return Kind::Any };
        // Its own decoder takes several forms, which its text names.
        if !declared.derived {
            return Kind::Any;
        }
        match &declared.shape {
            Shape::Newtype(inner) => self.kind(inner, &declared.file, default, depth),
            Shape::Struct(fields) if declared.attributes.transparent => match fields.first() {
                Some(only) => self.kind(&only.kind, &declared.file, default, depth),
                None => Kind::Any,
            },
            Shape::Struct(_) => {
                let mut given = Reader { sources: self.sources }.of_struct(name, file);
                if let Value::Fields(fields) = default {
                    given.extend(fields.clone());
                }
                Kind::Keys(self.keys(declared, &given, depth + 1))
            }
            Shape::Enum(variants) if variants.iter().all(|variant| variant.inner.is_none()) => {
                let choices = variants.iter().flat_map(|variant| {
                    let name = rename(&variant.name, &variant.attributes, &declared.attributes);
                    let names = std::iter::once(name).chain(variant.attributes.aliases.clone());
                    names.map(|name| (name, variant.doc.clone()))
                });
                Kind::Choice(choices.filter(|(name, _)| !name.is_empty()).collect())
            }
            Shape::Enum(_) => Kind::Any,
        }
    }
}

/// What serde calls it.
pub fn rename(name: &str, own: &SerdeAttributes, container: &SerdeAttributes) -> String {
    if let Some(name) = &own.rename {
        return name.clone();
    }
    let name = name.strip_prefix("r#").unwrap_or(name);
    match container.rename_all.as_deref() {
        Some("lowercase") => name.to_lowercase(),
        Some("UPPERCASE") => name.to_uppercase(),
        Some("snake_case") => separated(name, '_'),
        Some("kebab-case") => separated(name, '-'),
        Some("SCREAMING_SNAKE_CASE") => separated(name, '_').to_uppercase(),
        Some("camelCase") => {
            let mut letters = name.chars();
            letters
                .next()
                .map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
        }
        _ => name.to_owned(),
    }
}

fn separated(name: &str, by: char) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push(by);
        }
        out.extend(letter.to_lowercase());
    }
    out
}
