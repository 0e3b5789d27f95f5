// Answers everything. Other tests put other servers here.
const server = require("node:http").createServer((_, answer) => answer.end("tiny\n"));
server.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("listening"));
process.on("SIGTERM", () => {
  console.log("closing");
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
