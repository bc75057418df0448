import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Pencil, RotateCw, Trash2 } from "lucide-react";
import { useState } from "react";

import { ApiError } from "~/api/problem";
import { askAgain, changeState, keyPath, state, type Space, type StateKey } from "~/api/state";
import { CliButton } from "~/components/CliButton";
import { ConfirmDialog } from "~/components/ConfirmDialog";
import { JsonEditor, jsonProblem } from "~/components/JsonEditor";
import { JsonView } from "~/components/JsonView";
import { TextView } from "~/components/PayloadView";
import { ProblemLine } from "~/components/ProblemView";
import { useMay } from "~/hooks/useMay";
import { command, curl } from "~/lib/cli";
import type { Json } from "~/lib/diff";
import { formatBytes, formatCount } from "~/lib/format";
import { laidOut, shownName } from "~/lib/state";
import { Button } from "~/ui/Button";
import { Dialog } from "~/ui/Dialog";
import { Field, Input } from "~/ui/fields";
import { Loading } from "~/ui/layout";
import { say } from "~/ui/toasts";

interface OfKey {
  project: string;
  space: Space;
  name: string;
  onClose: () => void;
}

/** A key with its value: to look at, to edit, to delete. */
export function OneKey({ project, space, name, onClose }: OfKey) {
  const client = useQueryClient();
  const found = useQuery(state.key(project, space, name));
  const [asks, setAsks] = useState(false);
  const [draft, setDraft] = useState<{ text: string; version: number }>();
  const may = useMay();
  const changed = () => askAgain(client, project);
  const begin = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () => changeState.text(project, space, name),
    onSuccess: ({ text, version }) => setDraft({ text: laidOut(text), version }),
  });
  const save = useMutation({
    meta: { shownInPlace: true },
    mutationFn: ({ text, version }: { text: string; version: number }) => changeState.set(project, space, { key: name, value: text, version }),
    onSuccess: (version) => {
      say(`${shownName(name)} has version ${version} now.`);
      setDraft(undefined);
      return changed();
    },
  });
  const remove = useMutation({
    meta: { shownInPlace: true },
    mutationFn: (version: number) => changeState.remove(project, space, name, version),
    onSuccess: () => {
      say(`${shownName(name)} is deleted.`);
      onClose();
      return changed();
    },
  });
  const whose = "function" in space ? [space.function] : ["--shared", space.shared];
  const conflict = save.error instanceof ApiError && save.error.status === 409;
  const again = () => {
    save.reset();
    begin.mutate();
    void changed();
  };
  return (
    <>
      <Dialog
        open
        shape="side"
        onClose={onClose}
        title={shownName(name)}
        description={found.data && `${formatBytes(found.data.bytes)}, version ${formatCount(found.data.version)}`}
        footer={
          draft ? (
            <>
              <Button onClick={() => (setDraft(undefined), save.reset())}>Cancel</Button>
              {conflict && (
                <Button icon={RotateCw} busy={begin.isPending} onClick={again}>
                  Read it again
                </Button>
              )}
              <Button look="solid" busy={save.isPending} onClick={() => save.mutate(draft)}>
                Save
              </Button>
            </>
          ) : (
            found.data && (
              <>
                <span className="mr-auto">
                  <CliButton command={command("nexus", "state", "get", ...whose, name, ["--project", project])} request={curl(location.origin, keyPath(project, space, name))} />
                </span>
                <Button icon={Trash2} disabledReason={may("write")} onClick={() => setAsks(true)}>
                  Delete
                </Button>
                <Button
                  look="solid"
                  icon={Pencil}
                  busy={begin.isPending}
                  disabledReason={typeof found.data.base64 === "string" ? "Bytes that are no text are set on the command line" : may("write")}
                  onClick={() => begin.mutate()}
                >
                  Edit
                </Button>
              </>
            )
          )
        }
      >
        <div className="flex flex-col gap-3">
          {found.isPending && <Loading rows={4} />}
          {found.isError && <ProblemLine error={found.error} />}
          {begin.isError && <ProblemLine error={begin.error} />}
          {draft ? (
            <ValueEditor value={draft.text} onChange={(text) => setDraft({ ...draft, text })} />
          ) : (
            found.data && <Value view={found.data} />
          )}
          {save.isError && <ProblemLine error={save.error} />}
        </div>
      </Dialog>
      {asks && found.data && (
        <ConfirmDialog
          title={`Delete ${shownName(name)}?`}
          verb="Delete"
          busy={remove.isPending}
          error={remove.error}
          onConfirm={() => remove.mutate(found.data.version)}
          onClose={() => setAsks(false)}
        >
          The next call finds nothing there. It is deleted only if it is still as you see it.
        </ConfirmDialog>
      )}
    </>
  );
}

/** A value in the form in which the server shows it. */
export function Value({ view }: { view: Pick<StateKey, "json" | "text" | "base64"> }) {
  if (view.json !== undefined && view.json !== null) return <JsonView value={view.json as Json} label="the value" />;
  if (typeof view.text === "string" && view.text !== "") return <TextView text={view.text} label="the value" />;
  if (typeof view.base64 === "string")
    return (
      <>
        <p className="text-xs text-ink-3">Bytes that are no text, in base 64</p>
        <TextView text={view.base64} label="the value" />
      </>
    );
  return <p className="text-sm text-ink-3">The value is empty.</p>;
}

function ValueEditor({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const problem = value.trim() ? jsonProblem(value) : "it is empty";
  return (
    <div className="flex flex-col gap-1.5">
      <span className="text-xs font-medium text-ink-2">Value</span>
      <JsonEditor label="Value" value={value} onChange={onChange} />
      <p role="status" className="text-xs text-ink-3">
        {problem ? "This is no JSON: functions can read it only as bytes." : "The next call reads it. Replays do not."}
      </p>
    </div>
  );
}

/** Makes a key that does not exist. */
export function NewKey({ project, space, onClose, onDone }: { project: string; space: Space; onClose: () => void; onDone: (key: string) => void }) {
  const client = useQueryClient();
  const [key, setKey] = useState("");
  const [value, setValue] = useState("{}");
  const set = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () => changeState.set(project, space, { key, value, version: 0 }),
    onSuccess: () => {
      say(`${shownName(key)} is there.`);
      onClose();
      onDone(key);
      return askAgain(client, project);
    },
  });
  return (
    <Dialog
      open
      shape="side"
      onClose={onClose}
      title="New key"
      description={"function" in space ? `In what ${space.function} remembers alone.` : `In what functions share as ${shownName(space.shared)}.`}
      footer={
        <Button look="solid" busy={set.isPending} disabledReason={key ? undefined : "It needs a name"} onClick={() => set.mutate()}>
          Make it
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <Field label="Key">
          {(id) => <Input id={id} value={key} onChange={(event) => setKey(event.target.value)} placeholder="cart/42" autoFocus autoComplete="off" spellCheck={false} className="font-mono text-xs" />}
        </Field>
        <ValueEditor value={value} onChange={setValue} />
        {set.isError && <ProblemLine error={set.error} />}
      </div>
    </Dialog>
  );
}
