import { lazy, Suspense, useState } from "react";

import { formatClock } from "~/lib/time";
import { usePreferences } from "~/app/preferences";
import { Cell, Row, Table } from "~/ui/table";

const Canvas = lazy(() => import("./ChartCanvas"));

export interface Series {
  label: string;
  /** The name of a colour token: `ok`, `bad`, `accent`. */
  colour: string;
  shape: "bars" | "line" | "area";
  values: (number | null)[];
}

export interface ChartProps {
  label: string;
  /** Milliseconds since 1970. */
  times: number[];
  series: Series[];
  format: (value: number) => string;
  /** How times are shown; by default as moments in the reader's zone. */
  formatTime?: (time: number) => string;
  /** Powers of ten: for durations. */
  logarithmic?: boolean;
  height?: number;
  /** What was chosen with a drag. */
  onRange?: (since: Date, until: Date) => void;
}

/** A chart over time. It is a picture for those who see it and a table for everybody. */
export function Chart(props: ChartProps) {
  const [asTable, setAsTable] = useState(false);
  const { height = 180, series } = props;
  return (
    <figure className="m-0 min-w-0">
      <figcaption className="mb-2 flex flex-wrap items-center gap-x-4 gap-y-1 text-xs text-ink-3">
        {series.map(({ label, colour }) => (
          <span key={label} className="flex items-center gap-1.5">
            <span aria-hidden className="size-2 rounded-[2px]" style={{ background: `var(--${colour})` }} />
            {label}
          </span>
        ))}
        <button type="button" onClick={() => setAsTable(!asTable)} className="ml-auto hover:text-ink hover:underline">
          {asTable ? "As a chart" : "As a table"}
        </button>
      </figcaption>
      {asTable ? (
        <ChartTable {...props} />
      ) : (
        <div role="img" aria-label={props.label} style={{ height }}>
          <Suspense fallback={null}>
            <Canvas {...props} height={height} />
          </Suspense>
        </div>
      )}
    </figure>
  );
}

function ChartTable({ label, times, series, format, formatTime }: ChartProps) {
  const { zone } = usePreferences();
  return (
    <div className="max-h-72 overflow-y-auto">
      <Table label={label} head={[{ label: "Time" }, ...series.map((it) => ({ label: it.label, right: true }))]}>
        {times.map((time, index) => (
          <Row key={time}>
            <Cell className="nums text-ink-2">{formatTime ? formatTime(time) : formatClock(new Date(time), zone).slice(0, 8)}</Cell>
            {series.map((it) => {
              const value = it.values[index];
              return (
                <Cell key={it.label} right>
                  {value === null || value === undefined ? "" : format(value)}
                </Cell>
              );
            })}
          </Row>
        ))}
      </Table>
    </div>
  );
}
