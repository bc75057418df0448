import { ChevronRight } from "lucide-react";
import { useMemo, useState } from "react";

import { keyPath, type Json } from "~/lib/diff";
import { formatCount } from "~/lib/format";
import { CopyButton, useCopy } from "~/ui/Copy";
import { cx } from "~/ui/cx";

/** Members of one list or object that are drawn at once. */
const MEMBERS_SHOWN = 100;
/** A longer text is cut until it is asked for. */
const TEXT_SHOWN = 400;
/** Deeper levels begin closed. */
const OPEN_DEPTH = 3;

/** JSON that can be opened, closed and copied. */
export function JsonView({ value, label }: { value: Json; label: string }) {
  const text = useMemo(() => JSON.stringify(value, null, 2) ?? "", [value]);
  return (
    <div className="group/json relative min-w-0 rounded-lg bg-sunken py-2 pr-9 pl-2 font-mono text-xs leading-6">
      <CopyButton text={text} label={`Copy ${label}`} className="absolute top-1.5 right-1.5" />
      <div className="overflow-x-auto" role="group" aria-label={label}>
        <Node value={value} path="" depth={0} />
      </div>
    </div>
  );
}

function Node({ name, value, path, depth }: { name?: string; value: Json; path: string; depth: number }) {
  const members = membersOf(value);
  const [open, setOpen] = useState(depth < OPEN_DEPTH && (members?.length ?? 0) <= MEMBERS_SHOWN);
  if (!members || members.length === 0)
    return (
      <div className="pl-6">
        <Key name={name} path={path} />
        <Leaf value={value} />
      </div>
    );
  const [start, end] = Array.isArray(value) ? "[]" : "{}";
  return (
    <div>
      <div className="flex items-start">
        <button
          type="button"
          aria-expanded={open}
          aria-label={`${open ? "Close" : "Open"} ${path || "the value"}`}
          onClick={() => setOpen(!open)}
          className="flex size-6 shrink-0 items-center justify-center rounded text-ink-3 hover:text-ink"
        >
          <ChevronRight aria-hidden className={cx("size-3 transition-transform", open && "rotate-90")} />
        </button>
        <span>
          <Key name={name} path={path} />
          <span className="text-ink-3">{open ? start : `${start} ${summary(members.length, value)} ${end}`}</span>
        </span>
      </div>
      {open && (
        <>
          <div className="ml-3 border-l border-line pl-2">
            <Members members={members} path={path} depth={depth} />
          </div>
          <div className="pl-6 text-ink-3">{end}</div>
        </>
      )}
    </div>
  );
}

function Members({ members, path, depth }: { members: Member[]; path: string; depth: number }) {
  const [shown, setShown] = useState(MEMBERS_SHOWN);
  return (
    <>
      {members.slice(0, shown).map(({ key, name, value }) => (
        <Node key={key} {...(name === undefined ? {} : { name })} value={value} path={path + key} depth={depth + 1} />
      ))}
      {members.length > shown && (
        <button
          type="button"
          onClick={() => setShown(shown + MEMBERS_SHOWN * 5)}
          className="pl-6 link"
        >
          {formatCount(members.length - shown)} more
        </button>
      )}
    </>
  );
}

interface Member {
  /** As jq names it from its parent. */
  key: string;
  name?: string;
  value: Json;
}

function membersOf(value: Json): Member[] | undefined {
  if (Array.isArray(value)) return value.map((it, index) => ({ key: `[${index}]`, value: it }));
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).map(([name, it]) => ({ key: keyPath(name), name, value: it }));
}

function summary(count: number, value: Json): string {
  return Array.isArray(value) ? `${formatCount(count)} items` : `${formatCount(count)} keys`;
}

/** A key; a click copies the jq path of its value. */
function Key({ name, path }: { name?: string | undefined; path: string }) {
  const [copied, copy] = useCopy();
  if (name === undefined) return null;
  return (
    <>
      <button
        type="button"
        title={copied ? "Copied" : `Copy ${path}`}
        onClick={() => copy(path)}
        className="inline-block min-w-6 rounded-sm text-left text-ink-2 hover:text-accent hover:underline"
      >
        {name}
      </button>
      <span className="text-ink-3">: </span>
    </>
  );
}

function Leaf({ value }: { value: Json }) {
  const [whole, setWhole] = useState(false);
  if (typeof value === "string") {
    const cut = !whole && value.length > TEXT_SHOWN;
    return (
      <span className="break-words whitespace-pre-wrap text-ok">
        {JSON.stringify(cut ? value.slice(0, TEXT_SHOWN) : value)}
        {cut && (
          <button type="button" onClick={() => setWhole(true)} className="ml-1 link">
            {formatCount(value.length - TEXT_SHOWN)} characters more
          </button>
        )}
      </span>
    );
  }
  const ink = typeof value === "number" ? "text-run" : typeof value === "boolean" ? "text-warn" : "text-ink-3";
  return <span className={ink}>{JSON.stringify(value)}</span>;
}
