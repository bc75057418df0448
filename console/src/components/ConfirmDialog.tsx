import { useState, type ReactNode } from "react";

import { Button } from "~/ui/Button";
import { Dialog } from "~/ui/Dialog";
import { Field, Input } from "~/ui/fields";
import { ProblemLine } from "./ProblemView";

interface Props {
  title: string;
  verb: string;
  /** What must be typed first, for what cannot be taken back. */
  typed?: string;
  busy: boolean;
  error: unknown;
  onConfirm: () => void;
  onClose: () => void;
  children: ReactNode;
}

/** Asks before something is done that cannot be undone. */
export function ConfirmDialog({ title, verb, typed, busy, error, onConfirm, onClose, children }: Props) {
  const [text, setText] = useState("");
  const reason = typed && text !== typed ? `Type ${typed} first` : undefined;
  return (
    <Dialog
      open
      onClose={onClose}
      title={title}
      description={children}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button look="danger" busy={busy} disabledReason={reason} onClick={onConfirm}>
            {verb}
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-3">
        {typed && (
          <Field label={`Type ${typed} to confirm`}>
            {(id) => <Input id={id} value={text} onChange={(event) => setText(event.target.value)} autoFocus autoComplete="off" />}
          </Field>
        )}
        {error ? <ProblemLine error={error} /> : null}
      </div>
    </Dialog>
  );
}
