// Makes pages live and gives them keys. Without it every page works all the same.
"use strict";
(() => {
  const root = document.documentElement;
  const themes = ["light", "dark"];
  const kept = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  if (themes.includes(kept)) root.dataset.theme = kept;

  const rows = () => [...document.querySelectorAll("#content [data-row]")];
  let at = -1;
  const step = (by) => {
    const all = rows();
    if (all.length === 0) return;
    all.forEach((row) => row.classList.remove("here"));
    at = Math.min(Math.max(at + by, 0), all.length - 1);
    const row = all[at];
    row.classList.add("here");
    row.scrollIntoView({ block: "nearest" });
    row.querySelector("a, summary")?.focus({ preventScroll: true });
  };

  // What somebody opened stays open, and what he wrote stays written.
  const opened = (content) => [...content.querySelectorAll("details")].map((one) => one.open);
  const refresh = async () => {
    const content = document.getElementById("content");
    const active = document.activeElement;
    if (active && content.contains(active) && /^(INPUT|SELECT|TEXTAREA)$/.test(active.tagName)) return;
    const answer = await fetch(location.href, { credentials: "same-origin", headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("content");
    if (!fresh) return;
    const before = opened(content);
    const details = [...fresh.querySelectorAll("details")];
    if (details.length === before.length) details.forEach((one, index) => { one.open = before[index]; });
    content.replaceChildren(...fresh.childNodes);
    const all = rows();
    if (at >= 0 && all[at]) {
      all[at].classList.add("here");
      if (active === document.body || !document.contains(active)) all[at].querySelector("a, summary")?.focus({ preventScroll: true });
    }
  };

  const live = () => {
    const path = document.body.dataset.live;
    if (!path || !window.EventSource) return;
    let seen = null;
    let source = null;
    const listen = () => {
      source = new EventSource(path);
      source.addEventListener("state", (event) => {
        if (seen !== null && seen !== event.data) refresh().catch(() => {});
        seen = event.data;
      });
    };
    // A page that nobody looks at asks for nothing.
    const heed = () => {
      if (document.hidden) { source?.close(); source = null; }
      else if (!source) { listen(); }
    };
    document.addEventListener("visibilitychange", heed);
    heed();
  };

  document.addEventListener("DOMContentLoaded", () => {
    const theme = document.getElementById("theme");
    theme.hidden = false;
    theme.addEventListener("click", () => {
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      try { localStorage.setItem("theme", root.dataset.theme); } catch { /* Not kept. */ }
    });
    live();
  });

  let before = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest("input, select, textarea, dialog")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const key = event.key;
    const goes = before === "g" && document.querySelector(`nav a[data-key="${CSS.escape(key)}"]`);
    before = key;
    if (goes) { event.preventDefault(); goes.click(); return; }
    if (key === "/") { event.preventDefault(); document.getElementById("find").focus(); }
    else if (key === "j") step(1);
    else if (key === "k") step(-1);
    else if (key === "?") document.getElementById("keys").showModal();
  });
})();
