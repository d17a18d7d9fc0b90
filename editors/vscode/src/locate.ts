import * as fs from "node:fs";
import * as path from "node:path";

/** The user must do something; the message says what, in one sentence. */
export class ServerMissing extends Error {}

/** All that decides which program is the server. */
export interface Surroundings {
  /** The setting `hef-lsp.path`, expanded. */
  readonly configured: string;
  /** The Python program of the environment that is chosen in the editor. */
  readonly interpreter: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly platform: NodeJS.Platform;
  /** Folders whose programs must not be run: those of a workspace that the user does not trust. */
  readonly untrusted: readonly string[];
}

/**
 * The server's program: what the user has set, else the one of the chosen Python environment, of PATH, of the tools
 * that uv and pipx have installed. Throws ServerMissing.
 */
export function locateServer(around: Surroundings): string {
  const { configured } = around;
  if (configured) {
    if (isWithin(configured, around.untrusted)) {
      throw new ServerMissing("hef-lsp.path names a program of this workspace: trust the workspace to have it run.");
    }
    if (!isProgram(configured)) {
      throw new ServerMissing(`hef-lsp.path names ${configured}, which cannot be run: correct or empty that setting.`);
    }
    return configured;
  }
  const found = [...candidates(around)].find((file) => isProgram(file) && !isWithin(file, around.untrusted));
  if (found === undefined) {
    throw new ServerMissing(
      "There is no hef-lsp server: run `pipx install .` (or `uv tool install .`) in a checkout of hef-lsp, " +
        "or set hef-lsp.path to the program.",
    );
  }
  return found;
}

function* candidates(around: Surroundings): Generator<string> {
  const { interpreter, environment } = around;
  const name = around.platform === "win32" ? "hef-lsp.exe" : "hef-lsp";
  if (interpreter !== undefined) {
    const folder = path.dirname(interpreter);
    yield path.join(folder, name);
    yield path.join(folder, "Scripts", name); // conda on Windows
  }
  // A relative entry of PATH would be searched in the workspace.
  for (const folder of (environment.PATH ?? "").split(path.delimiter).filter((folder) => path.isAbsolute(folder))) {
    yield path.join(folder, name);
  }
  // An editor that was not started from a shell often lacks the folder of these tools on its PATH.
  for (const folder of [environment.UV_TOOL_BIN_DIR, environment.PIPX_BIN_DIR, environment.XDG_BIN_HOME]) {
    if (folder) {
      yield path.join(folder, name);
    }
  }
  yield path.join(around.home, ".local", "bin", name);
}

/** Whether a file lies in one of the folders, by its name or by what its links lead to. */
function isWithin(file: string, folders: readonly string[]): boolean {
  const names = [path.resolve(file), real(file)];
  return folders.some((folder) =>
    [path.resolve(folder), real(folder)].some((root) => names.some((name) => name.startsWith(root + path.sep))),
  );
}

function real(file: string): string {
  try {
    return fs.realpathSync(file);
  } catch {
    return path.resolve(file); // it is not there
  }
}

function isProgram(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}
