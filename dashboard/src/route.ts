/** Where the page is: `#/view/part?name=value`. */

import { useEffect, useState } from "preact/hooks";

export interface Route {
  view: string;
  part: string;
  params: URLSearchParams;
}

export function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view = "", ...rest] = path.split("/");
  return { view, part: decodeURIComponent(rest.join("/")), params: new URLSearchParams(search) };
}

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return parse(hash);
}

export const to = (view: string, part = ""): string => `#/${view}${part && `/${encodeURIComponent(part)}`}`;
