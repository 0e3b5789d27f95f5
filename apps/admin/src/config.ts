/** Where am I running? The edge writes /config.json at run time, so that one build serves every environment. */

export interface Config {
  apiUrl: string;
  siteUrl: string;
  environment: string;
  release: string;
}

export async function loadConfig(signal?: AbortSignal): Promise<Config> {
  const response = await fetch("/config.json", { cache: "no-store", signal: signal ?? null });
  if (!response.ok) throw new Error(`/config.json answered ${response.status}`);
  // A server that falls back to index.html for unknown paths answers 200 with a page.
  const json: unknown = await response.json().catch(() => undefined);
  return parseConfig(json);
}

export function parseConfig(json: unknown): Config {
  const fields = (typeof json === "object" && json !== null ? json : {}) as Record<string, unknown>;
  const missing: string[] = [];
  const text = (name: string): string => {
    const value = fields[name];
    if (typeof value === "string" && value !== "") return value;
    missing.push(name);
    return "";
  };

  const config: Config = {
    apiUrl: text("PUBLIC_API_URL"),
    siteUrl: text("PUBLIC_SITE_URL"),
    environment: text("ROADBED_ENVIRONMENT"),
    release: text("ROADBED_RELEASE"),
  };
  if (missing.length > 0) throw new Error(`/config.json lacks ${missing.join(", ")}`);
  return config;
}
