import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json, jsonParseLinter } from "@codemirror/lang-json";
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, linter } from "@codemirror/lint";
import { Annotation, EditorState } from "@codemirror/state";
import { drawSelection, EditorView, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useEffectEvent, useRef } from "react";

interface Props {
  label: string;
  value: string;
  onChange: (value: string) => void;
}

const colours = HighlightStyle.define([
  { tag: tags.propertyName, color: "var(--ink-2)" },
  { tag: tags.string, color: "var(--ok)" },
  { tag: tags.number, color: "var(--run)" },
  { tag: [tags.bool, tags.null], color: "var(--warn)" },
  { tag: tags.punctuation, color: "var(--ink-3)" },
]);

const theme = EditorView.theme({
  "&": { fontSize: "12px", backgroundColor: "var(--sunken)", borderRadius: "6px" },
  "&.cm-focused": { outline: "2px solid var(--accent)" },
  ".cm-scroller": { fontFamily: "var(--font-mono)", lineHeight: "20px", minHeight: "12rem", maxHeight: "24rem" },
  ".cm-content": { caretColor: "var(--ink)", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--ink-3)", border: "none" },
  ".cm-selectionBackground, &.cm-focused .cm-selectionBackground": { backgroundColor: "var(--accent-soft) !important" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", border: "1px solid var(--line)", borderRadius: "6px" },
  ".cm-diagnostic": { fontFamily: "var(--font-sans)", color: "var(--ink)" },
});

/** Marks changes that the page made, not the keyboard. */
const fromOutside = Annotation.define<boolean>();

/** CodeMirror for JSON. Tab is left alone: it must lead out of the editor. */
export default function CodeEditor({ label, value, onChange }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  // What was typed and has not come back yet: it comes back late when somebody types fast, and must not undo what was
  // typed after it.
  const typed = useRef<string[]>([]);
  const changed = useEffectEvent(onChange);
  const initial = useEffectEvent(() => value);
  useEffect(() => {
    if (!place.current) return undefined;
    // Inside of a shadow root the editor brings its styles as constructed sheets; elsewhere it would put a <style> element
    // into the page, which the content security policy refuses.
    const root = place.current.shadowRoot ?? place.current.attachShadow({ mode: "open" });
    const editor = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: initial(),
        extensions: [
          lineNumbers(),
          history(),
          drawSelection(),
          indentOnInput(),
          bracketMatching(),
          closeBrackets(),
          json(),
          linter((state) => (state.state.doc.length ? jsonParseLinter()(state) : [])),
          lintGutter(),
          syntaxHighlighting(colours),
          theme,
          keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap]),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": label }),
          EditorView.updateListener.of((update) => {
            if (!update.docChanged || update.transactions.some((it) => it.annotation(fromOutside))) return;
            const text = update.state.doc.toString();
            typed.current.push(text);
            changed(text);
          }),
        ],
      }),
    });
    view.current = editor;
    return () => editor.destroy();
  }, [label]);
  useEffect(() => {
    const editor = view.current;
    const echo = typed.current.indexOf(value);
    if (echo >= 0) typed.current.splice(0, echo + 1);
    else if (editor && editor.state.doc.toString() !== value)
      editor.dispatch({
        changes: { from: 0, to: editor.state.doc.length, insert: value },
        annotations: fromOutside.of(true),
      });
  }, [value]);
  return <div ref={place} />;
}
