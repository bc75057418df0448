import { Tabs as Radix } from "radix-ui";
import type { ReactNode } from "react";

interface Tab {
  value: string;
  label: string;
  count?: number | undefined;
  content: ReactNode;
}

/** Tabs whose choice belongs to the caller, mostly to the URL. */
export function Tabs({ value, onChange, tabs, label }: { value: string; onChange: (value: string) => void; tabs: Tab[]; label: string }) {
  return (
    <Radix.Root value={value} onValueChange={onChange} className="flex min-w-0 flex-col">
      <Radix.List aria-label={label} className="flex gap-5 overflow-x-auto overflow-y-hidden border-b border-line">
        {tabs.map((tab) => (
          <Radix.Trigger
            key={tab.value}
            value={tab.value}
            className="-mb-px flex h-9 shrink-0 items-center gap-1.5 border-b-2 border-transparent text-sm font-medium text-ink-2 hover:text-ink data-[state=active]:border-ink data-[state=active]:text-ink"
          >
            {tab.label}
            {tab.count !== undefined && <span className="nums text-xs text-ink-3">{tab.count}</span>}
          </Radix.Trigger>
        ))}
      </Radix.List>
      {tabs.map((tab) => (
        <Radix.Content key={tab.value} value={tab.value} className="min-w-0 pt-4 outline-none">
          {tab.content}
        </Radix.Content>
      ))}
    </Radix.Root>
  );
}

/** A few views of the same thing, side by side. */
export function Segmented<T extends string>({
  value,
  onChange,
  choices,
  label,
}: {
  value: T;
  onChange: (value: T) => void;
  choices: readonly { value: T; label: ReactNode }[];
  label: string;
}) {
  return (
    <div role="radiogroup" aria-label={label} className="inline-flex h-7 rounded-md bg-pressed p-0.5">
      {choices.map((choice) => (
        <button
          key={choice.value}
          type="button"
          role="radio"
          aria-checked={value === choice.value}
          onClick={() => onChange(choice.value)}
          className="rounded-[5px] px-2.5 text-xs font-medium text-ink-2 hover:text-ink aria-checked:bg-surface aria-checked:text-ink aria-checked:shadow-sm dark:aria-checked:bg-raised"
        >
          {choice.label}
        </button>
      ))}
    </div>
  );
}
