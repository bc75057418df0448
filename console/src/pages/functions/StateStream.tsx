import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { ChevronRight, Trash2 } from "lucide-react";
import { useState } from "react";

import { askAgain, changeState, state, type Space, type StreamEvent } from "~/api/state";
import { CliButton } from "~/components/CliButton";
import { ConfirmDialog } from "~/components/ConfirmDialog";
import { ProblemLine } from "~/components/ProblemView";
import { useMay } from "~/hooks/useMay";
import { command } from "~/lib/cli";
import { formatBytes, formatCount, plural } from "~/lib/format";
import { previewOf, shownName } from "~/lib/state";
import { Button } from "~/ui/Button";
import { cx } from "~/ui/cx";
import { Dialog } from "~/ui/Dialog";
import { Loading } from "~/ui/layout";
import { say } from "~/ui/toasts";
import { Steps } from "./StateSteps";
import { Value } from "./StateKey";

/** The events of a stream, oldest first. */
export function OneStream({ project, space, name, onClose }: { project: string; space: Space; name: string; onClose: () => void }) {
  const client = useQueryClient();
  const found = useInfiniteQuery(state.events(project, space, name));
  const [asks, setAsks] = useState(false);
  const may = useMay();
  const remove = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () => changeState.removeStream(project, space, name),
    onSuccess: ({ events }) => {
      say(`${shownName(name)} is deleted, with ${plural(events, "event")}.`);
      onClose();
      return askAgain(client, project);
    },
  });
  const whose = "function" in space ? [space.function] : ["--shared", space.shared];
  const events = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <Dialog
        open
        shape="side"
        onClose={onClose}
        title={shownName(name)}
        description="Its events, the oldest first."
        footer={
          <>
            <span className="mr-auto">
              <CliButton command={command("nexus", "state", "stream", ...whose, name, ["--project", project])} />
            </span>
            <Button icon={Trash2} disabledReason={may("write")} onClick={() => setAsks(true)}>
              Delete
            </Button>
          </>
        }
      >
        {found.isPending && <Loading rows={4} />}
        {found.isError && <ProblemLine error={found.error} />}
        {events.length > 0 && (
          <Steps>
            <ol aria-label="Events" className="divide-y divide-line rounded-lg border border-line">
              {events.map((event) => (
                <OneEvent key={event.version} event={event} />
              ))}
            </ol>
          </Steps>
        )}
        {found.hasNextPage && (
          <div className="flex justify-center pt-3">
            <Button size="sm" busy={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
              Show more
            </Button>
          </div>
        )}
      </Dialog>
      {asks && (
        <ConfirmDialog title={`Delete ${shownName(name)}?`} verb="Delete" busy={remove.isPending} error={remove.error} onConfirm={() => remove.mutate()} onClose={() => setAsks(false)}>
          All its events go, the oldest first, for good. No function should append to it meanwhile: its versions begin with 1 again.
        </ConfirmDialog>
      )}
    </>
  );
}

/** One line, which opens. */
function OneEvent({ event }: { event: StreamEvent }) {
  const [open, setOpen] = useState(false);
  return (
    <li className="min-w-0">
      <button
        type="button"
        data-row-link
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="flex h-9 w-full items-center gap-2 px-2 text-left text-xs outline-none hover:bg-hover focus-visible:bg-accent-soft"
      >
        <ChevronRight aria-hidden className={cx("size-3 shrink-0 text-ink-3 transition-transform", open && "rotate-90")} />
        <span className="nums min-w-6 shrink-0 text-right font-medium text-ink-2">{formatCount(event.version)}</span>
        <span className="min-w-0 flex-1 truncate font-mono">{open ? "" : previewOf(event)}</span>
        <span className="nums shrink-0 text-ink-3">{formatBytes(event.bytes)}</span>
      </button>
      {open && (
        <div className="px-2 pb-2">
          <Value view={event} />
        </div>
      )}
    </li>
  );
}
