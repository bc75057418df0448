import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { RotateCcw } from "lucide-react";
import { useState } from "react";

import { replays, type Selection } from "~/api/replays";
import { ProblemLine } from "~/components/ProblemView";
import { boundOf } from "~/lib/time";
import { Button } from "~/ui/Button";
import { Dialog } from "~/ui/Dialog";
import { Field, Input, Select } from "~/ui/fields";

const SPANS: [string, string][] = [
  ["1h", "of the last hour"],
  ["24h", "of the last 24 hours"],
  ["7d", "of the last 7 days"],
];

/** Replays many recordings of a function at once: against a version, or as they were. */
export function ReplayDialog({ project, name, against: given, onClose }: { project: string; name: string; against: string; onClose: () => void }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const suites = useQuery({ queryKey: [project, "suites"], queryFn: () => replays.suites(project) });
  const [against, setAgainst] = useState(given);
  const [source, setSource] = useState("24h");
  const [limit, setLimit] = useState("1000");
  const start = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () => {
      const suite = source.startsWith("suite:") ? source.slice(6) : undefined;
      const since = suite ? undefined : boundOf(source, new Date());
      const select: Selection = suite
        ? { suite }
        : { function: name, ...(since ? { since } : {}), ...(Number(limit) ? { limit: Number(limit) } : {}) };
      return replays.start(project, { select, ...(against ? { against, rules: { timestamps: true, ids: true } } : {}) });
    },
    onSuccess: async (batch) => {
      await client.invalidateQueries({ queryKey: [project, "replays"] });
      onClose();
      await navigate({ to: "/p/$project/replays", params: { project }, search: { id: batch.id } });
    },
  });
  const mine = suites.data?.items.filter((suite) => suite.functions.includes(name)) ?? [];
  return (
    <Dialog
      open
      onClose={onClose}
      title={`Replay recordings of ${name}`}
      description="Each runs with its recorded input and the recorded answers of the world. Nothing is sent and nothing is written."
      footer={
        <Button look="solid" icon={RotateCcw} busy={start.isPending} onClick={() => start.mutate()}>
          Replay
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <Field label="Recordings">
          {(id) => (
            <Select id={id} value={source} onChange={(event) => setSource(event.target.value)}>
              {SPANS.map(([value, label]) => (
                <option key={value} value={value}>
                  {label}
                </option>
              ))}
              {mine.map((suite) => (
                <option key={suite.name} value={`suite:${suite.name}`}>
                  of the suite {suite.name} ({suite.cases.length})
                </option>
              ))}
            </Select>
          )}
        </Field>
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label="Against version" hint="Empty: the version that ran each">
            {(id) => <Input id={id} value={against} onChange={(event) => setAgainst(event.target.value)} placeholder="as recorded" />}
          </Field>
          <Field label="At most">
            {(id) => <Input id={id} type="number" min={1} value={limit} onChange={(event) => setLimit(event.target.value)} />}
          </Field>
        </div>
        {start.isError && <ProblemLine error={start.error} />}
      </div>
    </Dialog>
  );
}
