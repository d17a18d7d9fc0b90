import * as os from "node:os";
import { ConfigurationTarget, type TextDocument, type Uri, languages, workspace } from "vscode";

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
  if (!isGroup(section)) {
    return section;
  }
  return Object.fromEntries(Object.entries(section).filter(([key]) => !(key in OWN)));
}

/** The server's settings of a folder that differ from their defaults, as `--set` wants them: `model.device=cpu`. */
export function assignments(folder?: Uri): string[] {
  const section = workspace.getConfiguration(SECTION, folder);
  return [...leaves(forServer(section))]
    .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(section.inspect(name)?.defaultValue))
    .map(([name, value]) => `${name}=${String(value)}`); // a list becomes text with commas
}

/** Documents by where they are and their language; without one, all. */
export type Selector = { scheme: string; language?: string }[];

/** Files, unnamed buffers and notebook cells in the languages that the user wants. */
export function documentSelector(): Selector {
  const { languages: ids } = extensionSettings();
  return ["file", "untitled", "vscode-notebook-cell"].flatMap((scheme) =>
    ids.map((language) => (language === "*" ? { scheme } : { scheme, language })),
  );
}

/** Whether suggestions are made in documents like this one, as long as they are on. */
export function isServed(document: TextDocument): boolean {
  return languages.match(documentSelector(), document) > 0;
}

/** Turn suggestions on or off: in this workspace where it says so itself or is asked to, else everywhere. */
export async function toggleSuggestions(where: "everywhere" | "workspace"): Promise<boolean> {
  const section = workspace.getConfiguration(SECTION);
  const on = !section.get("completion.enabled", true);
  const isForWorkspace = where === "workspace" || section.inspect("completion.enabled")?.workspaceValue !== undefined;
  await section.update("completion.enabled", on, target(isForWorkspace));
  return on;
}

/** Show suggestions only when they are asked for, or as they come. Returns whether they wait now. */
export async function toggleSubtle(): Promise<boolean> {
  const section = workspace.getConfiguration(SECTION);
  const subtle = !section.get("completion.subtle", false);
  const isForWorkspace = section.inspect("completion.subtle")?.workspaceValue !== undefined;
  await section.update("completion.subtle", subtle, target(isForWorkspace));
  return subtle;
}

/** Make suggestions in one language more. */
export async function addLanguage(language: string): Promise<void> {
  const section = workspace.getConfiguration(SECTION);
  const isForWorkspace = section.inspect("languages")?.workspaceValue !== undefined;
  await section.update("languages", [...extensionSettings().languages, language], target(isForWorkspace));
}

/** Turn suggestions on or off in one language. Returns whether they are on now. */
export async function toggleLanguage(language: string): Promise<boolean> {
  const section = workspace.getConfiguration(SECTION);
  const off = section.get<string[]>("completion.disabledLanguages", []);
  const wasOff = off.includes(language);
  const wanted = wasOff ? off.filter((id) => id !== language) : [...off, language];
  const isForWorkspace = section.inspect("completion.disabledLanguages")?.workspaceValue !== undefined;
  await section.update("completion.disabledLanguages", wanted, target(isForWorkspace));
  return wasOff;
}

function target(isForWorkspace: boolean): ConfigurationTarget {
  return isForWorkspace ? ConfigurationTarget.Workspace : ConfigurationTarget.Global;
}

function* leaves(group: unknown, prefix = ""): Generator<[string, unknown]> {
  if (!isGroup(group)) {
    return;
  }
  for (const [key, value] of Object.entries(group)) {
    if (isGroup(value)) {
      yield* leaves(value, `${prefix}${key}.`);
    } else if (typeof value !== "function") {
      yield [`${prefix}${key}`, value];
    }
  }
}

function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function expanded(path: string): string {
  const folder = workspace.workspaceFolders?.[0]?.uri.fsPath ?? "";
  return path.trim().replace("${workspaceFolder}", folder).replace(/^~(?=[/\\])/, os.homedir());
}
