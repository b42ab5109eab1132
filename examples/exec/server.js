// An HTTP server in Node.js under prefork: many processes, one socket.
//
//     prefork exec --bind 127.0.0.1:8000 --workers 3 -- node server.js {fd}
//
// The listening socket is the descriptor that the first argument names.  It sends nothing to
// NOTIFY_SOCKET, so it counts as ready a moment after it was started (--ready-after).

const http = require("node:http");

const server = http.createServer((request, response) => {
  response.end(`${process.pid}\n`);
});

server.listen({ fd: Number(process.argv[2]) }, () => console.log("listening"));

// Finish what is in progress, then end: with nothing left to do, Node.js exits by itself.
process.on("SIGTERM", () => server.close());
