import { defaultKeymap } from "@codemirror/commands";
import { javascript } from "@codemirror/lang-javascript";
import { python } from "@codemirror/lang-python";
import { rust } from "@codemirror/lang-rust";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { search, searchKeymap } from "@codemirror/search";
import { EditorState, RangeSet, StateEffect, StateField, type Extension } from "@codemirror/state";
import { Decoration, EditorView, gutter, GutterMarker, keymap, lineNumbers, type BlockInfo } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useEffectEvent, useRef } from "react";

export interface Stop {
  line: number;
  /** Whether it will ever stop there. */
  verified: boolean;
}

interface Props {
  label: string;
  path: string;
  text: string;
  /** As much as it may take; a short text takes less. */
  heightMax: number;
  /** The line to be marked and shown, from 1. */
  line?: number | undefined;
  /** What the mark means: where something stands, or where it failed. */
  tone?: "here" | "bad";
  stops?: readonly Stop[] | undefined;
  onToggle?: (line: number) => void;
  onRunTo?: (line: number) => void;
}

const LINE_PX = 20;
/** What stands above and below the lines. */
const AROUND_PX = 20;

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.moduleKeyword, tags.controlKeyword], color: "var(--accent)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--ok)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--run)" },
  { tag: [tags.comment, tags.docComment], color: "var(--ink-3)", fontStyle: "italic" },
  { tag: [tags.typeName, tags.className, tags.macroName], color: "var(--warn)" },
  { tag: [tags.function(tags.variableName), tags.function(tags.definition(tags.variableName))], fontWeight: "500" },
]);

const theme = EditorView.theme({
  "&": { fontSize: "12px", backgroundColor: "var(--sunken)", borderRadius: "8px", height: "100%" },
  "&.cm-focused": { outline: "2px solid var(--accent)" },
  ".cm-scroller": { fontFamily: "var(--font-mono)", lineHeight: "20px", overflow: "auto" },
  ".cm-content": { caretColor: "var(--ink)", padding: "8px 0" },
  ".cm-gutters": { backgroundColor: "var(--sunken)", color: "var(--ink-3)", border: "none" },
  ".cm-here": { backgroundColor: "var(--accent-soft)", boxShadow: "inset 3px 0 0 var(--accent)" },
  ".cm-bad": { backgroundColor: "var(--bad-soft)", boxShadow: "inset 3px 0 0 var(--bad)" },
  // Colours of the syntax are too pale on a marked line.
  ".cm-here span, .cm-bad span": { color: "var(--ink) !important" },
  ".cm-stops": { width: "18px", cursor: "pointer" },
  ".cm-stops .cm-gutterElement": { display: "flex", alignItems: "center", justifyContent: "center" },
  ".cm-stops .cm-gutterElement:hover::before": { content: "''", width: "8px", height: "8px", borderRadius: "50%", backgroundColor: "var(--line-strong)" },
  ".cm-stops .cm-gutterElement:has(span):hover::before": { display: "none" },
  ".cm-stop": { width: "9px", height: "9px", borderRadius: "50%", backgroundColor: "var(--bad)" },
  ".cm-stop-idle": { backgroundColor: "transparent", border: "2px solid var(--ink-3)" },
  ".cm-selectionBackground, &.cm-focused .cm-selectionBackground, ::selection": { backgroundColor: "var(--accent-soft) !important" },
  ".cm-panels": { backgroundColor: "var(--raised)", color: "var(--ink)", borderColor: "var(--line)" },
});

const setMark = StateEffect.define<{ line: number | undefined; tone: "here" | "bad" }>();
const setStops = StateEffect.define<readonly Stop[]>();

/** The marked line. */
const mark = StateField.define({
  create: () => Decoration.none,
  update(marks, { state, effects }) {
    for (const effect of effects)
      if (effect.is(setMark)) {
        const { line, tone } = effect.value;
        const inside = line !== undefined && line >= 1 && line <= state.doc.lines;
        return inside ? Decoration.set(Decoration.line({ class: `cm-${tone}` }).range(state.doc.line(line).from)) : Decoration.none;
      }
    return marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

class StopMarker extends GutterMarker {
  readonly verified: boolean;
  constructor(verified: boolean) {
    super();
    this.verified = verified;
  }
  override eq(other: StopMarker): boolean {
    return other.verified === this.verified;
  }
  override toDOM(): Node {
    const dot = document.createElement("span");
    dot.className = this.verified ? "cm-stop" : "cm-stop cm-stop-idle";
    dot.title = this.verified ? "A breakpoint" : "No code stands there";
    return dot;
  }
}

const stopMarkers = StateField.define<RangeSet<GutterMarker>>({
  create: () => RangeSet.empty,
  update(markers, { state, effects }) {
    for (const effect of effects)
      if (effect.is(setStops)) {
        const inside = effect.value.filter(({ line }) => line >= 1 && line <= state.doc.lines);
        return RangeSet.of(inside.map(({ line, verified }) => new StopMarker(verified).range(state.doc.line(line).from)), true);
      }
    return markers;
  },
});

function languageOf(path: string): Extension {
  const ending = path.split(".").at(-1) ?? "";
  if (ending === "rs") return rust();
  if (ending === "py") return python();
  if (/^[mc]?[jt]sx?$/.test(ending)) return javascript({ typescript: ending.includes("t"), jsx: ending.endsWith("x") });
  return [];
}

/** CodeMirror for reading code: with a marked line, and breakpoints where they can be set. */
export default function SourceEditor({ label, path, text, heightMax, line, tone = "here", stops, onToggle, onRunTo }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const toggle = useEffectEvent((at: number) => onToggle?.(at));
  const runTo = useEffectEvent((at: number) => onRunTo?.(at));
  const show = useEffectEvent((editor: EditorView) => {
    const { doc } = editor.state;
    const inside = line !== undefined && line >= 1 && line <= doc.lines;
    editor.dispatch({
      effects: [
        setMark.of({ line, tone }),
        setStops.of(stops ?? []),
      ],
      ...(inside ? { selection: { anchor: doc.line(line).from } } : {}),
    });
    if (!inside) return;
    // Only the editor scrolls, never the page around it.
    editor.requestMeasure({
      read: (it) => it.lineBlockAt(doc.line(line).from).top - it.scrollDOM.clientHeight / 2 + LINE_PX,
      write: (top, it) => {
        it.scrollDOM.scrollTop = top;
      },
    });
  });
  const canStop = Boolean(onToggle);
  useEffect(() => {
    if (!place.current) return undefined;
    // The styles of the editor are constructed sheets inside of a shadow root: the policy forbids <style> elements.
    const root = place.current.shadowRoot ?? place.current.attachShadow({ mode: "open" });
    const lineOf = (editor: EditorView, block: BlockInfo) => editor.state.doc.lineAt(block.from).number;
    const cursor = (editor: EditorView) => editor.state.doc.lineAt(editor.state.selection.main.head).number;
    const bound = (key: string, act: (at: number) => void) => ({
      key,
      run: (editor: EditorView) => {
        act(cursor(editor));
        return true;
      },
    });
    const editor = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: text,
        extensions: [
          canStop
            ? [
                stopMarkers,
                gutter({
                  class: "cm-stops",
                  markers: (it) => it.state.field(stopMarkers),
                  domEventHandlers: {
                    mousedown: (it, block) => {
                      toggle(lineOf(it, block));
                      return true;
                    },
                  },
                }),
                keymap.of([bound("F9", toggle), bound("Mod-Enter", runTo)]),
              ]
            : [],
          lineNumbers(),
          mark,
          languageOf(path),
          search({ top: true }),
          syntaxHighlighting(colours),
          theme,
          EditorState.readOnly.of(true),
          EditorView.contentAttributes.of({ "aria-label": label, "aria-readonly": "true", tabindex: "0" }),
          keymap.of([...searchKeymap, ...defaultKeymap]),
        ],
      }),
    });
    view.current = editor;
    show(editor);
    return () => editor.destroy();
  }, [label, path, text, canStop]);
  useEffect(() => {
    if (view.current) show(view.current);
  }, [line, tone]);
  useEffect(() => {
    view.current?.dispatch({ effects: setStops.of(stops ?? []) });
  }, [stops]);
  const height = Math.min(text.split("\n").length * LINE_PX + AROUND_PX, heightMax);
  return <div ref={place} style={{ height }} className="min-w-0 overflow-hidden rounded-lg" />;
}
