import { ChevronDown, X } from "lucide-react";
import type { ReactNode } from "react";

import { cx } from "~/ui/cx";
import { Menu } from "~/ui/Menu";
import { Popover } from "~/ui/Popover";

interface Props {
  label: string;
  /** What is chosen; nothing filters nothing. */
  value: string | undefined;
  onClear: () => void;
  children: ReactNode;
  /** A form needs a popover; a choice is a menu. */
  form?: boolean;
}

/** One filter: what it is, what it is set to, and a way to take it away. */
export function FilterChip({ label, value, onClear, children, form }: Props) {
  const trigger = (
    <button
      type="button"
      className={cx(
        "flex h-7 min-w-0 items-center gap-1 rounded-md px-2 text-xs transition-colors",
        value ? "pr-1 font-medium text-accent" : "text-ink-2 hover:text-ink",
      )}
    >
      <span className={value ? "text-ink-2" : ""}>{label}</span>
      {value ? <span className="max-w-48 truncate">{value}</span> : <ChevronDown aria-hidden className="size-3.5 text-ink-3" />}
    </button>
  );
  return (
    <span
      className={cx(
        "inline-flex h-7 items-center rounded-md border",
        value ? "border-accent-line bg-accent-soft" : "border-line bg-surface hover:border-line-strong",
      )}
    >
      {form ? (
        <Popover trigger={trigger} label={label} align="start">
          {children}
        </Popover>
      ) : (
        <Menu trigger={trigger} align="start">
          {children}
        </Menu>
      )}
      {value && (
        <button
          type="button"
          aria-label={`Clear ${label.toLowerCase()}`}
          onClick={onClear}
          className="mr-0.5 flex size-6 items-center justify-center rounded text-ink-3 hover:bg-hover hover:text-ink"
        >
          <X aria-hidden className="size-3.5" />
        </button>
      )}
    </span>
  );
}
