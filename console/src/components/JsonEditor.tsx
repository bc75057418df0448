import { lazy, Suspense } from "react";

const Editor = lazy(() => import("./CodeEditor"));

interface Props {
  label: string;
  value: string;
  onChange: (value: string) => void;
}

/** An editor for JSON, loaded when it is needed. */
export function JsonEditor({ label, value, onChange }: Props) {
  return (
    <Suspense
      fallback={<div role="status" aria-label="Loading" className="skeleton h-48 rounded-md" />}
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
