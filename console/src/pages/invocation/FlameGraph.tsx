import { useMemo, useRef, useState, type KeyboardEvent } from "react";

import type { Profile, ProfileFrame } from "~/api/types";
import { flameBoxes, matches, shortName, type FlameNode } from "~/lib/flame";
import { formatShare } from "~/lib/format";
import { formatDuration } from "~/lib/time";
import { cx } from "~/ui/cx";

const ROW = 20;
/** Boxes narrower than this share are left out. */
const NARROWEST = 0.0015;
/** The boxes are light in both themes. */
const INK = "oklch(0.2 0.02 260)";

interface Props {
  profile: Profile;
  root: FlameNode;
  zoom: FlameNode;
  onZoom: (node: FlameNode) => void;
  search: string;
}

/** Where the time went: wide is long, below is what was called. Arrows walk, Enter zooms, Escape goes back. */
export function FlameGraph({ profile, root, zoom, onZoom, search }: Props) {
  const boxes = useMemo(() => flameBoxes(zoom, NARROWEST), [zoom]);
  const [active, setActive] = useState(zoom);
  const [pointed, setPointed] = useState<FlameNode>();
  const drawing = useRef<HTMLDivElement>(null);
  const current = boxes.some((box) => box.node === active) ? active : zoom;
  const rows = Math.max(...boxes.map((box) => box.node.depth)) + 1;
  const nameOf = (node: FlameNode) => profile.frames[node.frame]?.function ?? "all";
  const told = pointed ?? current;
  const walk = (node: FlameNode | undefined) => {
    if (!node || !boxes.some((box) => box.node === node)) return;
    setActive(node);
    requestAnimationFrame(() => drawing.current?.querySelector<HTMLElement>("[tabindex='0']")?.focus());
  };
  const onKey = (event: KeyboardEvent) => {
    const beside = current.parent?.children ?? [];
    const index = beside.indexOf(current);
    const steps: Record<string, () => void> = {
      ArrowDown: () => walk(current.children[0]),
      ArrowUp: () => walk(current.parent),
      ArrowLeft: () => walk(beside[index - 1]),
      ArrowRight: () => walk(beside[index + 1]),
      Home: () => walk(zoom),
      Enter: () => onZoom(current),
      " ": () => onZoom(current),
      Escape: () => onZoom(root),
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    step();
  };
  return (
    <div>
      {/* oxlint-disable-next-line jsx-a11y/no-static-element-interactions */}
      <div className="max-h-[30rem] overflow-y-auto rounded-lg border border-line" onMouseLeave={() => setPointed(undefined)}>
        {/* oxlint-disable-next-line jsx-a11y/interactive-supports-focus */}
        <div ref={drawing} role="tree" aria-label="Flame graph" onKeyDown={onKey} className="relative min-w-0" style={{ height: rows * ROW + 2 }}>
          {boxes.map(({ node, left, width }) => {
            const frame = profile.frames[node.frame];
            const hit = matches(frame, search);
            return (
              // Keys are taken by the whole of the tree.
              // oxlint-disable-next-line jsx-a11y/click-events-have-key-events
              <div
                key={`${node.depth}-${left}`}
                role="treeitem"
                aria-level={node.depth + 1}
                aria-selected={node === current}
                aria-expanded={node.children.length > 0 ? true : undefined}
                tabIndex={node === current ? 0 : -1}
                aria-label={`${nameOf(node)}, ${formatShare(node.samples / Math.max(root.samples, 1))}`}
                onClick={() => {
                  setActive(node);
                  onZoom(node);
                }}
                onMouseEnter={() => setPointed(node)}
                onFocus={() => setPointed(undefined)}
                className={cx(
                  "absolute cursor-pointer overflow-hidden rounded-[3px] border border-surface px-1 font-mono text-2xs leading-[18px] whitespace-nowrap outline-none focus-visible:z-10 focus-visible:ring-2 focus-visible:ring-accent",
                  search && !hit && "opacity-35",
                )}
                style={{ left: `${left * 100}%`, width: `${width * 100}%`, top: node.depth * ROW, height: ROW, background: inkOf(frame, hit), color: INK }}
              >
                {width > 0.02 ? shortName(nameOf(node)) : ""}
              </div>
            );
          })}
        </div>
      </div>
      <p aria-live="polite" className="nums mt-1.5 flex min-h-5 flex-wrap gap-x-3 text-xs text-ink-2">
        <span className="min-w-0 truncate font-mono">{nameOf(told)}</span>
        <span>
          {formatShare(told.samples / Math.max(root.samples, 1))} of the time, {formatDuration((profile.run_ns * told.samples) / Math.max(root.samples, 1))} in one run
        </span>
        {told.own > 0 && told.own !== told.samples && <span className="text-ink-3">{formatShare(told.own / Math.max(root.samples, 1))} by itself</span>}
        <span className="truncate text-ink-3">{told.frame >= 0 && placeOf(profile.frames[told.frame])}</span>
      </p>
    </div>
  );
}

function placeOf(frame: ProfileFrame | undefined): string {
  const name = frame?.source ?? frame?.file;
  if (!name) return "";
  return frame?.line ? `${name}:${frame.line}` : name;
}

/** The user's own code is warm, the rest is pale; the same function always has the same shade. */
function inkOf(frame: ProfileFrame | undefined, hit: boolean): string {
  if (hit) return "oklch(0.72 0.17 320)";
  if (!frame) return "oklch(0.86 0.01 260)";
  let hash = 0;
  for (const letter of frame.function) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  const shade = (hash % 8) / 100;
  return frame.own ? `oklch(${0.76 + shade} 0.135 ${45 + (hash % 30)})` : `oklch(${0.84 + shade / 2} 0.045 ${80 + (hash % 30)})`;
}
