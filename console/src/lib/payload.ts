import type { Json } from "./diff";

/** A body as the API shows it: JSON, text or bytes, always with its size. */
export interface Body {
  size: number;
  dropped: boolean;
  /** Why it is not here although it was kept. */
  lost?: string;
  json?: Json;
  text?: string;
  base64?: string;
}

/** What went in or came out of an invocation. */
export interface Payload {
  method?: string;
  url?: string;
  status?: number;
  headers: [string, string][];
  contentType?: string;
  body?: Body;
  /** The event that was handled. */
  event?: Json;
  /** Why the data of the event is not here although it was kept. */
  lost?: string;
  /** The events that were returned. */
  events?: Json[];
}

type Fields = Record<string, unknown>;

/** Reads the free-form `input` and `output` of an invocation; nothing where nothing was kept. */
export function payloadOf(value: unknown): Payload | undefined {
  if (!isRecord(value)) return undefined;
  const { method, url, status, headers, contentType, body, event, lost, events } = value;
  return {
    headers: Array.isArray(headers) ? headers.filter(isPair) : [],
    ...(typeof method === "string" ? { method } : {}),
    ...(typeof url === "string" ? { url } : {}),
    ...(typeof status === "number" ? { status } : {}),
    ...(typeof contentType === "string" ? { contentType } : {}),
    ...(isRecord(body) ? { body: bodyOf(body) } : {}),
    ...(event === undefined ? {} : { event: event as Json }),
    ...(typeof lost === "string" ? { lost } : {}),
    ...(Array.isArray(events) ? { events: events as Json[] } : {}),
  };
}

function bodyOf({ size, dropped, lost, json, text, base64 }: Fields): Body {
  return {
    size: typeof size === "number" ? size : 0,
    dropped: dropped === true,
    ...(typeof lost === "string" ? { lost } : {}),
    ...(json === undefined ? {} : { json: json as Json }),
    ...(typeof text === "string" ? { text } : {}),
    ...(typeof base64 === "string" ? { base64 } : {}),
  };
}

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPair(value: unknown): value is [string, string] {
  return Array.isArray(value) && value.length === 2 && value.every((it) => typeof it === "string");
}

/** What an invocation could be called with again: the body of its request, or the data of its event. */
export function dataOf(payload: Payload | undefined): string {
  const event = payload?.event;
  const data = typeof event === "object" && event && !Array.isArray(event) ? event["data"] : undefined;
  const value = data ?? payload?.body?.json ?? payload?.body?.text;
  return value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
