// Plays the Python extension: the part of its public API that names the chosen environment, and a command to choose.
"use strict";
const vscode = require("vscode");

exports.activate = (context) => {
  const changed = new vscode.EventEmitter();
  let chosen;
  const choose = (path) => {
    chosen = path;
    changed.fire({ path });
  };
  context.subscriptions.push(changed, vscode.commands.registerCommand("python.choose", choose));
  return {
    environments: {
      onDidChangeActiveEnvironmentPath: changed.event,
      getActiveEnvironmentPath: () => ({ id: "chosen", path: chosen }),
      resolveEnvironment: async ({ path }) => path && { executable: { uri: vscode.Uri.file(path) } },
    },
  };
};
