import createClient, { type Middleware } from "openapi-fetch";

import { ApiError, UnreachableError } from "./problem";
import type { paths } from "./schema";

/** Tells the server that a script of this origin sent the request: a form of another site cannot set a header. */
const CSRF = { name: "nexus-csrf", value: "1" };

const guard: Middleware = {
  onRequest({ request }) {
    request.headers.set(CSRF.name, CSRF.value);
    return request;
  },
  onError({ error }) {
    return error instanceof DOMException && error.name === "AbortError" ? error : new UnreachableError(error);
  },
};

export const api = createClient<paths>({ baseUrl: location.origin, credentials: "same-origin" });
api.use(guard);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of an answer; a refusal becomes an `ApiError`. */
export async function take<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await answer;
  if (!response.ok) throw new ApiError(response.status, typeof error === "object" && error ? error : {});
  return data as T;
}

/** Sends a body that the OpenAPI document does not describe (bytes, multipart), with the same care. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set(CSRF.name, CSRF.value);
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init, headers });
  } catch (error) {
    throw new UnreachableError(error);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** The problem document of a response that is not good. */
async function problemOf(response: Response): Promise<ApiError> {
  const json = (response.headers.get("content-type") ?? "").includes("json");
  const body: unknown = json ? await response.json().catch(() => ({})) : { detail: await response.text() };
  return new ApiError(response.status, typeof body === "object" && body ? body : {});
}
