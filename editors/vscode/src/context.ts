import { type QuickPickItem, Range, Uri, commands, window, workspace } from "vscode";

/** A place of the repository that a suggestion was made from. Lines count from 1; 0 stands for a whole directory. */
interface Source {
  readonly path: string;
  /** Empty when the document lay in no folder. */
  readonly uri: string;
  readonly firstLine: number;
  readonly lastLine: number;
  readonly level: string;
  readonly score: number;
  /** Names that the suggestion has from here. */
  readonly names: readonly string[];
}

/** What the server command `hef-lsp.context` gives; null before the first suggestion. */
export interface Used {
  readonly mode: string;
  /** The chance that the suggestion is right, null where the model does not say. */
  readonly confidence: number | null;
  readonly promptTokens: number;
  readonly timingsMs: { readonly total?: number };
  readonly context: readonly Source[];
}

interface Choice extends QuickPickItem {
  readonly source: Source;
}

/** Let the user see, and open, what the last suggestion was made from. */
export async function showContext(used: Used | null): Promise<void> {
  if (used === null) {
    void window.showInformationMessage("hef-lsp: there was no suggestion yet.");
    return;
  }
  const ms = used.timingsMs.total?.toFixed(0) ?? "?";
  const sure = used.confidence === null ? "" : `${Math.round(100 * used.confidence)} % sure, `;
  const summary = `${sure}${used.mode}, ${used.promptTokens} prompt tokens, ${ms} ms`;
  if (used.context.length === 0) {
    void window.showInformationMessage(`hef-lsp: the last suggestion was made from this file alone (${summary}).`);
    return;
  }
  const chosen = await window.showQuickPick(used.context.map(choice), {
    title: `Context of the last suggestion (${summary})`,
    placeHolder: "Open a place",
    matchOnDescription: true,
  });
  if (chosen !== undefined) {
    await open(chosen.source);
  }
}

function choice(source: Source): Choice {
  const lines = source.firstLine > 0 ? `:${source.firstLine}-${source.lastLine}` : "";
  return {
    label: `${source.path || "whole repository"}${lines}`,
    description: `${source.level}, score ${source.score.toFixed(3)}`,
    ...(source.names.length > 0 && { detail: `gave ${source.names.join(", ")}` }),
    source,
  };
}

async function open(source: Source): Promise<void> {
  if (source.level === "package") {
    void window.showInformationMessage(`hef-lsp: ${source.path} is of an installed package.`);
    return;
  }
  const uri = Uri.parse(source.uri);
  if (!(await exists(uri))) {
    void window.showWarningMessage(`hef-lsp: ${source.path} is not there any more.`);
  } else if (source.firstLine > 0) {
    const selection = new Range(source.firstLine - 1, 0, source.lastLine, 0);
    await window.showTextDocument(uri, { selection, preview: true });
  } else {
    await commands.executeCommand("revealInExplorer", uri);
  }
}

async function exists(uri: Uri): Promise<boolean> {
  try {
    await workspace.fs.stat(uri);
    return true;
  } catch {
    return false;
  }
}
