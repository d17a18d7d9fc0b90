import { execFile } from "node:child_process";
import {
  type CancellationToken,
  type Disposable,
  EventEmitter,
  ProgressLocation,
  type TextDocumentContentProvider,
  Uri,
  window,
  workspace,
} from "vscode";
import { assignments } from "./settings";

const SCHEME = "hef-lsp-doctor";
const REPORT = Uri.from({ scheme: SCHEME, path: "hef-lsp doctor" });
const LONGEST_MS = 120_000; // it loads the model and opens the index

/** Runs `--doctor` with the user's settings and shows its report in a read-only tab. */
export class Doctor implements TextDocumentContentProvider, Disposable {
  private readonly changes = new EventEmitter<Uri>();
  readonly onDidChange = this.changes.event;
  private readonly registration = workspace.registerTextDocumentContentProvider(SCHEME, this);
  private report = "";

  /** Throws when the program cannot be run at all. */
  async examine(program: string): Promise<void> {
    this.report = await window.withProgress(
      { location: ProgressLocation.Notification, title: "hef-lsp: the doctor is looking", cancellable: true },
      (_, token) => run(program, token),
    );
    this.changes.fire(REPORT);
    await window.showTextDocument(await workspace.openTextDocument(REPORT), { preview: false });
  }

  provideTextDocumentContent(): string {
    return this.report;
  }

  dispose(): void {
    this.registration.dispose();
    this.changes.dispose();
  }
}

/** What the doctor prints; it exits with 1 when something needs the user, and the report says what. */
function run(program: string, token: CancellationToken): Promise<string> {
  const settings = assignments().flatMap((assignment) => ["--set", assignment]);
  const cwd = workspace.workspaceFolders?.[0]?.uri.fsPath;
  return new Promise((resolve, reject) => {
    const options = { timeout: LONGEST_MS, ...(cwd !== undefined && { cwd }) };
    const child = execFile(program, ["--doctor", ...settings], options, (error, stdout, stderr) => {
      if (stdout || typeof error?.code === "number") {
        resolve(stdout || stderr);
      } else if (error) {
        reject(token.isCancellationRequested ? new Error("The doctor was sent away.") : error);
      } else {
        resolve("The doctor had nothing to say.");
      }
    });
    token.onCancellationRequested(() => child.kill());
  });
}
