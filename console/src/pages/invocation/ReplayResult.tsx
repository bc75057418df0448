import { CircleCheck, GitCompareArrows, X } from "lucide-react";

import type { Invocation, Replay } from "~/api/types";
import { DiffView } from "~/components/DiffView";
import { ProblemLine } from "~/components/ProblemView";
import type { Json } from "~/lib/diff";
import { formatDuration } from "~/lib/time";
import { cx } from "~/ui/cx";
import type { ReplayMutation } from "./useReplay";

/** What a replay found, beside what was recorded. */
export function ReplayResult({ view, replay }: { view: Invocation; replay: ReplayMutation }) {
  if (replay.isError) return <ProblemLine error={replay.error} />;
  if (!replay.data) return null;
  const result = replay.data;
  const good = result.verdict !== "diverged";
  const Icon = good ? CircleCheck : GitCompareArrows;
  return (
    <section aria-label="Replay" aria-live="polite" className={cx("animate-appear rounded-lg border", good ? "border-ok/35" : "border-bad/40")}>
      <header className={cx("flex items-start gap-3 rounded-t-lg px-4 py-3", good ? "bg-ok-soft" : "bg-bad-soft")}>
        <Icon aria-hidden className={cx("mt-0.5 size-4", good ? "text-ok" : "text-bad")} />
        <div className="min-w-0 flex-1">
          <h2 className="text-sm font-semibold">{headline(result)}</h2>
          <p className="text-xs text-ink-2">
            {result.summary}. {formatDuration(result.duration_ns)} now, {formatDuration(result.original_ns)} then
            {result.memory_compared ? "; memory was compared, too" : ""}.
          </p>
        </div>
        <button type="button" aria-label="Close the replay" onClick={() => replay.reset()} className="rounded p-1 text-ink-3 hover:text-ink">
          <X aria-hidden className="size-4" />
        </button>
      </header>
      <div className="px-4 py-3">
        {result.divergence && <Divergence divergence={result.divergence} />}
        <DiffView before={view.output as Json} after={result.output as Json} names={["Recorded output", "Output of the replay"]} />
      </div>
    </section>
  );
}

function headline({ verdict }: Replay): string {
  if (verdict === "identical") return "The same again";
  return verdict === "diverged" ? "It went another way" : "The same as far as it was recorded";
}

function Divergence({ divergence }: { divergence: NonNullable<Replay["divergence"]> }) {
  return (
    <dl className="mb-4 grid gap-x-4 gap-y-1 text-sm sm:grid-cols-[6rem_1fr]">
      <dt className="text-ink-3">Where</dt>
      <dd>
        {divergence.operation === null || divergence.operation === undefined ? "" : `operation ${divergence.operation}: `}
        {divergence.what}
      </dd>
      <dt className="text-ink-3">Expected</dt>
      <dd className="font-mono text-xs break-words">{divergence.expected}</dd>
      <dt className="text-ink-3">Happened</dt>
      <dd className="font-mono text-xs break-words">{divergence.actual}</dd>
    </dl>
  );
}
