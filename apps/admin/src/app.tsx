import { type Config, loadConfig } from "./config.ts";
import { useLoading } from "./loading.ts";
import { FailedNotice, Notice } from "./notice.tsx";
import { ProductsPage } from "./products-page.tsx";
import { followInPage, usePath } from "./route.ts";
import { StatusPage } from "./status-page.tsx";

const PAGES = [
  { path: "/", name: "Products", Page: ProductsPage },
  { path: "/status", name: "Status", Page: StatusPage },
];

export function App() {
  const [config, retry] = useLoading(loadConfig);
  const path = usePath();

  return (
    <>
      <header className="masthead">
        <a href="/" className="wordmark" onClick={followInPage}>
          <img src="/icon.svg" width="28" height="28" alt="" />
          UrbanCart <span>admin</span>
        </a>
        <nav aria-label="Pages">
          {PAGES.map((page) => (
            <a
              key={page.path}
              href={page.path}
              onClick={followInPage}
              aria-current={page.path === path ? "page" : undefined}
            >
              {page.name}
            </a>
          ))}
        </nav>
        {config.state === "loaded" && <EnvironmentBadge config={config.value} />}
      </header>
      <main>
        {config.state === "loading" && <Notice state="loading" title="Starting…" />}
        {config.state === "failed" && (
          <FailedNotice title="The admin is not configured" message={config.message} onRetry={retry} />
        )}
        {config.state === "loaded" && <CurrentPage path={path} config={config.value} />}
      </main>
    </>
  );
}

function CurrentPage({ path, config }: { path: string; config: Config }) {
  const page = PAGES.find((candidate) => candidate.path === path);
  if (page === undefined) {
    return (
      <Notice state="missing" title="There is no such page">
        <p>
          <a href="/" onClick={followInPage}>
            See the products
          </a>
        </p>
      </Notice>
    );
  }
  return <page.Page config={config} />;
}

function EnvironmentBadge({ config }: { config: Config }) {
  return (
    <p className={`environment ${config.ROADBED_ENVIRONMENT}`} title={`Admin release ${config.ROADBED_RELEASE}`}>
      <b>{config.ROADBED_ENVIRONMENT}</b> <code>{config.ROADBED_RELEASE}</code>
    </p>
  );
}
