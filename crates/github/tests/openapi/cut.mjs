// Cuts GitHub's published OpenAPI description down to what `roadbed github apply` asks and sends:
//   npm pack @octokit/openapi@23.0.2 && tar xzf octokit-openapi-23.0.2.tgz
//   node cut.mjs package/generated/api.github.com.json > github.json
// Bodies and parameters are as published, with all that they refer to. Of answers the status codes are kept.
import { readFileSync } from "node:fs";

const repository = "/repos/{owner}/{repo}";
const kept = {
  [repository]: ["get"],
  "/users/{username}": ["get"],
  "/orgs/{org}/teams/{team_slug}": ["get"],
  [`${repository}/rulesets`]: ["get", "post"],
  [`${repository}/rulesets/{ruleset_id}`]: ["get", "put"],
  [`${repository}/environments/{environment_name}`]: ["get", "put"],
  [`${repository}/environments/{environment_name}/deployment-branch-policies`]: ["get", "post"],
  [`${repository}/environments/{environment_name}/deployment-branch-policies/{branch_policy_id}`]: ["delete"],
  [`${repository}/environments`]: ["get"],
  [`${repository}/environments/{environment_name}/secrets`]: ["get"],
  [`${repository}/environments/{environment_name}/secrets/public-key`]: ["get"],
  [`${repository}/environments/{environment_name}/secrets/{secret_name}`]: ["get", "put"],
  [`${repository}/environments/{environment_name}/variables`]: ["get", "post"],
  [`${repository}/environments/{environment_name}/variables/{name}`]: ["patch"],
  [`${repository}/actions/secrets`]: ["get"],
  [`${repository}/actions/secrets/public-key`]: ["get"],
  [`${repository}/actions/secrets/{secret_name}`]: ["get", "put"],
  [`${repository}/actions/variables`]: ["get", "post"],
  [`${repository}/actions/variables/{name}`]: ["patch"],
};

const whole = JSON.parse(readFileSync(process.argv[2], "utf8"));
const cut = { openapi: whole.openapi, info: whole.info, paths: {}, components: {} };
const noise = new Set(["example", "examples", "x-github", "externalDocs", "description"]);
const plain = (value, isNames = false) => {
  if (Array.isArray(value)) return value.map((item) => plain(item));
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).filter(([key]) => isNames || !noise.has(key));
  return Object.fromEntries(entries.map(([key, item]) => [key, plain(item, key === "properties" && !isNames)]));
};
const refer = (value) => {
  if (value === null || typeof value !== "object") return;
  if (typeof value.$ref === "string") {
    const [, , section, name] = value.$ref.split("/");
    cut.components[section] ??= {};
    if (!(name in cut.components[section])) {
      cut.components[section][name] = plain(whole.components[section][name]);
      refer(cut.components[section][name]);
    }
  }
  Object.values(value).forEach(refer);
};
for (const [path, methods] of Object.entries(kept)) {
  cut.paths[path] = {};
  for (const method of methods) {
    const { operationId, parameters, requestBody, responses } = whole.paths[path][method];
    const codes = Object.fromEntries(Object.keys(responses).map((code) => [code, { description: "" }]));
    cut.paths[path][method] = { operationId, parameters: plain(parameters), requestBody: plain(requestBody), responses: codes };
    refer(cut.paths[path][method]);
  }
}
console.log(JSON.stringify(cut, null, 1));
