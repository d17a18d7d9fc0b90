// The `vscode` API of a running extension host, behind the socket that HEF_PROBE names: one JSON request per line
// {code, values}, one JSON answer per line. It plays the module that an extension's test run is made of.
"use strict";
const net = require("node:net");
const readline = require("node:readline");
const vscode = require("vscode");

const AsyncFunction = (async () => undefined).constructor;

async function answer({ code, values }) {
  try {
    const run = new AsyncFunction("vscode", ...Object.keys(values), code);
    return { value: (await run(vscode, ...Object.values(values))) ?? null };
  } catch (error) {
    return { error: String(error?.stack ?? error) };
  }
}

exports.activate = () => undefined;

/** VS Code ends the test run when this resolves: never. */
exports.run = () =>
  new Promise(() => {
    const door = net.createServer((socket) => {
      readline.createInterface({ input: socket }).on("line", async (line) => {
        socket.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
      });
    });
    door.listen(process.env.HEF_PROBE);
  });
