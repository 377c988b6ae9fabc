// A TLS peer on Node's tls for the interop tests; arguments as in go/main.go.
const fs = require("fs");
const tls = require("tls");

const [role, port, version, ...rest] = process.argv.slice(2);
const options = { minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` };

if (role === "server") {
  const [cert, key, ca] = rest;
  Object.assign(options, { cert: fs.readFileSync(cert), key: fs.readFileSync(key) });
  if (ca) Object.assign(options, { ca: fs.readFileSync(ca), requestCert: true, rejectUnauthorized: true });
  const server = tls.createServer(options, (socket) => {
    socket.on("error", (error) => console.log("error:", error.message));
    socket.once("data", () => socket.end("HTTP/1.0 200 OK\r\n\r\nhello from Node\n"));
  });
  server.on("tlsClientError", (error) => console.log("error:", error.message));
  server.listen(Number(port), "127.0.0.1", () => console.log("ready"));
} else {
  const [ca, count, cert, key] = rest;
  Object.assign(options, { host: "127.0.0.1", port: Number(port), servername: "localhost", ca: fs.readFileSync(ca) });
  if (cert) Object.assign(options, { cert: fs.readFileSync(cert), key: fs.readFileSync(key) });
  let session;
  const dial = (left) => {
    if (!left) return;
    const socket = tls.connect({ ...options, session }, () => socket.write("GET / HTTP/1.0\r\n\r\n"));
    let received = "";
    socket.on("session", (one) => (session = one));
    socket.on("data", (data) => (received += data));
    socket.on("error", (error) => {
      console.log("error:", error.message);
      process.exit(1);
    });
    socket.on("end", () => {
      console.log(received, `resumed=${socket.isSessionReused()}`);
      socket.end();
      dial(left - 1);
    });
  };
  dial(Number(count));
}
