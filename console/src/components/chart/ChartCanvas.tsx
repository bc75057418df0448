import { useEffect, useEffectEvent, useRef, useState } from "react";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { usePreferences } from "~/app/preferences";
import { formatClock, formatDay, formatMinute, type Zone } from "~/lib/time";
import type { ChartProps } from "./Chart";

interface Pointed {
  index: number;
  /** Where the legend does not cover what is pointed at. */
  side: "left" | "right";
}

/** Draws a chart with uPlot; colours come from the tokens of the theme. */
export default function ChartCanvas(props: ChartProps & { height: number }) {
  const { times, series, format, logarithmic, height } = props;
  const { theme, zone } = usePreferences();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>(undefined);
  const [pointed, setPointed] = useState<Pointed>();
  const names = series.map(({ label, colour, shape }) => `${label}/${colour}/${shape}`).join();
  const data = useEffectEvent((): UPlot.AlignedData => [times.map((time) => time / 1_000), ...series.map((it) => it.values)]);
  const chosen = useEffectEvent((from: number, to: number) => props.onRange?.(new Date(from * 1_000), new Date(to * 1_000)));
  const make = useEffectEvent((width: number): UPlot.Options => ({
    width,
    height,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: Boolean(props.onRange), y: false, setScale: false } },
    scales: { x: props.formatTime ? { time: false } : { time: true, range: wholeStretches }, y: scaleOf(logarithmic) },
    axes: [timeAxis(zone, props.formatTime), valueAxis(format, logarithmic)],
    series: [{}, ...series.map(seriesOf)],
    hooks: {
      setCursor: [
        ({ cursor, width: whole }) =>
          setPointed(
            cursor.idx == null
              ? undefined
              : { index: cursor.idx, side: (cursor.left ?? 0) > whole / 2 ? "left" : "right" },
          ),
      ],
      setSelect: [
        (self) => {
          if (self.select.width < 4) return;
          chosen(self.posToVal(self.select.left, "x"), self.posToVal(self.select.left + self.select.width, "x"));
          self.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        },
      ],
    },
  }));

  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    plot.current = new UPlot(make(element.clientWidth), data(), element);
    const watch = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.current?.destroy();
    };
  }, [height, logarithmic, names, theme, zone]);
  useEffect(() => plot.current?.setData(data()), [times, series]);

  const time = pointed && times[pointed.index];
  return (
    <div className="relative">
      <div ref={place} />
      {pointed && time !== undefined && (
        <Legend {...props} index={pointed.index} time={time} zone={zone} side={pointed.side} />
      )}
    </div>
  );
}

function Legend({ series, format, formatTime, index, time, zone, side }: ChartProps & { index: number; time: number; zone: Zone; side: "left" | "right" }) {
  return (
    <div
      className="pointer-events-none absolute top-1 z-10 rounded-md bg-raised px-2.5 py-1.5 text-xs shadow-pop"
      style={{ [side]: side === "left" ? 52 : 12 }}
    >
      <div className="nums text-ink-3">
        {formatTime ? formatTime(time) : `${formatDay(new Date(time), zone)} ${formatClock(new Date(time), zone).slice(0, 8)}`}
      </div>
      {series.map(({ label, colour, values }) => {
        const value = values[index];
        return (
          <div key={label} className="flex items-center gap-2">
            <span className="size-2 rounded-[2px]" style={{ background: `var(--${colour})` }} />
            <span className="flex-1 text-ink-2">{label}</span>
            <span className="nums font-medium">{value === null || value === undefined ? "none" : format(value)}</span>
          </div>
        );
      })}
    </div>
  );
}

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function seriesOf({ label, colour, shape }: ChartProps["series"][number]): UPlot.Series {
  const ink = token(colour);
  if (shape === "bars")
    return {
      label,
      fill: ink,
      stroke: ink,
      width: 0,
      points: { show: false },
      ...(UPlot.paths.bars ? { paths: UPlot.paths.bars({ size: [0.78, 14], radius: 0.15 }) } : {}),
    };
  const fill = shape === "area" ? { fill: token(`${colour}-soft`) || ink } : {};
  return { label, stroke: ink, width: 1.5, points: { show: false }, spanGaps: true, ...fill };
}

/** Each value stands for the stretch around its time: the first and last are shown as a whole, too. */
function wholeStretches(self: UPlot, min: number, max: number): [number, number] {
  const [one = 0, other = 0] = self.data[0];
  const half = (other - one) / 2;
  return [min - half, max + half];
}

function scaleOf(logarithmic = false): UPlot.Scale {
  if (logarithmic)
    return { distr: 3, log: 10, range: (_, min, max) => [10 ** Math.floor(Math.log10(min || 1)), 10 ** Math.ceil(Math.log10(max || 10))] };
  return { range: (_, __, max) => [0, Math.max(max * 1.08, 1)] };
}

const FONT = "11px 'Geist Variable', sans-serif";

function powersOfTen(min: number, max: number): number[] {
  const first = Math.round(Math.log10(min));
  return Array.from({ length: Math.round(Math.log10(max)) - first + 1 }, (_, index) => 10 ** (first + index));
}

function timeAxis(zone: Zone, formatTime?: (time: number) => string): UPlot.Axis {
  const days = (splits: number[]) => (splits.at(-1) ?? 0) - (splits[0] ?? 0) > 36 * 3_600;
  return {
    stroke: token("ink-3"),
    font: FONT,
    size: 26,
    space: 70,
    grid: { show: false },
    ticks: { show: false },
    values: (_, splits) =>
      splits.map((at) => (formatTime ? formatTime(at * 1_000) : days(splits) ? formatDay(new Date(at * 1_000), zone) : formatMinute(new Date(at * 1_000), zone))),
  };
}

function valueAxis(format: (value: number) => string, logarithmic = false): UPlot.Axis {
  return {
    ...(logarithmic ? { splits: (_, __, min, max) => powersOfTen(min, max) } : {}),
    stroke: token("ink-3"),
    font: FONT,
    size: 52,
    space: 34,
    gap: 8,
    grid: { stroke: token("line"), width: 1 },
    ticks: { show: false },
    values: (_, splits) => splits.map((value) => (value == null ? "" : format(value))),
  };
}
