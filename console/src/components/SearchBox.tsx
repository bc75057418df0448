import { Search, X } from "lucide-react";
import { useMemo, useRef, useState } from "react";

import { useActions, type Action } from "~/app/actions";

interface Props {
  label: string;
  placeholder: string;
  value: string;
  /** Called with Enter and when it is cleared: a search is work for the server. */
  onSearch: (text: string) => void;
}

export function SearchBox({ label, placeholder, value, onSearch }: Props) {
  const [typed, setTyped] = useState(value);
  const [known, setKnown] = useState(value);
  if (known !== value) {
    setKnown(value);
    setTyped(value);
  }
  const field = useRef<HTMLInputElement>(null);
  const actions = useMemo(
    (): Action[] => [
      { id: "filter", label: "Search this list", group: "List", icon: Search, keys: "/", perform: () => field.current?.focus() },
    ],
    [],
  );
  useActions(actions);
  return (
    <form
      role="search"
      className="relative min-w-44 flex-1 sm:max-w-80"
      onSubmit={(event) => {
        event.preventDefault();
        onSearch(typed.trim());
      }}
    >
      <Search aria-hidden className="pointer-events-none absolute top-1.5 left-2 size-4 text-ink-3" />
      <input
        ref={field}
        aria-label={label}
        placeholder={placeholder}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        onKeyDown={(event) => event.key === "Escape" && field.current?.blur()}
        className="h-7 w-full rounded-md border border-line bg-surface pr-7 pl-8 text-xs outline-none hover:border-line-strong focus:border-accent focus:ring-2 focus:ring-accent-soft"
      />
      {typed && (
        <button
          type="button"
          aria-label="Clear the search"
          onClick={() => {
            setTyped("");
            onSearch("");
          }}
          className="absolute top-0.5 right-0.5 flex size-6 items-center justify-center rounded text-ink-3 hover:text-ink"
        >
          <X aria-hidden className="size-3.5" />
        </button>
      )}
    </form>
  );
}
