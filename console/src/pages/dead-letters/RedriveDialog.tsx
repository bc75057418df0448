import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { RotateCcw } from "lucide-react";
import { useState } from "react";

import { api, take } from "~/api/client";
import { ProblemLine } from "~/components/ProblemView";
import { useNow } from "~/hooks/useNow";
import { command } from "~/lib/cli";
import type { DeadFilters } from "~/lib/filters";
import { formatCount, plural } from "~/lib/format";
import { Button } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { Dialog } from "~/ui/Dialog";
import { Field, Select } from "~/ui/fields";
import { Facts } from "~/ui/layout";
import { bulkOf, useDryRun } from "./useBulk";

const RATES = [0, 1, 10, 50, 100, 500];
/** How often the outcome is asked for. */
const ASK_MS = 1_000;

interface Started {
  matched: number;
  done: number;
  from: Date;
  until: Date;
}

/** Tries many dead letters again: counted first, at a rate that a repaired function can bear, and watched. */
export function RedriveDialog({ project, filter, onClose }: { project: string; filter: DeadFilters; onClose: () => void }) {
  const client = useQueryClient();
  const [rate, setRate] = useState(0);
  const dry = useDryRun(project, filter);
  const count = dry.data?.matched ?? 0;
  const redrive = useMutation({
    meta: { shownInPlace: true },
    mutationFn: async (): Promise<Started> => {
      const from = new Date();
      const body = { ...bulkOf(filter), reason: "redriven in the console", ...(rate ? { rate } : {}) };
      const bulk = await take(
        api.POST("/api/v1/projects/{project}/dead-letters/redrive", { params: { path: { project } }, body }),
      );
      return { ...bulk, from, until: bulk.until ? new Date(bulk.until) : from };
    },
    onSettled: () => client.invalidateQueries({ queryKey: [project, "dead-letters"] }),
  });
  const close = () => {
    void client.invalidateQueries({ queryKey: [project, "dead-letters"] });
    onClose();
  };
  return (
    <Dialog
      open
      onClose={close}
      title={redrive.data ? "Redriving" : dry.data ? `Redrive ${plural(count, "dead letter")}` : "Redrive"}
      description="Each is tried again from the first attempt, and stands at the end of its key. What fails again comes back here."
      footer={
        redrive.data ? (
          <Button onClick={close}>Close</Button>
        ) : (
          <>
            <Button onClick={close}>Cancel</Button>
            <Button look="solid" icon={RotateCcw} busy={redrive.isPending} disabledReason={count ? undefined : "There is nothing to redrive"} onClick={() => redrive.mutate()}>
              Redrive {formatCount(count)}
            </Button>
          </>
        )
      }
    >
      {redrive.data ? (
        <Progress project={project} filter={filter} started={redrive.data} />
      ) : (
        <div className="flex flex-col gap-4">
          {Object.keys(filter).length > 0 && <Facts items={Object.entries(filter)} />}
          <Field label="Rate" hint="A function that was just repaired is better not overrun.">
            {(id) => (
              <Select id={id} value={rate} onChange={(event) => setRate(Number(event.target.value))}>
                {RATES.map((it) => (
                  <option key={it} value={it}>
                    {it ? `${it} a second` : "as quickly as its limits allow"}
                  </option>
                ))}
              </Select>
            )}
          </Field>
          {(dry.error ?? redrive.error) ? <ProblemLine error={dry.error ?? redrive.error} /> : null}
          <Command
            text={command("nexus", "dead-letters", "redrive", ["--project", project], ["--function", filter.function], ["--code", filter.code], ["--type", filter.type], ["--rate", rate ? `${rate}/s` : undefined], Object.keys(filter).length === 0 && "--all")}
          />
        </div>
      )}
    </Dialog>
  );
}

/** How many have begun, and how many came back. */
function Progress({ project, filter, started }: { project: string; filter: DeadFilters; started: Started }) {
  const now = useNow();
  const back = useQuery({
    queryKey: [project, "dead-letters", "came-back", started.from.toISOString()],
    refetchInterval: ASK_MS,
    queryFn: async () => {
      const { since: _since, until: _until, ...rest } = filter;
      const query = { ...rest, since: started.from.toISOString() };
      const { items } = await take(
        api.GET("/api/v1/projects/{project}/dead-letters/counts", { params: { path: { project }, query } }),
      );
      return items.reduce((sum, it) => sum + it.count, 0);
    },
  });
  const whole = started.until.getTime() - started.from.getTime();
  const share = whole > 0 ? Math.min(Math.max((now.getTime() - started.from.getTime()) / whole, 0), 1) : 1;
  const begun = Math.round(share * started.done);
  const again = back.data ?? 0;
  return (
    <div className="flex flex-col gap-3">
      <div
        role="progressbar"
        aria-label="Redriven"
        aria-valuemin={0}
        aria-valuemax={started.done}
        aria-valuenow={begun}
        className="flex h-2 overflow-hidden rounded-full bg-pressed"
      >
        <span className="bg-ok transition-[width] duration-500" style={{ width: `${share * 100 * (1 - Math.min(again / Math.max(started.done, 1), 1))}%` }} />
        <span className="bg-bad transition-[width] duration-500" style={{ width: `${Math.min(again / Math.max(started.done, 1), 1) * 100}%` }} />
      </div>
      <p role="status" className="nums text-sm">
        <b className="font-semibold">{formatCount(begun)}</b> of {formatCount(started.done)} have begun
        {again > 0 ? (
          <>
            , <b className="font-semibold text-bad">{formatCount(again)}</b> came back
          </>
        ) : (
          ", none came back"
        )}
        .
      </p>
      {started.matched > started.done && (
        <p className="text-sm text-ink-2">{formatCount(started.matched - started.done)} more matched than one request takes: redrive again.</p>
      )}
    </div>
  );
}
