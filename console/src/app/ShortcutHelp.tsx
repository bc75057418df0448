import { Dialog } from "~/ui/Dialog";
import { Keys } from "~/ui/Keys";
import { useAllActions, type Action } from "./actions";
import { shownKeys } from "./shortcuts";

const LIST_KEYS: [string, string[]][] = [
  ["Next and previous row", ["J", "K"]],
  ["Open the row", ["Enter"]],
  ["Filter", ["/"]],
];

/** All keys that do something here. */
export function ShortcutHelp({ open, onClose }: { open: boolean; onClose: () => void }) {
  const actions = useAllActions().filter((action) => action.keys);
  const groups = Map.groupBy(actions, (action: Action) => action.group);
  return (
    <Dialog open={open} onClose={onClose} title="Keyboard shortcuts" wide>
      <div className="grid gap-x-8 gap-y-5 sm:grid-cols-2">
        {[...groups].map(([group, members]) => (
          <Group
            key={group}
            name={group}
            rows={members.map(({ label, keys }) => [label, shownKeys(keys ?? "")] as const)}
          />
        ))}
        <Group name="Lists" rows={LIST_KEYS} />
      </div>
    </Dialog>
  );
}

function Group({ name, rows }: { name: string; rows: (readonly [string, string[]])[] }) {
  return (
    <section>
      <h3 className="mb-1 text-xs font-medium text-ink-3">{name}</h3>
      <ul>
        {rows.map(([label, keys]) => (
          <li key={label} className="flex h-8 items-center justify-between gap-4 border-b border-line text-sm">
            {label}
            <Keys keys={keys} />
          </li>
        ))}
      </ul>
    </section>
  );
}
