import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { queries } from "~/api/queries";
import type { Frame, Invocation } from "~/api/types";
import { SourceView } from "~/components/SourceView";
import { useMay } from "~/hooks/useMay";
import { isOwn, placeOf } from "~/lib/failure";
import { shortName } from "~/lib/flame";
import { cx } from "~/ui/cx";
import { Section } from "~/ui/layout";

/** The stack of a failure with the code around each of its places. */
export function CrashStack({ project, view }: { project: string; view: Invocation }) {
  const all = view.failure?.frames ?? [];
  const own = all.filter(isOwn);
  const [whole, setWhole] = useState(own.length === 0);
  const [chosen, setChosen] = useState<Frame>();
  const frames = whole ? all : own;
  const frame = chosen ?? own[0] ?? all[0];
  if (!all.some((it) => it.file)) return null;
  return (
    <Section
      title="Where it failed"
      about="The innermost call first"
      actions={
        own.length > 0 &&
        own.length < all.length && (
          <button type="button" aria-expanded={whole} onClick={() => setWhole(!whole)} className="text-xs link">
            {whole ? "Only its own code" : `All ${all.length} frames`}
          </button>
        )
      }
    >
      <div className="grid gap-4 lg:grid-cols-[minmax(16rem,1fr)_2fr]">
        <ol aria-label="Stack of the failure" className="max-h-72 self-start overflow-y-auto rounded-lg border border-line">
          {frames.map((it, index) => (
            <li key={`${index}-${it.offset}`} className="border-b border-line last:border-b-0">
              <button
                type="button"
                aria-pressed={it === frame}
                onClick={() => setChosen(it)}
                className={cx("w-full px-3 py-1.5 text-left", it === frame ? "bg-pressed" : "hover:bg-hover", !isOwn(it) && "text-ink-3")}
              >
                <span className="block truncate font-mono text-xs" title={it.function}>
                  {shortName(it.function)}
                </span>
                <span className="block truncate text-2xs text-ink-3" title={it.file ?? undefined}>
                  {placeOf(it)}
                  {it.inlined ? ", inlined" : ""}
                </span>
              </button>
            </li>
          ))}
        </ol>
        {frame && <Excerpt project={project} view={view} frame={frame} />}
      </div>
    </Section>
  );
}

function Excerpt({ project, view, frame }: { project: string; view: Invocation; frame: Frame }) {
  const mayNot = useMay()("replay");
  const sources = useQuery({ ...queries.sources(project, view.function, view.version), enabled: Boolean(frame.source && !mayNot) });
  const text = frame.source ? sources.data?.files[frame.source] : undefined;
  if (text !== undefined && frame.source)
    return (
      <figure className="m-0 min-w-0">
        <figcaption className="mb-1.5 truncate font-mono text-2xs text-ink-3">{placeOf(frame)}</figcaption>
        <SourceView label={`Code of ${frame.source}`} path={frame.source} text={text} heightMax={256} line={frame.line ?? undefined} tone="bad" />
      </figure>
    );
  return <p className="text-sm text-ink-3">{whyNoText(frame, mayNot, sources.isPending && sources.fetchStatus === "fetching")}</p>;
}

function whyNoText(frame: Frame, mayNot: string | undefined, loading: boolean): string {
  if (loading) return "Reading the code…";
  if (frame.source && mayNot) return `The code is not shown: ${mayNot}`;
  if (!frame.file) return "The component has no debug information about this place.";
  return "The code of this place is not kept beside the version: it belongs to a library, or the version was deployed without its code.";
}
