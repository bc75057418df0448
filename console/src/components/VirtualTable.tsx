import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowUp } from "lucide-react";
import { useEffect, useEffectEvent, useRef, type KeyboardEvent, type ReactNode } from "react";

import { formatCount, plural } from "~/lib/format";
import { cx } from "~/ui/cx";

export interface Column {
  label: string;
  right?: boolean;
  /** Not on a phone. */
  wide?: boolean;
}

interface Props<T> {
  label: string;
  columns: readonly Column[];
  /** The Tailwind classes of the grid's columns, the same for head and rows. */
  grid: string;
  rows: T[];
  idOf: (row: T) => string;
  /** The cells; one of them holds the row's link, marked with `data-row-link`. */
  children: (row: T) => ReactNode;
  waiting?: number;
  onShow?: () => void;
  onReading?: (reading: boolean) => void;
  hasMore?: boolean;
  onMore?: () => void;
  isFresh?: (row: T) => boolean;
  footer?: ReactNode;
}

const ROW_PX = 37;
/** This far from the top a list is still at its top. */
const TOP_PX = 8;

/** A list of any length: only the rows that are seen exist. J and K go through it, whatever is new waits above. */
export function VirtualTable<T>(props: Props<T>) {
  const { label, columns, grid, rows, idOf, children, waiting = 0, hasMore, onMore, onReading, onShow } = props;
  const frame = useRef<HTMLDivElement>(null);
  const reads = useRef({ scrolled: false, pointed: false, focused: false });
  const rowOf = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
    getItemKey: (index) => {
      const row = rows[index];
      return row ? idOf(row) : index;
    },
  });
  const items = rowOf.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  const more = useEffectEvent(() => onMore?.());
  useEffect(() => {
    if (hasMore && last >= rows.length - 30) more();
  }, [hasMore, last, rows.length]);

  const tell = (change: Partial<typeof reads.current>) => {
    reads.current = { ...reads.current, ...change };
    onReading?.(Object.values(reads.current).some(Boolean));
  };
  const toTop = () => {
    onShow?.();
    frame.current?.scrollTo({ top: 0 });
    tell({ scrolled: false, focused: false });
  };

  return (
    <div className="relative flex min-h-0 flex-1 flex-col">
      {waiting > 0 && (
        <button
          type="button"
          onClick={toTop}
          className="absolute top-11 left-1/2 z-10 flex h-7 -translate-x-1/2 animate-appear items-center gap-1.5 rounded-full bg-solid px-3 text-xs font-medium text-on-solid shadow-pop"
        >
          <ArrowUp aria-hidden className="size-3.5" />
          <span className="nums">{formatCount(waiting)} new</span>
        </button>
      )}
      <div
        ref={frame}
        role="table"
        aria-label={label}
        aria-rowcount={hasMore ? -1 : rows.length + 1}
        className="min-h-0 flex-1 overflow-y-auto"
        onScroll={(event) => tell({ scrolled: event.currentTarget.scrollTop > TOP_PX })}
        onPointerEnter={(event) => event.pointerType === "mouse" && tell({ pointed: true })}
        onPointerLeave={() => tell({ pointed: false })}
        onFocus={() => tell({ focused: true })}
        onBlur={() => tell({ focused: false })}
        onKeyDown={(event) => moveFocus(event, frame.current)}
      >
        <div
          role="row"
          className={cx(
            "sticky top-0 z-[1] hidden h-9 items-center gap-x-4 border-b border-line bg-surface px-4 text-xs text-ink-3 md:grid md:px-7",
            grid,
          )}
        >
          {columns.map((column) => (
            <span role="columnheader" key={column.label} className={cx("truncate", column.right && "text-right")}>
              {column.label}
            </span>
          ))}
        </div>
        <div role="rowgroup" className="relative" style={{ height: rowOf.getTotalSize() }}>
          {items.map((item) => {
            const row = rows[item.index];
            if (!row) return null;
            return (
              <div
                key={item.key}
                role="row"
                aria-rowindex={item.index + 2}
                className={cx(
                  "absolute inset-x-0 top-0 grid items-center gap-x-4 border-b border-line px-4 hover:bg-hover has-[[data-row-link]:focus-visible]:bg-accent-soft md:px-7",
                  grid,
                  props.isFresh?.(row) && "arrived",
                )}
                style={{ height: ROW_PX, translate: `0 ${item.start}px` }}
              >
                {children(row)}
              </div>
            );
          })}
        </div>
        <div className="flex h-12 items-center justify-center text-xs text-ink-3">
          {props.footer ?? (hasMore ? "Loading more…" : `That is all: ${plural(rows.length, "row")}`)}
        </div>
      </div>
    </div>
  );
}

/** The class of the link that makes its whole row a target. */
export const ROW_LINK = "outline-none after:absolute after:inset-0";

function moveFocus(event: KeyboardEvent, frame: HTMLElement | null): void {
  const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
  if (!step || !frame || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  stepRow(frame, step);
}

/** Moves the focus to the next or previous row of a list, and to the first when none has it. */
export function stepRow(frame: Element, step: number): void {
  const links = [...frame.querySelectorAll<HTMLElement>("[data-row-link]")].toSorted(
    (one, other) => one.getBoundingClientRect().top - other.getBoundingClientRect().top,
  );
  const at = links.indexOf(document.activeElement as HTMLElement);
  const top = frame.getBoundingClientRect().top + ROW_PX;
  const first = links.findIndex((link) => link.getBoundingClientRect().top >= top);
  const next = links[at < 0 ? Math.max(first, 0) : at + step];
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
}
