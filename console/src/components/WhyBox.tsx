import { Link } from "@tanstack/react-router";
import { CircleAlert, Info } from "lucide-react";

import type { Failure, Why } from "~/api/types";
import { usePreferences } from "~/app/preferences";
import { stackOf } from "~/lib/failure";
import { formatMoment, type Zone } from "~/lib/time";
import { cx } from "~/ui/cx";

/** Why something is as it is, in words; a failure with its place in the source. */
export function WhyBox({ answers, failure }: { answers: readonly Why[]; failure?: Failure | undefined }) {
  const { zone } = usePreferences();
  const stack = failure ? stackOf(failure) : undefined;
  const Icon = failure ? CircleAlert : Info;
  return (
    <section aria-label="Why" className={cx("rounded-lg px-4 py-3", failure ? "bg-bad-soft" : "bg-sunken")}>
      {answers.map((why) => (
        <div key={`${why.about}-${why.function}`} className="flex gap-3 py-0.5">
          <Icon aria-hidden className={cx("mt-0.5 size-4 shrink-0", failure ? "text-bad" : "text-ink-3")} />
          <div className="min-w-0 flex-1 text-sm">
            <p className="break-words">
              {failure && stack ? (
                <>
                  <span className="font-medium">{stack.message}</span>
                  <a
                    href={`/docs/errors/${failure.code}`}
                    target="_blank"
                    rel="noreferrer"
                    className="ml-2 font-mono text-xs text-bad underline"
                  >
                    {failure.code}
                  </a>
                </>
              ) : (
                withMoments(why.answer, zone)
              )}
            </p>
            {why.because && why.because.length > 0 && <p className="text-xs text-ink-2">{why.because.map(linked)}</p>}
            {why.hint && <p className="mt-0.5 font-mono text-xs text-ink-2">{why.hint}</p>}
          </div>
        </div>
      ))}
      {stack && stack.frames.length > 0 && !failure?.frames?.some((frame) => frame.file) && (
        <ol className="mt-2 ml-7 overflow-x-auto font-mono text-xs leading-5 whitespace-pre text-ink-2">
          {stack.frames.map((frame, index) => (
            <li key={`${frame}-${index}`} className={index === 0 ? "text-ink" : "text-ink-3"}>
              {frame}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

/** The server writes moments for machines; people get them in their zone. */
function withMoments(text: string, zone: Zone): string {
  return text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (moment) => formatMoment(new Date(moment), zone));
}

/** A reason that names an invocation leads to it. */
function linked(reason: string, index: number) {
  const id = /inv_\w{20,}/.exec(reason)?.[0];
  const [before = reason, after = ""] = id ? reason.split(id) : [reason];
  return (
    <span key={reason}>
      {index > 0 && ", "}
      {before}
      {id && (
        <Link from="/p/$project" to="./invocations/$invocation" params={{ invocation: id }} className="link">
          {id}
        </Link>
      )}
      {after}
    </span>
  );
}
