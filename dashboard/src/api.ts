/** Calls of the admin API. The session's cookie goes along by itself. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
  ) {
    super(`${code}: ${detail}`);
  }
}

const WAIT_MS = 500;
const WAITS = 120;

/** Names a write, so that a repeat of it is one. */
export function freshKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}

let onSignedOut = () => {};
export function whenSignedOut(then: () => void): void {
  onSignedOut = then;
}

export async function api<T>(method: string, path: string, body?: unknown, key?: string): Promise<T> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && path !== "session") headers["Idempotency-Key"] = key ?? freshKey();
  const init: RequestInit = { method, headers };
  if (body !== undefined) init.body = JSON.stringify(body);
  let answer: Response;
  try {
    answer = await fetch(`/v1/${path}`, init);
  } catch {
    throw new ApiError(0, "unreachable", "");
  }
  const document = await answer.json().catch(() => ({}));
  if (answer.status === 202) return outcome<T>(document.event_id);
  if (answer.ok) return document as T;
  if (answer.status === 401 && path !== "session") onSignedOut();
  throw new ApiError(answer.status, document.code ?? "internal", document.detail ?? "");
}

/** Of a write that the books did not answer in time. */
async function outcome<T>(event: string): Promise<T> {
  for (let n = 0; n < WAITS; n++) {
    await new Promise((done) => setTimeout(done, WAIT_MS));
    const seen = await api<{ status: string; code: string; detail: string; result: T }>(
      "GET",
      `events/${event}`,
    );
    if (seen.status === "applied") return seen.result;
    if (seen.status === "set_aside") throw new ApiError(422, seen.code, seen.detail);
  }
  throw new ApiError(503, "processor_unavailable", "");
}

/** A query string of what is not empty. */
export function query(parts: Record<string, string | number | undefined>): string {
  const given = Object.entries(parts).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text}`;
}

export interface Loaded<T> {
  data: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
  reload: () => void;
}

/** What a path answers; empty asks nothing. What was there stays while it is asked again. */
export function useApi<T>(path: string): Loaded<T> {
  const [state, setState] = useState<{ path: string; data?: T; error?: ApiError }>({ path: "" });
  const [count, setCount] = useState(0);
  const current = useRef("");
  current.current = path;
  // `count` asks again
  useEffect(() => {
    if (!path) return;
    api<T>("GET", path).then(
      (data) => current.current === path && setState({ path, data }),
      (error: ApiError) => current.current === path && setState({ path, error }),
    );
  }, [path, count]);
  const reload = useCallback(() => setCount((n) => n + 1), []);
  const fresh = state.path === path;
  return { data: state.data, error: fresh ? state.error : undefined, loading: !!path && !fresh, reload };
}

export interface Pages<T> extends Loaded<T[]> {
  more: (() => void) | undefined;
  /** Of a list that is looked through: everything that came at this instant or later has been looked at. */
  backTo: string | null;
}

interface PageOf<T> {
  items: T[];
  next: string | null;
  back_to?: string | null;
}

/** A list by its pages: `more` is there while there are more. */
export function usePages<T>(path: string): Pages<T> {
  const first = useApi<PageOf<T>>(path);
  const [further, setFurther] = useState<{
    of: unknown;
    items: T[];
    next: string | null;
    back_to?: string | null;
    error?: ApiError;
  }>();
  const mine = further && further.of === first.data ? further : undefined;
  const next = mine ? mine.next : (first.data?.next ?? null);
  const backTo = (mine ? mine.back_to : first.data?.back_to) ?? null;
  const items = first.data && [...first.data.items, ...(mine?.items ?? [])];
  const more = () =>
    api<PageOf<T>>("GET", `${path}${path.includes("?") ? "&" : "?"}cursor=${next}`).then(
      (page) => setFurther({ ...page, of: first.data, items: [...(mine?.items ?? []), ...page.items] }),
      (error: ApiError) =>
        setFurther({ of: first.data, items: mine?.items ?? [], next, back_to: backTo, error }),
    );
  // what stays from another path has no next page on this one
  const goesOn = next && !first.loading;
  return {
    ...first,
    data: items,
    error: first.error ?? mine?.error,
    more: goesOn ? more : undefined,
    backTo,
  };
}
