import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { MailCheck, RotateCcw, SearchX, Trash2 } from "lucide-react";
import { useMemo, useState } from "react";

import { queries } from "~/api/queries";
import type { DeadLetter } from "~/api/types";
import { CliButton } from "~/components/CliButton";
import { FilterChip } from "~/components/FilterChip";
import { ProblemView } from "~/components/ProblemView";
import { Ago } from "~/components/Time";
import { TimeFilter } from "~/components/TimeFilter";
import { command, curl, withQuery } from "~/lib/cli";
import { stackOf } from "~/lib/failure";
import { compact, type DeadFilters } from "~/lib/filters";
import { formatCount } from "~/lib/format";
import { Button } from "~/ui/Button";
import { Empty, Loading, Page } from "~/ui/layout";
import { MenuItem } from "~/ui/Menu";
import { Cell, Row, Table } from "~/ui/table";
import { DropDialog } from "./DropDialog";
import { ReasonGroups } from "./ReasonGroups";
import { RedriveDialog } from "./RedriveDialog";

/** Rows that are shown; the rest is reached by filters, and redriven with them. */
const SHOWN_MAX = 500;

export function DeadLettersPage() {
  const { project } = useParams({ from: "/p/$project/dead-letters" });
  const filters = useSearch({ from: "/p/$project/dead-letters" });
  const navigate = useNavigate({ from: "/p/$project/dead-letters" });
  const letters = useQuery(queries.deadLetters(project, filters));
  const counts = useQuery(queries.deadLetterCounts(project));
  const [opened, setOpened] = useState<"redrive" | "drop">();
  const setFilters = (next: DeadFilters) => void navigate({ search: next, replace: true });
  const total = counts.data?.items.reduce((sum, it) => sum + it.count, 0) ?? 0;
  const filtered = Object.keys(filters).length > 0;
  const none = letters.data?.items.length === 0;

  return (
    <Page
      title="Dead letters"
      about="Deliveries that were given up. They wait here until you decide."
      actions={
        <>
          <CliButton
            command={command("nexus", "dead-letters", ["--project", project], ["--function", filters.function], ["--code", filters.code], ["--type", filters.type])}
            request={curl(location.origin, withQuery(`/api/v1/projects/${project}/dead-letters`, { ...filters }))}
          />
          <Button icon={Trash2} disabledReason={none ? "There is nothing to drop" : undefined} onClick={() => setOpened("drop")}>
            Drop{filtered ? " these" : " all"}
          </Button>
          <Button look="solid" icon={RotateCcw} disabledReason={none ? "There is nothing to redrive" : undefined} onClick={() => setOpened("redrive")}>
            Redrive{filtered ? " these" : " all"}
          </Button>
        </>
      }
    >
      {counts.data && total > 0 && <ReasonGroups counts={counts.data.items} filters={filters} onChange={setFilters} />}
      {total > 0 && <Filters filters={filters} onChange={setFilters} />}
      {letters.isPending && <Loading />}
      {letters.isError && <ProblemView error={letters.error} onRetry={() => void letters.refetch()} />}
      {none && !filtered && (
        <Empty icon={MailCheck} title="No dead letters">
          <p>Every event was handled, or is still being tried. What cannot be handled comes here with every attempt and its reason.</p>
        </Empty>
      )}
      {none && filtered && (
        <Empty icon={SearchX} title="None matches">
          <Button className="self-center" onClick={() => setFilters({})}>
            Clear the filters
          </Button>
        </Empty>
      )}
      {letters.data && !none && <Letters project={project} letters={letters.data.items} />}
      {opened === "redrive" && <RedriveDialog project={project} filter={filters} onClose={() => setOpened(undefined)} />}
      {opened === "drop" && <DropDialog project={project} filter={filters} onClose={() => setOpened(undefined)} />}
    </Page>
  );
}

function Filters({ filters, onChange }: { filters: DeadFilters; onChange: (filters: DeadFilters) => void }) {
  const set = (change: Partial<Record<keyof DeadFilters, string | undefined>>) => onChange(compact({ ...filters, ...change }) as DeadFilters);
  return (
    <div className="-mt-2 flex flex-wrap items-center gap-1.5">
      <TimeFilter since={filters.since} until={filters.until} onChange={({ since, until }) => set({ since, until })} />
      {(["function", "code", "type", "trigger"] as const).map(
        (name) =>
          filters[name] && (
            <FilterChip key={name} label={name} value={filters[name]} onClear={() => set({ [name]: undefined })}>
              <MenuItem onSelect={() => set({ [name]: undefined })}>Clear</MenuItem>
            </FilterChip>
          ),
      )}
    </div>
  );
}

function Letters({ project, letters }: { project: string; letters: DeadLetter[] }) {
  const shown = useMemo(() => letters.slice(0, SHOWN_MAX), [letters]);
  return (
    <div className="flex flex-col gap-2">
      <Table
        label="Dead letters"
        head={[{ label: "Event" }, { label: "Function" }, { label: "Reason" }, { label: "Code" }, { label: "Attempts", right: true }, { label: "Given up", right: true }]}
      >
        {shown.map((letter) => (
          <Row key={`${letter.event}-${letter.function}-${letter.trigger}`} className="relative">
            <Cell className="font-medium whitespace-nowrap">
              <Link to="/p/$project/dead-letters/$event" params={{ project, event: letter.event }} className="after:absolute after:inset-0">
                {letter.type}
              </Link>
            </Cell>
            <Cell className="whitespace-nowrap">{letter.function}</Cell>
            <Cell className="w-full max-w-0 truncate text-ink-2">{stackOf({ message: withoutCode(letter.reason) }).message}</Cell>
            <Cell className="font-mono text-xs text-ink-3">{letter.code}</Cell>
            <Cell right>{letter.attempts}</Cell>
            <Cell right className="text-ink-2">
              <Ago at={letter.at} />
            </Cell>
          </Row>
        ))}
      </Table>
      {letters.length >= SHOWN_MAX && (
        <p className="text-xs text-ink-3">The newest {formatCount(SHOWN_MAX)}. Redrive and drop take all that match.</p>
      )}
    </div>
  );
}

/** `NX5003: PermanentError: …` → `PermanentError: …`: the code has a column of its own. */
export function withoutCode(reason: string): string {
  return reason.replace(/^NX\d{4}: /, "");
}
