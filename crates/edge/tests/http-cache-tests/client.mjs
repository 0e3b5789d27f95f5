// Runs the suite against an address, and says of each test its kind, and true or what was seen.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [folder, base] = process.argv.slice(2)
const suite = pathToFileURL(folder + '/')
const of = async path => import(new URL(path, suite))
const { runTests, getResults } = await of('client/runner.mjs')
const { default: sets } = await of('tests/index.mjs')
const { default: surrogate } = await of('tests/surrogate-control.mjs')
const fetch = createRequire(suite)('node-fetch')

sets.push(surrogate)
await runTests(sets, fetch, false, base, 200)
const results = getResults()
const kinds = {}
for (const set of sets) {
  for (const test of set.tests) kinds[test.id] = test.kind ?? 'required'
}
const told = Object.entries(results).map(([id, result]) => [id, { kind: kinds[id], result }])
process.stdout.write(JSON.stringify(Object.fromEntries(told)))
