import { useVirtualizer } from "@tanstack/react-virtual";
import { Maximize, ZoomIn, ZoomOut } from "lucide-react";
import { useEffect, useEffectEvent, useMemo, useRef, useState, type KeyboardEvent } from "react";

import type { Invocation } from "~/api/types";
import { formatDuration } from "~/lib/time";
import { axisOf, pan, placeOf, ticks, timeAt, waterfallOf, WHOLE, zoom, type Axis, type Window } from "~/lib/waterfall";
import { IconButton } from "~/ui/Button";
import { Switch } from "~/ui/fields";
import { Section } from "~/ui/layout";
import { WaterfallLine } from "./WaterfallLine";

const ROW_PX = 26;
/** On a phone there is room for two marks. */
const isNarrow = matchMedia("(max-width: 640px)").matches;
const ROWS_SHOWN = 18;
const STEP = 1.6;

/** Where the time of an invocation went. The wheel with Ctrl, the keys + − 0 and a drag over the axis zoom. */
export function Waterfall({ view }: { view: Invocation }) {
  const [instant, setInstant] = useState(false);
  const [logs, setLogs] = useState(true);
  const [fold, setFold] = useState(true);
  const [seen, setSeen] = useState<Window>(WHOLE);
  const frame = useRef<HTMLDivElement>(null);
  const waterfall = useMemo(() => waterfallOf(view, { instant, logs }), [view, instant, logs]);
  const axis = useMemo(() => axisOf(waterfall, fold), [waterfall, fold]);
  const foldable = useMemo(() => axisOf(waterfall, true).pieces.some((piece) => piece.folded), [waterfall]);
  const rows = useVirtualizer({
    count: waterfall.rows.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PX,
    overscan: 10,
  });
  useWheelZoom(frame, setSeen);
  const onKey = (event: KeyboardEvent) => {
    const change = keyChange(event.key);
    if (!change || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    setSeen(change);
  };

  return (
    <Section
      title="Where the time went"
      about={`${formatDuration(waterfall.total)} in all`}
      actions={
        <>
          {waterfall.instant + Number(instant) > 0 && (
            <Switch label={instant ? "Every host call" : `${waterfall.instant} more host calls`} checked={instant} onChange={setInstant} />
          )}
          {view.logs.length > 0 && <Switch label="Logs" checked={logs} onChange={setLogs} />}
          {foldable && <Switch label="Fold waiting" checked={fold} onChange={setFold} />}
          <span className="flex">
            <IconButton label="Zoom in" icon={ZoomIn} keys={["+"]} onClick={() => setSeen((it) => zoom(it, STEP, 0.5))} />
            <IconButton label="Zoom out" icon={ZoomOut} keys={["−"]} onClick={() => setSeen((it) => zoom(it, 1 / STEP, 0.5))} />
            <IconButton label="Show everything" icon={Maximize} keys={["0"]} onClick={() => setSeen(WHOLE)} />
          </span>
        </>
      }
    >
      <div className="overflow-hidden rounded-lg border border-line">
        <AxisHead axis={axis} seen={seen} onZoom={setSeen} />
        {/* The keys zoom and move the time axis. */}
        {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
        <div ref={frame} tabIndex={0} role="group" aria-label="Timeline of the invocation" onKeyDown={onKey} className="overflow-y-auto outline-offset-[-2px]" style={{ maxHeight: ROW_PX * ROWS_SHOWN }}>
          <div className="relative" style={{ height: rows.getTotalSize() }}>
            {rows.getVirtualItems().map((item) => {
              const row = waterfall.rows[item.index];
              return (
                row && (
                  <div key={item.key} className="absolute inset-x-0 top-0" style={{ height: ROW_PX, translate: `0 ${item.start}px` }}>
                    <WaterfallLine row={row} axis={axis} seen={seen} />
                  </div>
                )
              );
            })}
          </div>
        </div>
      </div>
    </Section>
  );
}

function keyChange(key: string): ((window: Window) => Window) | undefined {
  if (key === "+" || key === "=") return (it) => zoom(it, STEP, 0.5);
  if (key === "-") return (it) => zoom(it, 1 / STEP, 0.5);
  if (key === "0") return () => WHOLE;
  if (key === "ArrowLeft") return (it) => pan(it, -0.15);
  if (key === "ArrowRight") return (it) => pan(it, 0.15);
  return undefined;
}

/** React listens to the wheel passively; to keep the page from zooming, the listener must not be passive. */
function useWheelZoom(frame: React.RefObject<HTMLDivElement | null>, change: (next: (window: Window) => Window) => void) {
  const onWheel = useEffectEvent((event: WheelEvent, element: HTMLElement) => {
    if (!event.ctrlKey && !event.metaKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    const bars = element.querySelector("[data-bars]")?.getBoundingClientRect();
    const around = bars ? Math.min(Math.max((event.clientX - bars.left) / bars.width, 0), 1) : 0.5;
    if (event.ctrlKey || event.metaKey) change((it) => zoom(it, Math.exp(-event.deltaY / 200), around));
    else change((it) => pan(it, event.deltaX / 800));
  });
  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const listener = (event: WheelEvent) => onWheel(event, element);
    element.addEventListener("wheel", listener, { passive: false });
    return () => element.removeEventListener("wheel", listener);
  }, [frame]);
}

/** The marks of the time axis; a drag over it looks closer. */
function AxisHead({ axis, seen, onZoom }: { axis: Axis; seen: Window; onZoom: (window: Window) => void }) {
  const [drag, setDrag] = useState<{ from: number; to: number }>();
  const shareAt = (event: React.PointerEvent) => {
    const box = event.currentTarget.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  };
  const finish = () => {
    if (drag && Math.abs(drag.to - drag.from) > 0.01) {
      const width = seen.right - seen.left;
      const [left, right] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
      onZoom({ left: seen.left + width * left, right: seen.left + width * right });
    }
    setDrag(undefined);
  };
  const screen = (place: number) => (place - seen.left) / (seen.right - seen.left);
  return (
    <div className="flex h-7 border-b border-line bg-sunken text-2xs text-ink-3 select-none">
      <div className="flex w-2/5 max-w-104 min-w-40 items-center px-3">
        {seen.right - seen.left < 0.999 && `${formatDuration(timeAt(axis, seen.left))} to ${formatDuration(timeAt(axis, seen.right))}`}
      </div>
      <div
        className="relative mr-16 flex-1 cursor-col-resize overflow-hidden"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag({ from: shareAt(event), to: shareAt(event) });
        }}
        onPointerMove={(event) => drag && setDrag({ ...drag, to: shareAt(event) })}
        onPointerUp={finish}
        onPointerCancel={() => setDrag(undefined)}
      >
        {ticks(axis, seen, isNarrow ? 2 : 6)
          .filter((time) => screen(placeOf(axis, time)) < 0.94)
          .map((time) => (
          <span key={time} className="nums absolute top-1.5 border-l border-line-strong pl-1 whitespace-nowrap" style={{ left: `${screen(placeOf(axis, time)) * 100}%` }}>
            {formatDuration(time)}
          </span>
        ))}
        {axis.pieces
          .filter((piece) => piece.folded)
          .map((piece) => (
            <span
              key={piece.from}
              title={`${formatDuration(piece.to - piece.from)} of waiting`}
              className="nums absolute inset-y-0 flex items-center justify-center overflow-hidden border-x border-dashed border-line-strong bg-pressed whitespace-nowrap"
              style={{ left: `${screen(piece.left) * 100}%`, right: `${(1 - screen(piece.right)) * 100}%` }}
            >
              {formatDuration(piece.to - piece.from)}
            </span>
          ))}
        {drag && (
          <span
            className="absolute inset-y-0 bg-accent-soft"
            style={{ left: `${Math.min(drag.from, drag.to) * 100}%`, right: `${(1 - Math.max(drag.from, drag.to)) * 100}%` }}
          />
        )}
      </div>
    </div>
  );
}
