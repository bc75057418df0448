import type { LucideIcon } from "lucide-react";
import type { ComponentProps, ReactNode } from "react";

import { cx } from "./cx";
import { Tooltip } from "./Tooltip";

type Look = "solid" | "outline" | "ghost" | "danger";

interface Options {
  look?: Look;
  size?: "sm" | "md";
  icon?: LucideIcon | undefined;
  busy?: boolean;
  /** Why it cannot be pressed: it stays in the tab order and says so. */
  disabledReason?: string | undefined;
}

const LOOKS: Record<Look, string> = {
  solid: "bg-solid text-on-solid hover:bg-solid-hover",
  outline: "border border-line-strong bg-surface hover:bg-sunken",
  ghost: "text-ink-2 hover:bg-hover hover:text-ink",
  danger: "border border-bad/40 bg-bad-soft text-bad hover:border-bad",
};

const SIZES = { sm: "h-7 px-2.5 text-xs gap-1.5", md: "h-8 px-3 text-sm gap-2" };

/** The classes of a button, for links that look like one. */
export function buttonClass({ look = "outline", size = "md" }: Options = {}): string {
  return cx(
    "inline-flex shrink-0 items-center justify-center rounded-md font-medium whitespace-nowrap transition-colors select-none",
    "aria-disabled:cursor-not-allowed aria-disabled:opacity-50",
    LOOKS[look],
    SIZES[size],
  );
}

export function Button({
  look,
  size,
  icon: Icon,
  busy,
  disabledReason,
  children,
  className,
  onClick,
  ...rest
}: ComponentProps<"button"> & Options & { children: ReactNode }) {
  const off = busy || disabledReason !== undefined;
  const button = (
    <button
      type="button"
      {...rest}
      aria-disabled={off || undefined}
      aria-busy={busy || undefined}
      onClick={off ? (event) => event.preventDefault() : onClick}
      className={cx(buttonClass({ ...(look ? { look } : {}), ...(size ? { size } : {}) }), className)}
    >
      {Icon && <Icon aria-hidden className={cx("size-3.5", busy && "animate-pulse")} />}
      {children}
    </button>
  );
  return disabledReason ? <Tooltip text={disabledReason}>{button}</Tooltip> : button;
}

/** A button that is only an icon. Its label is its name for everybody who does not see it, and its tooltip. */
export function IconButton({
  label,
  icon: Icon,
  keys,
  className,
  ...rest
}: ComponentProps<"button"> & { label: string; icon: LucideIcon; keys?: string[] }) {
  return (
    <Tooltip text={label} {...(keys ? { keys } : {})}>
      <button
        type="button"
        aria-label={label}
        {...rest}
        className={cx(
          "inline-flex size-7 shrink-0 items-center justify-center rounded-md text-ink-3 transition-colors hover:bg-hover hover:text-ink data-[state=open]:bg-hover data-[state=open]:text-ink",
          className,
        )}
      >
        <Icon aria-hidden className="size-4" />
      </button>
    </Tooltip>
  );
}
