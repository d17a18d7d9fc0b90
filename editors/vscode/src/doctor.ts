import { execFile } from "node:child_process";
import {
  type CancellationToken,
  type Disposable,
  EventEmitter,
  ProgressLocation,
  type TextDocumentContentProvider,
  Uri,
  type WorkspaceFolder,
  window,
  workspace,
} from "vscode";
import { assignments, extensionSettings } from "./settings";

const SCHEME = "hef-lsp-doctor";
const REPORT = Uri.from({ scheme: SCHEME, path: "hef-lsp doctor" });
const LONGEST_MS = 120_000; // it loads the model and opens the index

/** Runs `--doctor` with the user's settings and shows its report in a read-only tab. */
export class Doctor implements TextDocumentContentProvider, Disposable {
  private readonly changes = new EventEmitter<Uri>();
  readonly onDidChange = this.changes.event;
  private readonly registration = workspace.registerTextDocumentContentProvider(SCHEME, this);
  private report = "";

  /** Looks at every folder of the workspace. Throws when the program cannot be run at all. */
  async examine(program: string): Promise<void> {
    const folders = workspace.workspaceFolders ?? [undefined];
    this.report = await window.withProgress(
      { location: ProgressLocation.Notification, title: "hef-lsp: the doctor is looking", cancellable: true },
      async (progress, token) => {
        const reports: string[] = [];
        for (const folder of folders) {
          progress.report({ message: folder?.name ?? "", increment: 100 / folders.length });
          const report = await run(program, folder, token);
          reports.push(folders.length > 1 ? `${folder?.uri.fsPath}\n\n${report.trimEnd()}\n` : report);
        }
        return reports.join("\n");
      },
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
function run(program: string, folder: WorkspaceFolder | undefined, token: CancellationToken): Promise<string> {
  const { args } = extensionSettings();
  const settings = assignments(folder?.uri).flatMap((assignment) => ["--set", assignment]);
  const where = folder === undefined ? [] : [folder.uri.fsPath];
  const wanted = [...args.filter((argument) => argument !== "--stdio"), "--doctor", ...where, ...settings];
  return new Promise((resolve, reject) => {
    const options = { timeout: LONGEST_MS, ...(folder && { cwd: folder.uri.fsPath }) };
    const child = execFile(program, wanted, options, (error, stdout, stderr) => {
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
