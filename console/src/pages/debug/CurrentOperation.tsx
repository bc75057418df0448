import { FlaskConical, Undo2 } from "lucide-react";
import { useState } from "react";

import type { DebugState } from "~/api/debug";
import { Chip } from "~/components/StatusMark";
import { JsonEditor, jsonProblem } from "~/components/JsonEditor";
import { JsonView } from "~/components/JsonView";
import type { Json } from "~/lib/diff";
import { formatDuration } from "~/lib/time";
import { nameOf } from "~/lib/waterfall";
import { Button } from "~/ui/Button";
import { Facts, Section } from "~/ui/layout";
import type { Debugger } from "./useDebugger";

/** The operation that was answered last, and what if it had been answered otherwise. */
export function CurrentOperation({ state, session }: { state: DebugState; session: Debugger }) {
  const { current } = state;
  const [edit, setEdit] = useState<string>();
  if (!current) return <p className="text-sm text-ink-3">Nothing was answered yet: the function is about to begin.</p>;
  const problem = edit === undefined ? undefined : jsonProblem(edit);
  const answer = (result: Json) => {
    session.tell({ command: "edit", operation: current.operation, result });
    setEdit(undefined);
  };
  return (
    <div className="flex flex-col gap-4">
      <Facts
        items={[
          ["Operation", `${current.operation}: ${current.function}`],
          ["Arguments", current.arguments && <span key="arguments" className="font-mono text-xs break-words">{current.arguments}</span>],
          ["Waited", current.duration_ns ? formatDuration(current.duration_ns) : undefined],
          ["What if", current.edited && <Chip key="edited" tone="warn">answered otherwise</Chip>],
        ]}
      />
      <Section
        title="Answer"
        actions={
          <>
            {current.edited && (
              <Button size="sm" icon={Undo2} onClick={() => answer(null)}>
                As it was recorded
              </Button>
            )}
            {edit === undefined && (
              <Button size="sm" icon={FlaskConical} onClick={() => setEdit(JSON.stringify(current.result, null, 2))}>
                What if…
              </Button>
            )}
          </>
        }
      >
        {edit === undefined ? (
          <JsonView value={current.result} label="the answer" />
        ) : (
          <div className="flex flex-col gap-2">
            <JsonEditor label="Another answer" value={edit} onChange={setEdit} />
            {problem && <p className="text-xs text-bad">{problem}</p>}
            <p className="text-xs text-ink-3">
              The function runs again with this answer. Nothing reaches the world: what the recording cannot answer is reported as a new
              effect.
            </p>
            <div className="flex gap-2">
              <Button look="solid" size="sm" disabledReason={problem && "This is no JSON"} onClick={() => answer(JSON.parse(edit) as Json)}>
                Run with this answer
              </Button>
              <Button size="sm" onClick={() => setEdit(undefined)}>
                Cancel
              </Button>
            </div>
          </div>
        )}
      </Section>
      {state.what_if.length > 0 && (
        <Section title="What is different from the recording">
          <ul className="rounded-lg border border-line text-xs">
            {state.what_if.map((it) => (
              <li key={it.operation} className="flex gap-3 border-b border-line px-3 py-1.5 last:border-b-0">
                <span className="nums text-ink-3">{it.operation}</span>
                <span className="font-mono">{nameOf(it.function)}</span>
                <span className="min-w-0 truncate font-mono text-ink-3">{it.summary || it.arguments}</span>
                <Chip tone="warn">{it.new ? "new effect, not performed" : "answered otherwise"}</Chip>
              </li>
            ))}
          </ul>
        </Section>
      )}
    </div>
  );
}
