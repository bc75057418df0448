import type { ComponentProps, ReactNode } from "react";

import { cx } from "./cx";

/** A table for as many rows as fit a page; long lists use the virtual list. */
export function Table({ head, children, label }: { head: { label: string; right?: boolean; hidden?: boolean }[]; children: ReactNode; label: string }) {
  return (
    <div className="overflow-x-auto rounded-lg border border-line bg-surface">
      <table className="w-full border-collapse text-sm" aria-label={label}>
        <thead>
          <tr className="border-b border-line">
            {head.map((column) => (
              <th
                key={column.label}
                scope="col"
                className={cx("h-8 px-3 text-left text-xs font-medium whitespace-nowrap text-ink-3", column.right && "text-right")}
              >
                {column.hidden ? <span className="sr-only">{column.label}</span> : column.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

export function Row({ className, ...rest }: ComponentProps<"tr">) {
  return <tr {...rest} className={cx("border-b border-line last:border-b-0 hover:bg-hover", className)} />;
}

export function Cell({ right, className, ...rest }: ComponentProps<"td"> & { right?: boolean }) {
  return <td {...rest} className={cx("h-9 px-3 py-1 align-middle", right && "nums text-right whitespace-nowrap", className)} />;
}
