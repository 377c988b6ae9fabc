// What Node's tls gets of a connection that we end; arguments as in closing/main.go.
const fs = require("fs");
const tls = require("tls");

const [role, port, version, ...rest] = process.argv.slice(2);
const options = { minVersion: `TLSv${version}`, maxVersion: `TLSv${version}`, allowHalfOpen: true };

const read = (socket) => {
  let got = 0;
  socket.on("data", (data) => {
    got += data.length;
    socket.pause();
    setImmediate(() => socket.resume());
  });
  socket.on("error", (error) => console.log(`got ${got} error: ${error.message}`));
  socket.on("end", () => {
    console.log(`got ${got} end`);
    socket.end();
  });
};

if (role === "sink") {
  const [cert, key] = rest;
  const identity = { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
  tls.createServer({ ...options, ...identity }, read).listen(Number(port), "127.0.0.1");
} else {
  const server = { host: "127.0.0.1", port: Number(port), servername: "localhost", ca: fs.readFileSync(rest[0]) };
  const socket = tls.connect({ ...options, ...server }, () => socket.end("what is it?\n"));
  read(socket);
}
