import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Activity, Boxes, CornerDownLeft, Folder, ListTree, Search } from "lucide-react";
import { Dialog as Radix } from "radix-ui";
import { useId, useMemo, useState, type KeyboardEvent } from "react";

import { queries } from "~/api/queries";
import { best } from "~/lib/fuzzy";
import { cx } from "~/ui/cx";
import { Keys } from "~/ui/Keys";
import { useAllActions, type Action } from "./actions";
import { shownKeys } from "./shortcuts";

const SHOWN_MAX = 40;

interface Props {
  open: boolean;
  onClose: () => void;
  project: string;
}

/** Everything by its name: actions, functions, projects; a pasted id leads to what it names. */
export function Palette({ open, onClose, project }: Props) {
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 bg-solid/25 dark:bg-canvas/70" />
        <Radix.Content
          aria-describedby={undefined}
          className="fixed top-[min(14vh,8rem)] left-1/2 z-40 flex max-h-[70vh] w-[calc(100vw-2rem)] max-w-xl -translate-x-1/2 animate-appear flex-col overflow-hidden rounded-xl bg-raised shadow-pop outline-none"
        >
          <Radix.Title className="sr-only">Search and commands</Radix.Title>
          <Finder project={project} onClose={onClose} />
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

function Finder({ project, onClose }: { project: string; onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const list = useId();
  const entities = useEntities(project);
  const actions = useAllActions();
  const jump = useJump(project, typed.trim());
  const found = useMemo(() => {
    const offered = [...actions.filter((action) => action.id !== "palette"), ...entities];
    const shown = typed ? best(offered, typed, (it) => `${it.label} ${it.group} ${it.words ?? ""}`, SHOWN_MAX) : offered;
    return jump ? [jump, ...shown] : shown.slice(0, SHOWN_MAX);
  }, [actions, entities, jump, typed]);
  const chosen = found[Math.min(at, found.length - 1)];

  const perform = (action: Action | undefined) => {
    if (!action || action.disabledReason) return;
    onClose();
    action.perform();
  };
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step && found.length) {
      const next = (Math.min(at, found.length - 1) + step + found.length) % found.length;
      setAt(next);
      document.getElementById(`${list}-${found[next]?.id}`)?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") perform(chosen);
    else return;
    event.preventDefault();
  };
  return (
    <>
      <div className="flex items-center gap-3 border-b border-line px-4">
        <Search aria-hidden className="size-4 text-ink-3" />
        <input
          role="combobox"
          aria-expanded="true"
          aria-controls={list}
          aria-activedescendant={chosen && `${list}-${chosen.id}`}
          aria-label="What do you look for?"
          placeholder="What do you look for?"
          value={typed}
          onChange={(event) => {
            setTyped(event.target.value);
            setAt(0);
          }}
          onKeyDown={onKey}
          className="h-12 flex-1 bg-transparent text-base outline-none"
        />
      </div>
      <div id={list} role="listbox" aria-label="Results" className="min-h-0 overflow-y-auto p-1.5">
        {found.map((action, index) => (
          <Result
            key={action.id}
            id={`${list}-${action.id}`}
            action={action}
            heading={action.group !== found[index - 1]?.group ? action.group : undefined}
            chosen={action === chosen}
            onPoint={() => setAt(index)}
            onChoose={() => perform(action)}
          />
        ))}
        {found.length === 0 && <p className="px-3 py-6 text-center text-sm text-ink-3">Nothing has that name.</p>}
      </div>
    </>
  );
}

interface ResultProps {
  id: string;
  action: Action;
  heading: string | undefined;
  chosen: boolean;
  onPoint: () => void;
  onChoose: () => void;
}

function Result({ id, action, heading, chosen, onPoint, onChoose }: ResultProps) {
  const { icon: Icon = CornerDownLeft } = action;
  return (
    <>
      {heading && <div className="px-2.5 pt-2.5 pb-1 text-2xs font-medium text-ink-3">{heading}</div>}
      <div
        id={id}
        role="option"
        tabIndex={-1}
        aria-selected={chosen}
        aria-disabled={action.disabledReason !== undefined}
        onPointerMove={chosen ? undefined : onPoint}
        onClick={onChoose}
        onKeyDown={undefined}
        className={cx(
          "flex h-9 cursor-default items-center gap-3 rounded-md px-2.5 text-sm",
          chosen && "bg-pressed",
          action.disabledReason && "opacity-50",
        )}
      >
        <Icon aria-hidden className="size-4 shrink-0 text-ink-3" strokeWidth={1.75} />
        <span className="flex-1 truncate">{action.label}</span>
        {action.disabledReason ? (
          <span className="truncate text-xs text-ink-3">{action.disabledReason}</span>
        ) : (
          action.keys && <Keys keys={shownKeys(action.keys)} />
        )}
      </div>
    </>
  );
}

function useEntities(project: string): Action[] {
  const navigate = useNavigate();
  const functions = useQuery(queries.functions(project));
  const projects = useQuery(queries.projects());
  return useMemo(
    () => [
      ...(functions.data?.items ?? []).map(
        ({ name }): Action => ({
          id: `function-${name}`,
          label: name,
          group: "Functions",
          icon: Boxes,
          perform: () => void navigate({ to: "/p/$project/functions/$function", params: { project, function: name } }),
        }),
      ),
      ...(projects.data?.items ?? []).map(
        ({ metadata: { name } }): Action => ({
          id: `project-${name}`,
          label: name,
          group: "Projects",
          icon: Folder,
          words: "switch project",
          perform: () => void navigate({ to: "/p/$project", params: { project: name } }),
        }),
      ),
    ],
    [functions.data, projects.data, navigate, project],
  );
}

/** Where a pasted id leads. */
function useJump(project: string, typed: string): Action | undefined {
  const navigate = useNavigate();
  return useMemo(() => {
    const group = "Jump to";
    if (/^inv_\w{20,}$/.test(typed))
      return {
        id: typed,
        label: typed,
        group,
        icon: Activity,
        perform: () =>
          void navigate({ to: "/p/$project/invocations/$invocation", params: { project, invocation: typed } }),
      };
    if (/^evt_\w{20,}$/.test(typed))
      return {
        id: typed,
        label: typed,
        group,
        icon: ListTree,
        perform: () => void navigate({ to: "/p/$project/events/$event", params: { project, event: typed } }),
      };
    if (/^[0-9a-f]{32}$/.test(typed))
      return {
        id: typed,
        label: `Trace ${typed}`,
        group,
        icon: Activity,
        perform: () =>
          void navigate({ to: "/p/$project/invocations", params: { project }, search: { trace: typed } }),
      };
    return undefined;
  }, [navigate, project, typed]);
}
