import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, take } from "~/api/client";
import { ProblemLine } from "~/components/ProblemView";
import type { DeadFilters } from "~/lib/filters";
import { formatCount, plural } from "~/lib/format";
import { Button } from "~/ui/Button";
import { Dialog } from "~/ui/Dialog";
import { Field, Input } from "~/ui/fields";
import { say } from "~/ui/toasts";
import { bulkOf, useDryRun } from "./useBulk";

/** Takes dead letters out for good; the reason is recorded. */
export function DropDialog({ project, filter, onClose, onDone }: { project: string; filter: DeadFilters & { event?: string }; onClose: () => void; onDone?: () => Promise<void> }) {
  const client = useQueryClient();
  const [reason, setReason] = useState("");
  const dry = useDryRun(project, filter);
  const count = dry.data?.matched ?? 0;
  const drop = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () =>
      take(
        api.POST("/api/v1/projects/{project}/dead-letters/drop", {
          params: { path: { project } },
          body: { ...bulkOf(filter), reason },
        }),
      ),
    onSuccess: async ({ done }) => {
      say(`${plural(done, "dead letter")} dropped.`);
      onClose();
      // First away from the page of what is gone: it would ask for it again.
      await onDone?.();
      await client.invalidateQueries({ queryKey: [project, "dead-letters"] });
    },
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={dry.data ? `Drop ${plural(count, "dead letter")}?` : "Drop?"}
      description="They are not tried again. The events stay in the log, and so does the reason that you give."
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button look="danger" busy={drop.isPending} disabledReason={reason ? undefined : "Say why first"} onClick={() => drop.mutate()}>
            Drop {formatCount(count)}
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-3">
        <Field label="Why?">
          {(id) => <Input id={id} value={reason} onChange={(event) => setReason(event.target.value)} placeholder="sent by mistake" autoFocus />}
        </Field>
        {drop.isError && <ProblemLine error={drop.error} />}
      </div>
    </Dialog>
  );
}
