import { type Disposable, type DocumentSelector, LanguageStatusSeverity, languages } from "vscode";

/** What the notification `hef-lsp/status` carries. `reason` and `nextStep` are empty when nothing is wrong. */
export interface Status {
  readonly state: "loading" | "indexing" | "ready" | "paused" | "disabled" | "error";
  readonly message: string;
  readonly reason: string;
  readonly nextStep: string;
  readonly model: string;
  readonly notes: readonly string[];
}

const SEVERITY: Partial<Record<Status["state"], LanguageStatusSeverity>> = {
  error: LanguageStatusSeverity.Error,
  paused: LanguageStatusSeverity.Warning,
  disabled: LanguageStatusSeverity.Warning,
};

/** The item beside the language's name in the status bar. */
export class StatusItem implements Disposable {
  private readonly item = languages.createLanguageStatusItem("hef-lsp.status", []);

  constructor() {
    this.item.name = "hef-lsp";
    this.item.command = { command: "hef-lsp.showLogs", title: "Show Logs" };
  }

  /** Shown in the documents that are selected. */
  select(selector: DocumentSelector): void {
    this.item.selector = selector;
  }

  starting(): void {
    this.set("Starting.", "", LanguageStatusSeverity.Information, true);
  }

  failed(sentence: string): void {
    this.set("No server.", sentence, LanguageStatusSeverity.Error, false);
  }

  show(status: Status): void {
    const detail = [status.reason, status.nextStep, status.model, ...status.notes].filter(Boolean).join(" · ");
    const busy = status.state === "loading" || status.state === "indexing";
    this.set(status.message, detail, SEVERITY[status.state] ?? LanguageStatusSeverity.Information, busy);
  }

  dispose(): void {
    this.item.dispose();
  }

  private set(text: string, detail: string, severity: LanguageStatusSeverity, busy: boolean): void {
    this.item.text = `hef-lsp: ${text}`;
    this.item.detail = detail;
    this.item.severity = severity;
    this.item.busy = busy;
  }
}
