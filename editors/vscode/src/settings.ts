import * as os from "node:os";
import { type WorkspaceConfiguration, workspace } from "vscode";

export const SECTION = "hef-lsp";

/** The settings that the extension keeps to itself: the server would name them as unknown. */
export interface ExtensionSettings {
  readonly path: string;
  readonly args: readonly string[];
  readonly languages: readonly string[];
}

const OWN: Record<keyof ExtensionSettings, true> = { path: true, args: true, languages: true };
export const OWN_NAMES = Object.keys(OWN).map((key) => `${SECTION}.${key}`);

export function extensionSettings(): ExtensionSettings {
  const section = workspace.getConfiguration(SECTION);
  return {
    path: expanded(section.get("path", "")),
    args: section.get("args", []),
    languages: section.get("languages", ["python"]),
  };
}

/** What `workspace/configuration` answers for our section: all but the extension's own settings. */
export function forServer(section: unknown): unknown {
  if (typeof section !== "object" || section === null) {
    return section;
  }
  return Object.fromEntries(Object.entries(section).filter(([key]) => !(key in OWN)));
}

/** Turn suggestions on or off where the user has set it, else for all workspaces. Returns whether they are on now. */
export async function toggleSuggestions(): Promise<boolean> {
  const section: WorkspaceConfiguration = workspace.getConfiguration(SECTION);
  const on = !section.get("completion.enabled", true);
  const isForWorkspace = section.inspect("completion.enabled")?.workspaceValue !== undefined;
  await section.update("completion.enabled", on, !isForWorkspace);
  return on;
}

function expanded(path: string): string {
  const folder = workspace.workspaceFolders?.[0]?.uri.fsPath ?? "";
  return path.trim().replace("${workspaceFolder}", folder).replace(/^~(?=[/\\])/, os.homedir());
}
