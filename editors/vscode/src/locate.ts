import * as fs from "node:fs";
import * as path from "node:path";

/** The user must do something; the message says what. */
export class ServerMissing extends Error {}

/**
 * The server's program: what the user has set, else `hef-lsp` on PATH.
 * Throws ServerMissing.
 */
export function locateServer(configured: string, env: NodeJS.ProcessEnv = process.env): string {
  if (configured) {
    if (!isProgram(configured)) {
      throw new ServerMissing(`hef-lsp.path names ${configured}, which cannot be run: correct or empty that setting.`);
    }
    return configured;
  }
  const name = process.platform === "win32" ? "hef-lsp.exe" : "hef-lsp";
  const folders = (env["PATH"] ?? "").split(path.delimiter).filter(path.isAbsolute);
  const found = folders.map((folder) => path.join(folder, name)).find(isProgram);
  if (found === undefined) {
    throw new ServerMissing(
      "The hef-lsp server is not on PATH: run `pipx install .` in a checkout of hef-lsp, or set hef-lsp.path to where it is.",
    );
  }
  return found;
}

function isProgram(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}
