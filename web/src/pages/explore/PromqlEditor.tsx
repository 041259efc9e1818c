// SPDX-License-Identifier: Apache-2.0
// The query box: CodeMirror with PromQL's grammar, completion from the server, and checks while typing.
//
// It lives in a shadow root: there CodeMirror uses constructed style sheets, which the page's CSP
// (`style-src 'self'`) allows; in the document it would write <style> elements, which the CSP blocks.
import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { lintKeymap } from "@codemirror/lint";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { EditorView, keymap, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { PromQLExtension } from "@prometheus-io/codemirror-promql";
import { useEffect, useRef } from "react";
import type { Scheme } from "../../charts/palette";

interface Props {
  value: string;
  scheme: Scheme;
  onChange: (value: string) => void;
  onRun: () => void;
}

const HIGHLIGHT = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.function(tags.variableName), tags.standard(tags.variableName)], color: "var(--accent)" },
  { tag: tags.labelName, color: "var(--ok)" },
  { tag: tags.string, color: "var(--predicted)" },
  { tag: tags.number, color: "var(--predicted)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: tags.invalid, color: "var(--danger)" },
]);

function theme(scheme: Scheme) {
  return EditorView.theme(
    {
      "&": { backgroundColor: "transparent", color: "var(--text)", fontSize: "13.5px" },
      "&.cm-focused": { outline: "none" },
      ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6", maxHeight: "220px" },
      ".cm-content": { padding: "9px 4px", caretColor: "var(--text)" },
      ".cm-cursor": { borderLeftColor: "var(--text)" },
      ".cm-placeholder": { color: "var(--muted)" },
      ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "var(--accent-soft)" },
      ".cm-tooltip": {
        backgroundColor: "var(--surface)",
        border: "1px solid var(--line-strong)",
        borderRadius: "8px",
        color: "var(--text)",
        overflow: "hidden",
      },
      ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "260px" },
      ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px" },
      ".cm-tooltip-autocomplete ul li[aria-selected]": {
        backgroundColor: "var(--accent-soft)",
        color: "var(--text)",
      },
      ".cm-completionDetail": { color: "var(--muted)", fontStyle: "normal", marginLeft: "1em" },
      ".cm-completionIcon": { display: "none" },
      ".cm-completionInfo": { maxWidth: "320px", padding: "6px 10px" },
      ".cm-diagnostic": { padding: "6px 10px" },
    },
    { dark: scheme === "dark" },
  );
}

export function PromqlEditor({ value, scheme, onChange, onRun }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<EditorView | null>(null);
  const look = useRef(new Compartment());
  const calls = useRef({ onChange, onRun });
  calls.current = { onChange, onRun };
  const first = useRef({ value, scheme });

  useEffect(() => {
    const element = host.current;
    if (element === null) return;
    const root = element.shadowRoot ?? element.attachShadow({ mode: "open" });
    const view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: first.current.value,
        extensions: [
          Prec.highest(
            keymap.of([
              { key: "Mod-Enter", run: () => run(calls.current.onRun) },
              { key: "Shift-Enter", run: insertNewlineAndIndent },
            ]),
          ),
          keymap.of([
            ...closeBracketsKeymap,
            ...completionKeymap,
            { key: "Enter", run: () => run(calls.current.onRun) },
            ...defaultKeymap,
            ...historyKeymap,
            ...lintKeymap,
          ]),
          history(),
          bracketMatching(),
          closeBrackets(),
          autocompletion({ icons: false }),
          new PromQLExtension()
            .setComplete({ remote: { url: "", httpMethod: "GET", lookbackInterval: 12 * 3_600_000 } })
            .asExtension(),
          syntaxHighlighting(HIGHLIGHT),
          EditorView.lineWrapping,
          placeholder("PromQL, for example  rate(http_requests_total[5m])"),
          EditorView.contentAttributes.of({ "aria-label": "PromQL query", spellcheck: "false" }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) calls.current.onChange(update.state.doc.toString());
          }),
          look.current.of(theme(first.current.scheme)),
        ],
      }),
    });
    editor.current = view;
    return () => {
      view.destroy();
      editor.current = null;
    };
  }, []);

  useEffect(() => {
    const view = editor.current;
    if (view === null || view.state.doc.toString() === value) return;
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: value } });
  }, [value]);

  useEffect(() => {
    editor.current?.dispatch({ effects: look.current.reconfigure(theme(scheme)) });
  }, [scheme]);

  return <div ref={host} data-testid="promql-editor" />;
}

function run(onRun: () => void): boolean {
  onRun();
  return true;
}
