import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";

import { queries } from "~/api/queries";
import { ProblemLine } from "~/components/ProblemView";

const GraphCanvas = lazy(() => import("./GraphCanvas"));

const PLACE = "h-80 rounded-lg border border-line bg-canvas";

/** What an event or invocation caused, as a graph. */
export function EffectGraph({ project, root }: { project: string; root: string }) {
  const graph = useQuery(queries.graph(project, root));
  if (graph.isError) return <ProblemLine error={graph.error} />;
  if (graph.isPending) return <div className={PLACE} />;
  if (graph.data.nodes.length <= 1) return <p className="text-sm text-ink-3">Nothing: no function asked for it, or none has begun.</p>;
  return (
    <>
      <div className={PLACE}>
        <Suspense fallback={null}>
          <GraphCanvas key={root} project={project} graph={graph.data} />
        </Suspense>
      </div>
      {graph.data.truncated && <p className="mt-1.5 text-xs text-ink-3">Not the whole graph: {graph.data.truncated}.</p>}
    </>
  );
}
