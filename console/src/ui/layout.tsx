import type { LucideIcon } from "lucide-react";
import type { ReactNode } from "react";

import { cx } from "./cx";

/** The head of a page and what stands below it. */
export function Page({ title, about, actions, children, fill }: { title: ReactNode; about?: ReactNode; actions?: ReactNode; children: ReactNode; fill?: boolean }) {
  return (
    <div className={cx("flex flex-col", fill ? "h-full min-h-0" : "min-h-full")}>
      <header className="flex flex-wrap items-start gap-x-4 gap-y-3 px-4 pt-5 pb-4 md:px-7">
        <div className="min-w-0 flex-1 basis-64">
          <h1 className="truncate text-xl font-semibold tracking-tight">{title}</h1>
          {about && <div className="mt-0.5 text-sm text-ink-2">{about}</div>}
        </div>
        {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
      </header>
      {fill ? children : <div className="flex flex-1 flex-col gap-6 px-4 pb-10 md:px-7">{children}</div>}
    </div>
  );
}

export function Section({ title, about, actions, children }: { title: string; about?: ReactNode; actions?: ReactNode; children: ReactNode }) {
  return (
    <section className="min-w-0">
      <div className="mb-2.5 flex min-h-7 flex-wrap items-center gap-x-3">
        <h2 className="text-sm font-semibold">{title}</h2>
        {about && <div className="text-xs text-ink-3">{about}</div>}
        {actions && <div className="ml-auto flex items-center gap-2">{actions}</div>}
      </div>
      {children}
    </section>
  );
}

export function Card({ children, className }: { children: ReactNode; className?: string }) {
  return <div className={cx("min-w-0 rounded-lg border border-line bg-surface", className)}>{children}</div>;
}

/** Names and values. */
export function Facts({ items, columns = 1 }: { items: [name: string, value: ReactNode][]; columns?: 1 | 2 }) {
  return (
    <dl className={cx("grid gap-x-8 text-sm", columns === 2 ? "md:grid-cols-2" : "")}>
      {items
        .filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false)
        .map(([name, value]) => (
          <div key={name} className="flex gap-4 border-b border-line py-1.5">
            <dt className="w-32 shrink-0 text-ink-3">{name}</dt>
            <dd className="min-w-0 flex-1 break-words">{value}</dd>
          </div>
        ))}
    </dl>
  );
}

/** What stands where there is nothing yet: what would be here, and how it comes. */
export function Empty({ icon: Icon, title, children }: { icon: LucideIcon; title: string; children?: ReactNode }) {
  return (
    <div className="mx-auto flex w-full max-w-xl flex-1 flex-col items-center justify-center gap-3 px-4 py-16 text-center">
      <span className="flex size-10 items-center justify-center rounded-xl bg-pressed text-ink-2">
        <Icon aria-hidden className="size-5" strokeWidth={1.75} />
      </span>
      <h2 className="text-base font-semibold">{title}</h2>
      <div className="flex w-full flex-col gap-3 text-sm text-ink-2 [&_code]:text-left">{children}</div>
    </div>
  );
}

/** Rows that are still on their way. */
export function Loading({ rows = 6 }: { rows?: number }) {
  return (
    <div role="status" aria-label="Loading" className="flex flex-col gap-3 p-4">
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} className="skeleton h-4" style={{ width: `${88 - ((index * 37) % 45)}%` }} />
      ))}
    </div>
  );
}
