import { useQuery } from "@tanstack/react-query";

import { queries } from "~/api/queries";
import { FilterChip } from "~/components/FilterChip";
import { SearchBox } from "~/components/SearchBox";
import { TimeFilter } from "~/components/TimeFilter";
import { compact, type EventFilters } from "~/lib/filters";
import { Field, Input, Switch } from "~/ui/fields";
import { MenuChoice } from "~/ui/Menu";

interface Props {
  project: string;
  filters: EventFilters;
  onChange: (filters: EventFilters) => void;
}

export function EventFilterBar({ project, filters, onChange }: Props) {
  const types = useEventTypes(project);
  const set = (change: Partial<Record<keyof EventFilters, unknown>>) => onChange(compact({ ...filters, ...change }) as EventFilters);
  return (
    <div className="flex flex-wrap items-center gap-1.5 px-4 pb-3 md:px-7">
      <SearchBox
        label="Search in the data of events"
        placeholder="Text, or jq: .data.total > 100"
        value={filters.where ?? filters.text ?? ""}
        onSearch={(text) => set(eventSearchOf(text))}
      />
      <FilterChip label="Type" value={filters.type} onClear={() => set({ type: undefined })} form>
        <TextFilter label="Type; a final * matches any ending" value={filters.type} onApply={(type) => set({ type })} choices={types} />
      </FilterChip>
      <FilterChip label="Source" value={filters.source} onClear={() => set({ source: undefined })} form>
        <TextFilter label="Source" value={filters.source} onApply={(source) => set({ source })} />
      </FilterChip>
      <FilterChip label="Subject" value={filters.subject} onClear={() => set({ subject: undefined })} form>
        <TextFilter label="Subject" value={filters.subject} onApply={(subject) => set({ subject })} />
      </FilterChip>
      <TimeFilter since={filters.since} until={filters.until} onChange={({ since, until }) => set({ since, until })} />
      {filters.cause && (
        <FilterChip label="Emitted by" value={filters.cause} onClear={() => set({ cause: undefined })}>
          <MenuChoice value={filters.cause} choices={[{ value: filters.cause, label: filters.cause }]} onChoose={() => undefined} />
        </FilterChip>
      )}
      <span className="ml-1">
        <Switch label="Changes of resources" checked={filters.system === true} onChange={(on) => set({ system: on || undefined })} />
      </span>
    </div>
  );
}

function eventSearchOf(text: string): Pick<EventFilters, "text" | "where"> {
  return compact({ text: undefined, where: undefined, ...(text && { [/^[.(]/.test(text) ? "where" : "text"]: text }) });
}

function TextFilter({ label, value, choices = [], onApply }: { label: string; value: string | undefined; choices?: string[]; onApply: (text: string | undefined) => void }) {
  return (
    <form
      className="w-72 max-w-full"
      onSubmit={(event) => {
        event.preventDefault();
        const text = new FormData(event.currentTarget).get("text");
        onApply(typeof text === "string" && text ? text : undefined);
      }}
    >
      <Field label={label} hint="Enter applies it">
        {(id) => (
          <>
            <Input id={id} name="text" defaultValue={value} list={`${id}-known`} autoFocus autoComplete="off" />
            <datalist id={`${id}-known`}>
              {choices.map((choice) => (
                <option key={choice} value={choice} />
              ))}
            </datalist>
          </>
        )}
      </Field>
    </form>
  );
}

/** The types that are known: somebody asks for them, or they have a schema. */
export function useEventTypes(project: string): string[] {
  const triggers = useQuery(queries.triggers(project));
  const schemas = useQuery(queries.schemas(project));
  const types = [
    ...(triggers.data?.items ?? []).flatMap((trigger) => trigger.event?.type ?? []),
    ...(schemas.data?.items ?? []).map((schema) => schema.type),
  ];
  return [...new Set(types)].toSorted();
}
