import { useQuery } from "@tanstack/react-query";

import { queries } from "~/api/queries";
import { FilterChip } from "~/components/FilterChip";
import { SearchBox } from "~/components/SearchBox";
import { TimeFilter } from "~/components/TimeFilter";
import { sentence } from "~/lib/format";
import { compact, FAILURES, STATUSES, toggled, TRIGGERS, type InvocationFilters } from "~/lib/filters";
import { MenuCheck, MenuChoice, MenuItem, MenuLine } from "~/ui/Menu";

interface Props {
  project: string;
  filters: InvocationFilters;
  onChange: (filters: InvocationFilters) => void;
}

const SLOW = ["10ms", "100ms", "500ms", "1s", "5s"] as const;
const ALL_FAILURES = FAILURES.join(",");

export function InvocationFilterBar({ project, filters, onChange }: Props) {
  const functions = useQuery(queries.functions(project));
  const set = (change: Partial<Record<keyof InvocationFilters, unknown>>) =>
    onChange(compact({ ...filters, ...change }) as InvocationFilters);
  const statuses = filters.status === ALL_FAILURES ? "all failures" : filters.status?.replaceAll(",", ", ");
  return (
    <div className="flex flex-wrap items-center gap-1.5 px-4 pb-3 md:px-7">
      <SearchBox
        label="Search in payloads, logs and failures"
        placeholder="Text, or jq: .input.event.data.total > 100"
        value={filters.where ?? filters.text ?? ""}
        onSearch={(text) => set(searchOf(text))}
      />
      <FilterChip label="Status" value={statuses} onClear={() => set({ status: undefined })}>
        <MenuItem onSelect={() => set({ status: ALL_FAILURES })}>All failures</MenuItem>
        <MenuLine />
        {STATUSES.map((status) => (
          <MenuCheck
            key={status}
            checked={filters.status?.split(",").includes(status) ?? false}
            onChange={() => set({ status: toggled(filters.status, status) })}
          >
            {sentence(status)}
          </MenuCheck>
        ))}
      </FilterChip>
      <FilterChip label="Function" value={filters.function} onClear={() => set({ function: undefined, version: undefined })}>
        <MenuChoice
          value={filters.function}
          choices={(functions.data?.items ?? []).map(({ name }) => ({ value: name, label: name }))}
          onChoose={(name) => set({ function: name, version: undefined })}
        />
      </FilterChip>
      <FilterChip label="Trigger" value={filters.trigger?.replaceAll(",", ", ")} onClear={() => set({ trigger: undefined })}>
        {TRIGGERS.map((trigger) => (
          <MenuCheck
            key={trigger}
            checked={filters.trigger?.split(",").includes(trigger) ?? false}
            onChange={() => set({ trigger: toggled(filters.trigger, trigger) })}
          >
            {trigger === "http" ? "HTTP" : sentence(trigger)}
          </MenuCheck>
        ))}
      </FilterChip>
      <TimeFilter since={filters.since} until={filters.until} onChange={({ since, until }) => set({ since, until })} />
      <FilterChip
        label="Took"
        value={filters.min_duration && `at least ${filters.min_duration}`}
        onClear={() => set({ min_duration: undefined })}
      >
        <MenuChoice
          value={filters.min_duration}
          choices={SLOW.map((value) => ({ value, label: `At least ${value}` }))}
          onChoose={(value) => set({ min_duration: value })}
        />
      </FilterChip>
      <FilterChip
        label="Start"
        value={filters.cold === undefined ? undefined : filters.cold ? "cold" : "warm"}
        onClear={() => set({ cold: undefined })}
      >
        <MenuChoice
          value={filters.cold === undefined ? undefined : String(filters.cold)}
          choices={[
            { value: "true", label: "Cold" },
            { value: "false", label: "Warm" },
          ]}
          onChoose={(value) => set({ cold: value === "true" })}
        />
      </FilterChip>
      {(["version", "event", "trace"] as const).map(
        (name) =>
          filters[name] && (
            <FilterChip key={name} label={sentence(name)} value={filters[name]} onClear={() => set({ [name]: undefined })}>
              <MenuItem onSelect={() => set({ [name]: undefined })}>Clear</MenuItem>
            </FilterChip>
          ),
      )}
      {Object.keys(filters).length > 1 && (
        <button type="button" onClick={() => onChange({})} className="h-7 px-1.5 text-xs text-ink-3 hover:text-ink">
          Clear all
        </button>
      )}
    </div>
  );
}

/** What looks like an expression is one: it begins as jq does. */
export function searchOf(text: string): Pick<InvocationFilters, "text" | "where"> {
  const isExpression = /^[.(]|^(any|all|test|has)\b/.test(text);
  return { text: undefined, where: undefined, ...(text ? { [isExpression ? "where" : "text"]: text } : {}) } as Pick<
    InvocationFilters,
    "text" | "where"
  >;
}
