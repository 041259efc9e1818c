// SPDX-License-Identifier: Apache-2.0
//! The components: every `factory()` of the component crates.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use syn::visit::Visit;
use syn::{Expr, ExprLit, ExprStruct, Lit, Member};

use super::types::Sources;

/// One component type as its factory describes it.
pub struct Component {
    /// `receivers`, `processors`, `exporters` or `extensions`.
    pub stage: &'static str,
    pub kind: String,
    pub summary: String,
    /// Other spellings, and what is said when they are used.
    pub aliases: Vec<(String, Option<String>)>,
    pub signals: Vec<String>,
    /// Name of the settings' type.
    pub config: String,
    /// The source file of the factory.
    pub file: PathBuf,
}

impl Component {
    /// Its folder, from the repository's root.
    pub fn folder(&self) -> PathBuf {
        Path::new("crates").join(self.stage).join("src").join(&self.kind)
    }
}

const STAGES: [&str; 4] = ["receivers", "processors", "exporters", "extensions"];

/// All components, by stage and name.
pub fn components(sources: &Sources) -> Result<Vec<Component>> {
    let mut components = Vec::new();
    for (file, function) in sources.functions.get("factory").into_iter().flatten() {
        let of = |stage: &&&'static str| file.starts_with(Path::new("crates").join(stage));
        let Some(stage) = STAGES.iter().find(of) else { continue };
        let mut finder = Finder::default();
        finder.visit_item_fn(function);
        let literal = finder.found.with_context(|| format!("{}: no Factory", file.display()))?;
        components
            .push(component(stage, file, &literal).with_context(|| file.display().to_string())?);
    }
    let place = |one: &Component| STAGES.iter().position(|stage| *stage == one.stage);
    components.sort_by_key(|one| (place(one), one.kind.clone()));
    ensure!(!components.is_empty(), "there is no component");
    Ok(components)
}

/// The first struct literal that has a `kind` and a `decode`.
#[derive(Default)]
struct Finder {
    found: Option<ExprStruct>,
}

impl<'a> Visit<'a> for Finder {
    fn visit_expr_struct(&mut self, literal: &'a ExprStruct) {
        if value(literal, "kind").is_some() && value(literal, "decode").is_some() {
            self.found.get_or_insert_with(|| literal.clone());
        }
    }
}

fn value<'a>(literal: &'a ExprStruct, name: &str) -> Option<&'a Expr> {
    let named = literal.fields.iter().find(|field| match &field.member {
        Member::Named(member) => member == name,
        Member::Unnamed(_) => false,
    });
    named.map(|field| &field.expr)
}

fn component(stage: &'static str, file: &Path, literal: &ExprStruct) -> Result<Component> {
    let get = |name| value(literal, name).with_context(|| format!("the factory has no {name}"));
    let decode = match get("decode")? {
        Expr::Path(path) => path.path.segments.last().context("no decode function")?.clone(),
        _ => anyhow::bail!("decode is not a function"),
    };
    let config = match &decode.arguments {
        syn::PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(syn::GenericArgument::Type(kind)) => super::types::type_name(kind),
            _ => anyhow::bail!("decode has no settings type"),
        },
        _ => anyhow::bail!("decode has no settings type; write decode::<Config>"),
    };
    Ok(Component {
        stage,
        kind: text(get("kind")?).context("kind is not a text")?,
        summary: text(get("summary")?).context("summary is not a text")?,
        aliases: elements(get("aliases")?).iter().filter_map(alias).collect(),
        signals: elements(get("signals")?).iter().filter_map(last_name).collect(),
        config,
        file: file.to_owned(),
    })
}

fn alias(expression: &Expr) -> Option<(String, Option<String>)> {
    let Expr::Struct(literal) = expression else { return None };
    let warning = match value(literal, "warning")? {
        Expr::Call(call) => call.args.first().and_then(text),
        _ => None,
    };
    Some((text(value(literal, "kind")?)?, warning))
}

fn last_name(expression: &Expr) -> Option<String> {
    let Expr::Path(path) = expression else { return None };
    Some(path.path.segments.last()?.ident.to_string().to_lowercase())
}

/// The elements of `&[...]`.
fn elements(expression: &Expr) -> Vec<Expr> {
    match expression {
        Expr::Reference(reference) => elements(&reference.expr),
        Expr::Array(array) => array.elems.iter().cloned().collect(),
        // `&Signal::ALL` and the like.
        Expr::Path(path) if path.path.segments.last().is_some_and(|s| s.ident == "ALL") => {
            let names = ["Traces", "Metrics", "Logs"];
            names.iter().filter_map(|name| syn::parse_str(name).ok()).collect()
        }
        _ => Vec::new(),
    }
}

fn text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}
