// SPDX-License-Identifier: Apache-2.0
//! Every struct, enum, constant and `Default` of the crates, by name and file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use syn::{Attribute, Expr, Fields, Item, Lit, Meta, Type};

/// What the sources declare.
#[derive(Default)]
pub struct Sources {
    /// By name; several files may declare the same one.
    pub types: HashMap<String, Vec<Declared>>,
    /// Values of constants, by name.
    pub constants: HashMap<String, Vec<(PathBuf, Expr)>>,
    /// Functions without parameters, by name: `#[serde(default = "...")]`, `factory`.
    pub functions: HashMap<String, Vec<(PathBuf, syn::ItemFn)>>,
}

/// One struct or enum.
pub struct Declared {
    /// Source file, from the repository's root.
    pub file: PathBuf,
    pub attributes: SerdeAttributes,
    pub shape: Shape,
    /// The body of its `Default`, if written out; derived if `None`.
    pub default: Option<syn::Block>,
    /// False if it has its own `Deserialize`.
    pub derived: bool,
}

pub enum Shape {
    Struct(Vec<Field>),
    /// `struct Text(String)`.
    Newtype(Type),
    Enum(Vec<Variant>),
}

pub struct Field {
    pub name: String,
    pub doc: String,
    pub kind: Type,
    pub attributes: SerdeAttributes,
}

pub struct Variant {
    pub name: String,
    pub doc: String,
    pub attributes: SerdeAttributes,
    pub is_default: bool,
    /// The type inside, if it has one.
    pub inner: Option<Type>,
}

/// What `#[serde(...)]` says.
#[derive(Clone, Default)]
pub struct SerdeAttributes {
    pub rename: Option<String>,
    pub rename_all: Option<String>,
    pub aliases: Vec<String>,
    pub transparent: bool,
    pub skip: bool,
    pub untagged: bool,
    /// `default = "function"`.
    pub default: Option<String>,
}

impl Sources {
    /// Reads all source files of `crates/`.
    pub fn read(root: &Path) -> Result<Self> {
        let mut sources = Sources::default();
        let mut folders = vec![root.join("crates")];
        while let Some(folder) = folders.pop() {
            let mut entries: Vec<_> = std::fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
            entries.sort_by_key(std::fs::DirEntry::file_name);
            for entry in entries {
                let path = entry.path();
                let name = entry.file_name();
                if path.is_dir() {
                    if !["tests", "benches", "target", "dist"].iter().any(|skip| name == *skip) {
                        folders.push(path);
                    }
                } else if path.extension().is_some_and(|e| e == "rs") && name != "tests.rs" {
                    let from_root = path.strip_prefix(root).unwrap_or(&path).to_owned();
                    let text = std::fs::read_to_string(&path)?;
                    let file =
                        syn::parse_file(&text).with_context(|| path.display().to_string())?;
                    sources.add(&from_root, file.items);
                }
            }
        }
        Ok(sources)
    }

    fn add(&mut self, file: &Path, items: Vec<Item>) {
        let mut defaults = HashMap::new();
        for item in &items {
            let Item::Impl(block) = item else { continue };
            let is_default = block
                .trait_
                .as_ref()
                .and_then(|(_, path, _)| path.segments.last())
                .is_some_and(|name| name.ident == "Default");
            if let (true, Some(syn::ImplItem::Fn(method))) = (is_default, block.items.first()) {
                defaults.insert(type_name(&block.self_ty), method.block.clone());
            }
        }
        for item in items {
            match item {
                Item::Struct(item) => {
                    let shape = match item.fields {
                        Fields::Named(fields) => {
                            Shape::Struct(fields.named.into_iter().map(field).collect())
                        }
                        Fields::Unnamed(mut fields) if fields.unnamed.len() == 1 => {
                            match fields.unnamed.pop() {
                                Some(only) => Shape::Newtype(only.into_value().ty),
                                None => continue,
                            }
                        }
                        _ => continue,
                    };
                    self.declare(file, item.ident.to_string(), &item.attrs, shape, &mut defaults);
                }
                Item::Enum(item) => {
                    let shape = Shape::Enum(item.variants.into_iter().map(variant).collect());
                    self.declare(file, item.ident.to_string(), &item.attrs, shape, &mut defaults);
                }
                Item::Const(item) => {
                    let all = self.constants.entry(item.ident.to_string()).or_default();
                    all.push((file.to_owned(), *item.expr));
                }
                Item::Fn(item) if item.sig.inputs.is_empty() => {
                    let all = self.functions.entry(item.sig.ident.to_string()).or_default();
                    all.push((file.to_owned(), item));
                }
                _ => {}
            }
        }
    }

    fn declare(
        &mut self,
        file: &Path,
        name: String,
        attributes: &[Attribute],
        shape: Shape,
        defaults: &mut HashMap<String, syn::Block>,
    ) {
        let declared = Declared {
            file: file.to_owned(),
            attributes: serde_attributes(attributes),
            shape,
            default: defaults.remove(&name),
            derived: derives(attributes, "Deserialize"),
        };
        self.types.entry(name).or_default().push(declared);
    }

    /// The type called `name` as seen from `file`: there, in its folder, in its crate, elsewhere.
    /// `module::Name` is looked for in a file or folder of that name first.
    pub fn find(&self, name: &str, file: &Path) -> Option<&Declared> {
        let Some((module, name)) = name.split_once("::") else {
            return nearest(self.types.get(name)?, |declared| &declared.file, file);
        };
        let of_module = |declared: &&Declared| {
            let file = declared.file.with_extension("");
            file.components().any(|part| part.as_os_str() == module)
        };
        let all = self.types.get(name)?;
        if module == "super" {
            let parent = file.with_file_name("mod.rs");
            return all.iter().find(|declared| declared.file == parent);
        }
        all.iter().find(of_module).or_else(|| nearest(all, |declared| &declared.file, file))
    }

    /// The constant called `name` as seen from `file`.
    pub fn constant(&self, name: &str, file: &Path) -> Option<&Expr> {
        nearest(self.constants.get(name)?, |(at, _)| at, file).map(|(_, expression)| expression)
    }

    /// The function called `name` as seen from `file`.
    pub fn function(&self, name: &str, file: &Path) -> Option<&syn::ItemFn> {
        nearest(self.functions.get(name)?, |(at, _)| at, file).map(|(_, function)| function)
    }
}

/// The one that shares most of its path with `file`; shared settings before anyone else's.
fn nearest<'a, T>(all: &'a [T], at: impl Fn(&T) -> &PathBuf, file: &Path) -> Option<&'a T> {
    let near = |other: &PathBuf| {
        let same = other.components().zip(file.components()).take_while(|(a, b)| a == b).count();
        // "crates" alone is no kinship.
        let kin = if same > 1 { same } else { 0 };
        (kin, other.starts_with("crates/pipeline/src/config"))
    };
    all.iter().max_by_key(|one| near(at(one)))
}

/// The last part of a type's path, `Duration` of `basics::Duration`.
pub fn type_name(kind: &Type) -> String {
    match kind {
        Type::Path(path) => {
            path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// The last two parts of a type's path, `health_check::Config`, or the one it has.
pub fn qualified_name(kind: &Type) -> String {
    let Type::Path(path) = kind else { return String::new() };
    let names: Vec<String> = path.path.segments.iter().map(|s| s.ident.to_string()).collect();
    match names.as_slice() {
        [.., module, name] if !["crate", "self"].contains(&module.as_str()) => {
            format!("{module}::{name}")
        }
        [.., name] => name.clone(),
        [] => String::new(),
    }
}

/// The types between a type's angle brackets.
pub fn parameters(kind: &Type) -> Vec<&Type> {
    let Type::Path(path) = kind else { return Vec::new() };
    let Some(segment) = path.path.segments.last() else { return Vec::new() };
    let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return Vec::new();
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        syn::GenericArgument::Type(kind) => Some(kind),
        _ => None,
    });
    types.collect()
}

fn field(field: syn::Field) -> Field {
    Field {
        name: field.ident.map(|name| name.to_string()).unwrap_or_default(),
        doc: doc(&field.attrs),
        attributes: serde_attributes(&field.attrs),
        kind: field.ty,
    }
}

fn variant(variant: syn::Variant) -> Variant {
    Variant {
        name: variant.ident.to_string(),
        doc: doc(&variant.attrs),
        attributes: serde_attributes(&variant.attrs),
        is_default: variant.attrs.iter().any(|attribute| attribute.path().is_ident("default")),
        inner: variant.fields.into_iter().next().map(|field| field.ty),
    }
}

fn derives(attributes: &[Attribute], name: &str) -> bool {
    let mut found = false;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("derive")) {
        // What is not a path is not the trait we look for.
        let _ = attribute.parse_nested_meta(|meta| {
            found |= meta.path.segments.last().is_some_and(|segment| segment.ident == name);
            Ok(())
        });
    }
    found
}

/// The first paragraph of the rustdoc, links without brackets.
fn doc(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("doc")) {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(literal) = &pair.value else { continue };
        let Lit::Str(line) = &literal.lit else { continue };
        let line = line.value();
        if line.trim().is_empty() {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line.trim());
    }
    text.replace("[`", "`").replace("`]", "`")
}

fn serde_attributes(attributes: &[Attribute]) -> SerdeAttributes {
    let mut found = SerdeAttributes::default();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("serde")) {
        // Attributes that say nothing about keys are skipped over.
        let _ = attribute.parse_nested_meta(|meta| {
            let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            let value = match meta.input.peek(syn::Token![=]) {
                true => Some(meta.value()?.parse::<syn::LitStr>()?.value()),
                false => None,
            };
            match (name.as_str(), value) {
                ("rename", value) => found.rename = value,
                ("rename_all", value) => found.rename_all = value,
                ("alias", Some(value)) => found.aliases.push(value),
                ("default", value) => found.default = value,
                ("transparent", _) => found.transparent = true,
                ("untagged", _) => found.untagged = true,
                ("skip" | "skip_deserializing", _) => found.skip = true,
                _ => {}
            }
            Ok(())
        });
    }
    found
}
