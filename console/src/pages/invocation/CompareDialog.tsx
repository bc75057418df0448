import { useMutation, useQuery } from "@tanstack/react-query";
import { GitCompareArrows } from "lucide-react";
import { useState } from "react";

import { queries } from "~/api/queries";
import { replays, type NamedVersion } from "~/api/replays";
import type { Invocation } from "~/api/types";
import { ProblemLine } from "~/components/ProblemView";
import { command } from "~/lib/cli";
import { Button } from "~/ui/Button";
import { Command } from "~/ui/Copy";
import { Dialog } from "~/ui/Dialog";
import { Checkbox, Field, Input, Select } from "~/ui/fields";
import { ComparisonView } from "./ComparisonView";

/** Runs the recorded call with another version of the code, and shows what would have been different. */
export function CompareDialog({ project, view, onClose }: { project: string; view: Invocation; onClose: () => void }) {
  const versions = useQuery(queries.versions(project, view.function));
  const [against, setAgainst] = useState("");
  const [rules, setRules] = useState({ timestamps: true, ids: true, logs: false });
  const [paths, setPaths] = useState("");
  const items: NamedVersion[] = versions.data?.items ?? [];
  const chosen = against || String(items.find((it) => it.id !== view.version)?.number ?? items[0]?.number ?? "");
  const compare = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () =>
      replays.compare(project, view.id, chosen, { ...rules, ignore: paths.split(/[\s,]+/).filter(Boolean) }),
  });
  const toggle = (name: keyof typeof rules) => setRules({ ...rules, [name]: !rules[name] });
  return (
    <Dialog
      open
      shape="side"
      onClose={onClose}
      title="Compare with another version"
      description="The same input and the same answers of the world, with other code. Nothing is sent and nothing is written."
      footer={
        <Button look="solid" icon={GitCompareArrows} busy={compare.isPending} disabledReason={chosen ? undefined : "There is no version"} onClick={() => compare.mutate()}>
          Compare
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <Field label="Version">
          {(id) => (
            <Select id={id} value={chosen} onChange={(event) => setAgainst(event.target.value)}>
              {items.map((it) => (
                <option key={it.id} value={it.number}>
                  v{it.number}
                  {it.label ? ` (${it.label})` : ""}
                  {it.aliases?.length ? `, ${it.aliases.join(", ")}` : ""}
                  {it.id === view.version ? ", which ran" : ""}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <fieldset className="flex flex-wrap gap-x-5 gap-y-2">
          <legend className="mb-1.5 text-xs font-medium text-ink-2">What does not matter</legend>
          <Checkbox label="Times" checked={rules.timestamps} onChange={() => toggle("timestamps")} />
          <Checkbox label="Ids" checked={rules.ids} onChange={() => toggle("ids")} />
          <Checkbox label="Logs" checked={!rules.logs} onChange={() => toggle("logs")} />
        </fieldset>
        <Field label="Places that do not matter" hint="Paths, such as $.items[*].price">
          {(id) => <Input id={id} value={paths} onChange={(event) => setPaths(event.target.value)} className="font-mono text-xs" />}
        </Field>
        <Command text={command("nexus", "replay", view.id, "--against", chosen || "VERSION", ["--project", project])} />
        {compare.isError && <ProblemLine error={compare.error} />}
        {compare.data && <ComparisonView comparison={compare.data} recorded={view.output} />}
      </div>
    </Dialog>
  );
}
