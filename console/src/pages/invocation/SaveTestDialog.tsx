import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { FlaskConical } from "lucide-react";
import { useState } from "react";

import { replays } from "~/api/replays";
import type { Invocation } from "~/api/types";
import { ProblemLine } from "~/components/ProblemView";
import { Button } from "~/ui/Button";
import { Dialog } from "~/ui/Dialog";
import { Field, Input } from "~/ui/fields";
import { say } from "~/ui/toasts";

/** Keeps a recording as a case of a suite: it is replayed against versions to come, and kept from retention. */
export function SaveTestDialog({ project, view, onClose }: { project: string; view: Invocation; onClose: () => void }) {
  const client = useQueryClient();
  const suites = useQuery({ queryKey: [project, "suites"], queryFn: () => replays.suites(project) });
  const [name, setName] = useState(view.function);
  const known = suites.data?.items.find((it) => it.name === name);
  const save = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () =>
      replays.saveSuite(project, name, {
        description: known?.description ?? `Recordings of ${view.function}`,
        ...(known ? { rules: known.rules } : {}),
        select: { ids: [...new Set([...(known?.cases ?? []), view.id])] },
      }),
    onSuccess: (suite) => {
      say(`It is a case of the suite ${suite.name}, which has ${suite.cases.length} now.`);
      onClose();
      return client.invalidateQueries({ queryKey: [project, "suites"] });
    },
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title="Save as test"
      description="The recording becomes a case of a suite. A suite is run against a version before that goes live."
      footer={
        <Button look="solid" icon={FlaskConical} busy={save.isPending} disabledReason={name ? undefined : "The suite needs a name"} onClick={() => save.mutate()}>
          {known ? `Add to ${name}` : "Make the suite"}
        </Button>
      }
    >
      <div className="flex flex-col gap-3">
        <Field label="Suite" hint={known ? `It has ${known.cases.length} cases.` : "There is none of this name yet."}>
          {(id) => (
            <>
              <Input id={id} value={name} onChange={(event) => setName(event.target.value)} list={`${id}-known`} autoFocus autoComplete="off" />
              <datalist id={`${id}-known`}>
                {suites.data?.items.map((it) => (
                  <option key={it.name} value={it.name} />
                ))}
              </datalist>
            </>
          )}
        </Field>
        {save.isError && <ProblemLine error={save.error} />}
      </div>
    </Dialog>
  );
}
