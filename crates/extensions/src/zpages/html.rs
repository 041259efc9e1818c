// SPDX-License-Identifier: Apache-2.0
//! A page with tables, nothing loaded from anywhere.

use axum::response::Html;

const LINKS: [&str; 5] = ["servicez", "pipelinez", "extensionz", "featurez", "tracez"];

const STYLE: &str = "body{font:15px/1.4 system-ui,sans-serif;margin:2rem;color-scheme:light dark}\
table{border-collapse:collapse}td,th{text-align:left;padding:.2rem .8rem .2rem 0;\
border-bottom:1px solid #8884}nav a{margin-right:1rem}";

/// A whole page; `title` is text, `body` is HTML.
pub(super) fn page(title: &str, body: &str) -> Html<String> {
    let links: String =
        LINKS.iter().map(|name| format!("<a href=\"/debug/{name}\">{name}</a>")).collect();
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style><nav>{links}</nav><h1>{title}</h1>{body}</html>\n"
    ))
}

/// Rows of text.
pub(super) struct Table(String);

impl Table {
    pub fn new(heads: &[&str]) -> Self {
        let heads: String = heads.iter().map(|head| format!("<th>{head}</th>")).collect();
        Table(format!("<table><tr>{heads}</tr>"))
    }

    pub fn row(&mut self, cells: &[String]) {
        self.0.push_str("<tr>");
        for cell in cells {
            self.0.push_str("<td>");
            escape(cell, &mut self.0);
            self.0.push_str("</td>");
        }
        self.0.push_str("</tr>");
    }

    pub fn done(self) -> String {
        self.0 + "</table>"
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}
