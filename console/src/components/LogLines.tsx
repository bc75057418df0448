import { Link } from "@tanstack/react-router";

import type { LogLine } from "~/api/types";
import type { Json } from "~/lib/diff";
import { cx } from "~/ui/cx";
import { Clock } from "./Time";

const INKS: Record<string, string> = { error: "text-bad", warn: "text-warn", debug: "text-ink-3", trace: "text-ink-3" };

/** Lines that functions wrote, oldest first. */
export function LogLines({ lines, project }: { lines: readonly LogLine[]; project?: string }) {
  return (
    <ol className="overflow-x-auto rounded-lg border border-line font-mono text-xs">
      {lines.map((line, index) => (
        <li
          key={`${line.at}-${index}`}
          className={cx(
            "flex items-start gap-3 border-b border-line px-3 py-1.5 last:border-b-0",
            line.level === "error" && "bg-bad-soft",
          )}
        >
          <span className="shrink-0 text-ink-3">
            <Clock at={line.at} />
          </span>
          <LogLevel line={line} />
          {project && line.function && (
            <span className="w-24 shrink-0 truncate text-ink-2">
              {line.invocation ? (
                <Link
                  to="/p/$project/invocations/$invocation"
                  params={{ project, invocation: line.invocation }}
                  className="hover:text-accent hover:underline"
                >
                  {line.function}
                </Link>
              ) : (
                line.function
              )}
            </span>
          )}
          <LogText line={line} />
        </li>
      ))}
    </ol>
  );
}

export function LogLevel({ line }: { line: LogLine }) {
  const word = line.level ?? line.stream;
  return <span className={cx("w-10 shrink-0", INKS[word] ?? "text-ink-3")}>{word}</span>;
}

/** What was written, with its fields; `inline` keeps it on one line. */
export function LogText({ line, inline }: { line: LogLine; inline?: boolean }) {
  const fields = fieldsOf(line);
  return (
    <span className={inline ? "" : "min-w-0 break-words whitespace-pre-wrap"}>
      {line.text}
      {fields.map(([name, value]) => (
        <span key={name} className="ml-2 text-ink-3">
          {name}=<span className="text-ink-2">{typeof value === "string" ? value : JSON.stringify(value)}</span>
        </span>
      ))}
    </span>
  );
}

function fieldsOf(line: LogLine): [string, Json][] {
  const fields: unknown = line.fields;
  return typeof fields === "object" && fields !== null ? (Object.entries(fields) as [string, Json][]) : [];
}
