// The app of the suite, on loopback and any free port, which it says in its first line: the suite's own main file takes all
// interfaces and a port that is given.
import http from 'node:http'
import { pathToFileURL } from 'node:url'

const suite = pathToFileURL(process.argv[2] + '/')
const handler = async name => (await import(new URL(`server/handle-${name}.mjs`, suite))).default
const handlers = { config: await handler('config'), test: await handler('test'), state: await handler('state') }

// It warns there of what a test does on purpose.
console.log = () => {}
const server = http.createServer((request, response) => {
  const [, what, ...rest] = new URL(request.url, 'http://localhost').pathname.split('/')
  handlers[what](rest, request, response)
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`))
process.stdin.on('end', () => process.exit()).resume()
