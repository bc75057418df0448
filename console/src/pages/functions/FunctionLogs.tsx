import { useQuery } from "@tanstack/react-query";
import { useCallback, useState } from "react";

import { api, take } from "~/api/client";
import type { LogLine } from "~/api/types";
import { LiveLight } from "~/components/LiveLight";
import { LogLines } from "~/components/LogLines";
import { ProblemLine } from "~/components/ProblemView";
import { useLiveRows } from "~/hooks/useLiveRows";
import { withQuery } from "~/lib/cli";

const LINES = 200;

/** The newest lines of a function, the newest on top. */
export function FunctionLogs({ project, name }: { project: string; name: string }) {
  const [paused, setPaused] = useState(false);
  const lines = useQuery({
    queryKey: [project, "functions", name, "logs"],
    staleTime: Infinity,
    queryFn: async () => {
      const query = { function: name, limit: LINES };
      const { items } = await take(api.GET("/api/v1/projects/{project}/logs", { params: { path: { project }, query } }));
      return items.toReversed();
    },
  });
  const idOf = useCallback((line: LogLine) => `${line.invocation} ${line.at} ${line.text}`, []);
  const live = useLiveRows({
    loaded: lines.data ?? [],
    kind: "log",
    idOf,
    reading: false,
    reload: () => void lines.refetch(),
    path: paused || !lines.isSuccess ? undefined : withQuery(`/api/v1/projects/${project}/logs/stream`, { function: name }),
  });
  if (lines.isError) return <ProblemLine error={lines.error} />;
  return (
    <div className="flex flex-col gap-2">
      <div className="flex items-center text-xs text-ink-3">
        <span className="flex-1">The newest first. A line leads to the invocation that wrote it.</span>
        <LiveLight state={live.state} paused={paused} onToggle={() => setPaused(!paused)} />
      </div>
      {live.rows.length === 0 && lines.isSuccess ? (
        <p className="text-sm text-ink-3">It wrote nothing yet.</p>
      ) : (
        <LogLines lines={live.rows.slice(0, LINES * 2)} project={project} />
      )}
    </div>
  );
}
