/** Two pages do not need a router library. The path is state that lives in the address bar. */
import { type MouseEvent, useEffect, useState } from "react";

export function usePath(): string {
  const [path, setPath] = useState(() => window.location.pathname);
  useEffect(() => {
    const update = () => setPath(window.location.pathname);
    window.addEventListener("popstate", update);
    return () => window.removeEventListener("popstate", update);
  }, []);
  return path;
}

/** For the onClick of a plain link, which keeps working without it. */
export function followInPage(event: MouseEvent<HTMLAnchorElement>): void {
  // A click that asks for a new tab or a download is the browser's business.
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  window.history.pushState(null, "", event.currentTarget.href);
  window.dispatchEvent(new PopStateEvent("popstate"));
}
