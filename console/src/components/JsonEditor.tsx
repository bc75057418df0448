import { lazy, Suspense } from "react";

import { TextArea } from "~/ui/fields";

const Editor = lazy(() => import("./CodeEditor"));

interface Props {
  id?: string;
  label: string;
  value: string;
  onChange: (value: string) => void;
}

/** An editor for JSON. It is loaded when it is needed; until then a plain field does the same. */
export function JsonEditor({ id, label, value, onChange }: Props) {
  return (
    <Suspense
      fallback={<TextArea id={id} aria-label={label} value={value} onChange={(event) => onChange(event.target.value)} rows={10} />}
    >
      <Editor label={label} value={value} onChange={onChange} />
    </Suspense>
  );
}

/** Why a text is no JSON; nothing when it is, or when it is empty. */
export function jsonProblem(text: string): string | undefined {
  if (!text.trim()) return undefined;
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : "this is no JSON";
  }
}
