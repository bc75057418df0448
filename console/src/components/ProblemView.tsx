import { CircleAlert, RotateCw, Unplug } from "lucide-react";

import { ApiError, reasonOf, UnreachableError } from "~/api/problem";
import { Button } from "~/ui/Button";
import { CopyButton } from "~/ui/Copy";

/** What went wrong: the reason, its code with a page, and what to do next. */
export function ProblemView({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const problem = error instanceof ApiError ? error : undefined;
  const Icon = error instanceof UnreachableError ? Unplug : CircleAlert;
  return (
    <div role="alert" className="mx-auto flex w-full max-w-lg flex-col items-center gap-3 px-4 py-14 text-center">
      <span className="flex size-10 items-center justify-center rounded-xl bg-bad-soft text-bad">
        <Icon aria-hidden className="size-5" strokeWidth={1.75} />
      </span>
      <p className="text-base font-medium break-words">{sentence(reasonOf(error))}</p>
      {problem?.hint && <p className="text-sm text-ink-2">{problem.hint}</p>}
      {problem && (
        <p className="flex flex-wrap items-center justify-center gap-x-3 gap-y-1 text-xs text-ink-3">
          {problem.help && (
            <a href={problem.help} target="_blank" rel="noreferrer" className="font-medium text-accent hover:underline">
              {problem.code}: what it means
            </a>
          )}
          {problem.requestId && (
            <span className="inline-flex items-center gap-0.5 font-mono">
              {problem.requestId}
              <CopyButton text={problem.requestId} label="Copy the request's id" />
            </span>
          )}
        </p>
      )}
      {onRetry && (
        <Button icon={RotateCw} onClick={onRetry}>
          Try again
        </Button>
      )}
    </div>
  );
}

/** The same on one line, beside a form. */
export function ProblemLine({ error }: { error: unknown }) {
  const problem = error instanceof ApiError ? error : undefined;
  return (
    <p role="alert" className="rounded-md bg-bad-soft px-3 py-2 text-sm break-words text-bad">
      {sentence(reasonOf(error))}
      {problem?.hint ? ` ${sentence(problem.hint)}` : ""}
      {problem?.help && (
        <>
          {" "}
          <a href={problem.help} target="_blank" rel="noreferrer" className="font-medium underline">
            {problem.code}
          </a>
        </>
      )}
    </p>
  );
}

function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
