import { Check, type LucideIcon } from "lucide-react";
import { DropdownMenu as Radix } from "radix-ui";
import type { ReactNode } from "react";

import { cx } from "./cx";
import { Keys } from "./Keys";

const CONTENT =
  "z-50 max-h-[min(24rem,var(--radix-dropdown-menu-content-available-height))] min-w-48 animate-appear overflow-y-auto rounded-lg bg-raised p-1 shadow-pop";
const ITEM =
  "flex h-7.5 cursor-default items-center gap-2.5 rounded-md px-2 text-sm outline-none data-[disabled]:opacity-50 data-[highlighted]:bg-hover";

export function Menu({ trigger, children, align = "end" }: { trigger: ReactNode; children: ReactNode; align?: "start" | "end" }) {
  return (
    <Radix.Root modal={false}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content align={align} sideOffset={5} collisionPadding={8} className={CONTENT}>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

interface ItemProps {
  children: ReactNode;
  icon?: LucideIcon | undefined;
  keys?: string[];
  danger?: boolean;
  disabled?: boolean;
  onSelect: () => void;
}

export function MenuItem({ children, icon: Icon, keys, danger, disabled, onSelect }: ItemProps) {
  return (
    <Radix.Item className={cx(ITEM, danger && "text-bad")} disabled={disabled ?? false} onSelect={onSelect}>
      {Icon && <Icon aria-hidden className="size-4 text-ink-3" />}
      <span className="flex-1">{children}</span>
      {keys && <Keys keys={keys} />}
    </Radix.Item>
  );
}

/** One of several that exclude one another. */
export function MenuChoice<T extends string>({
  value,
  choices,
  onChoose,
}: {
  value: T | undefined;
  choices: readonly { value: T; label: ReactNode; hint?: ReactNode }[];
  onChoose: (value: T) => void;
}) {
  return (
    <Radix.RadioGroup value={value ?? ""} onValueChange={(next) => onChoose(next as T)}>
      {choices.map((choice) => (
        <Radix.RadioItem key={choice.value} value={choice.value} className={ITEM}>
          <span className="w-4">
            <Radix.ItemIndicator>
              <Check aria-hidden className="size-4 text-accent" />
            </Radix.ItemIndicator>
          </span>
          <span className="flex-1">{choice.label}</span>
          {choice.hint && <span className="text-xs text-ink-3">{choice.hint}</span>}
        </Radix.RadioItem>
      ))}
    </Radix.RadioGroup>
  );
}

/** One that can be on besides others; the menu stays open. */
export function MenuCheck({ checked, onChange, children }: { checked: boolean; onChange: () => void; children: ReactNode }) {
  return (
    <Radix.CheckboxItem
      checked={checked}
      onCheckedChange={onChange}
      onSelect={(event) => event.preventDefault()}
      className={ITEM}
    >
      <span
        className={cx(
          "flex size-3.5 items-center justify-center rounded-sm border",
          checked ? "border-accent bg-accent text-on-solid" : "border-line-strong",
        )}
      >
        <Radix.ItemIndicator>
          <Check aria-hidden className="size-3" strokeWidth={3} />
        </Radix.ItemIndicator>
      </span>
      {children}
    </Radix.CheckboxItem>
  );
}

export function MenuLabel({ children }: { children: ReactNode }) {
  return <Radix.Label className="px-2 pt-2 pb-1 text-2xs font-medium text-ink-3">{children}</Radix.Label>;
}

export function MenuLine() {
  return <Radix.Separator className="my-1 h-px bg-line" />;
}
