import { useState } from "react";

import type { DebugState } from "~/api/debug";
import { formatBytes } from "~/lib/format";
import { hexRows } from "~/lib/hex";
import { Button } from "~/ui/Button";
import { Field, Input, Select } from "~/ui/fields";
import type { Debugger } from "./useDebugger";

const SHOWN = 512;

function largest({ memories }: DebugState): number {
  return memories.toSorted((one, other) => other.bytes - one.bytes)[0]?.memory ?? 0;
}

/** A window into a linear memory, at this moment. */
export function Memory({ state, session }: { state: DebugState; session: Debugger }) {
  // The first memories of a component may be empty: what the guest works in is the largest.
  const [memory, setMemory] = useState(() => largest(state));
  const [address, setAddress] = useState("0x0");
  const at = Number(address);
  const look = (from: number) => {
    setAddress(`0x${from.toString(16)}`);
    session.tell({ command: "memory", memory, address: from, length: SHOWN });
  };
  if (state.memories.length === 0) return <p className="text-sm text-ink-3">The function has no memory here.</p>;
  return (
    <div className="flex flex-col gap-3">
      <form
        className="flex flex-wrap items-end gap-2"
        onSubmit={(event) => {
          event.preventDefault();
          if (Number.isFinite(at)) look(Math.max(Math.floor(at), 0));
        }}
      >
        <Field label="Memory">
          {(id) => (
            <Select id={id} value={memory} onChange={(event) => setMemory(Number(event.target.value))}>
              {state.memories.map((it) => (
                <option key={it.memory} value={it.memory}>
                  {it.module || `memory ${it.memory}`}, {formatBytes(it.bytes)}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <Field label="From byte">
          {(id) => <Input id={id} value={address} onChange={(event) => setAddress(event.target.value)} className="w-36 font-mono text-xs" />}
        </Field>
        <Button type="submit">Look</Button>
        <Button onClick={() => look(Math.max(at - SHOWN, 0))}>Before</Button>
        <Button onClick={() => look(at + SHOWN)}>After</Button>
      </form>
      {state.memory?.base64 === "" && <p className="text-sm text-ink-3">There are no bytes there.</p>}
      {state.memory?.base64 && (
        // Whoever uses the keyboard must be able to scroll it.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <pre tabIndex={0} aria-label="Bytes" className="max-h-96 overflow-auto rounded-lg bg-sunken p-3 font-mono text-2xs leading-5">
          {hexRows(state.memory.address, state.memory.base64).map((row) => (
            <div key={row.address}>
              <span className="text-ink-3">{row.address}</span> {row.bytes} <span className="text-ink-2">{row.text}</span>
            </div>
          ))}
        </pre>
      )}
    </div>
  );
}
