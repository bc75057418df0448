import { useState } from "react";

import { formatBytes, plural } from "~/lib/format";
import type { Body, Payload } from "~/lib/payload";
import { CopyButton } from "~/ui/Copy";
import { Segmented } from "~/ui/Tabs";
import { JsonView } from "./JsonView";

/** What went in, or what came out. */
export function PayloadView({ payload, label }: { payload: Payload | undefined; label: string }) {
  if (!payload) return <p className="text-sm text-ink-3">Nothing of it was kept.</p>;
  const { method, url, status, headers, body, event, lost, events } = payload;
  return (
    <div className="flex min-w-0 flex-col gap-3">
      {(url || status !== undefined) && (
        <p className="font-mono text-xs break-all">
          {method && <span className="font-semibold">{method} </span>}
          {url}
          {status !== undefined && <span className="font-semibold">HTTP {status}</span>}
        </p>
      )}
      {headers.length > 0 && <Headers headers={headers} />}
      {event !== undefined && <JsonView value={event} label={`${label}: the event`} />}
      {lost && <p role="alert" className="text-sm text-bad">The data of the event is lost: {lost}.</p>}
      {body && (event === undefined || body.size > 0) && !(events && body.size === 0) && <BodyView body={body} label={label} />}
      {events && events.length > 0 && (
        <>
          <p className="text-xs text-ink-3">Returned {plural(events.length, "event")}</p>
          <JsonView value={events} label={`${label}: events`} />
        </>
      )}
    </div>
  );
}

function Headers({ headers }: { headers: [string, string][] }) {
  return (
    <details className="text-xs">
      <summary className="cursor-pointer text-ink-3 select-none hover:text-ink">{plural(headers.length, "header")}</summary>
      <dl className="mt-2 flex flex-col gap-0.5 font-mono">
        {headers.map(([name, value], index) => (
          <div key={`${name}-${index}`} className="flex gap-2">
            <dt className="shrink-0 text-ink-3">{name}:</dt>
            <dd className="min-w-0 break-all">{value}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function BodyView({ body, label }: { body: Body; label: string }) {
  const [raw, setRaw] = useState(false);
  if (body.lost) return <p role="alert" className="text-sm text-bad">The body of {formatBytes(body.size)} is lost: {body.lost}.</p>;
  if (body.dropped) return <p className="text-sm text-ink-3">The body of {formatBytes(body.size)} was not kept.</p>;
  if (body.json !== undefined)
    return (
      <>
        <div className="flex items-center justify-between text-xs text-ink-3">
          Body, {formatBytes(body.size)}
          <Segmented
            label={`How ${label.toLowerCase()} is shown`}
            value={raw ? "text" : "tree"}
            onChange={(next) => setRaw(next === "text")}
            choices={[
              { value: "tree", label: "Tree" },
              { value: "text", label: "Text" },
            ]}
          />
        </div>
        {raw ? (
          <TextView text={JSON.stringify(body.json, null, 2)} label={label} />
        ) : (
          <JsonView value={body.json} label={label} />
        )}
      </>
    );
  if (body.text !== undefined) return <TextView text={body.text} label={label} />;
  if (body.base64 !== undefined)
    return (
      <>
        <p className="text-xs text-ink-3">{formatBytes(body.size)} of bytes, in base 64</p>
        <TextView text={body.base64} label={label} />
      </>
    );
  return <p className="text-sm text-ink-3">The body is empty.</p>;
}

export function TextView({ text, label }: { text: string; label: string }) {
  return (
    <div className="relative rounded-lg bg-sunken">
      <CopyButton text={text} label={`Copy ${label}`} className="absolute top-1.5 right-1.5" />
      {/* Whoever uses the keyboard must be able to scroll it. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre tabIndex={0} className="max-h-96 overflow-auto p-3 pr-9 font-mono text-xs leading-5 break-words whitespace-pre-wrap">
        {text}
      </pre>
    </div>
  );
}
