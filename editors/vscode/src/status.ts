import { type Command, type Disposable, type DocumentSelector, LanguageStatusSeverity, languages } from "vscode";

/** What the notification `hef-lsp/status` carries. `reason` and `nextStep` are empty when nothing is wrong. */
export interface Status {
  readonly state: "loading" | "indexing" | "ready" | "paused" | "disabled" | "error";
  readonly message: string;
  readonly reason: string;
  readonly nextStep: string;
  readonly model: string;
  readonly notes: readonly string[];
  /** About the document that was asked about. */
  readonly document?: { readonly suggests: boolean; readonly reason: string; readonly nextStep: string };
}

const SEVERITY: Partial<Record<Status["state"], LanguageStatusSeverity>> = {
  error: LanguageStatusSeverity.Error,
  paused: LanguageStatusSeverity.Warning,
  disabled: LanguageStatusSeverity.Warning,
};

const LOGS: Command = { command: "hef-lsp.showLogs", title: "Logs" };
const RESTART: Command = { command: "hef-lsp.restart", title: "Restart" };

/** The next step, or what a user who looks at the status most likely wants to know. */
const STEP: Record<Status["state"], Command> = {
  loading: LOGS,
  indexing: { command: "hef-lsp.pause", title: "Pause" },
  ready: { command: "hef-lsp.showContext", title: "Last Suggestion's Context" },
  paused: { command: "hef-lsp.resume", title: "Resume" },
  disabled: { command: "hef-lsp.toggle", title: "Turn On" },
  error: { command: "hef-lsp.doctor", title: "Doctor" },
};

/** The item beside the language's name in the status bar. */
export class StatusItem implements Disposable {
  private readonly item = languages.createLanguageStatusItem("hef-lsp.status", []);

  constructor() {
    this.item.name = "hef-lsp";
  }

  /** Shown in the documents that are selected. */
  select(selector: DocumentSelector): void {
    this.item.selector = selector;
  }

  starting(): void {
    this.set("Starting.", "", LanguageStatusSeverity.Information, true, LOGS);
  }

  failed(sentence: string): void {
    this.set("No server.", sentence, LanguageStatusSeverity.Error, false, RESTART);
  }

  show(status: Status): void {
    const { state, document } = status;
    if (document?.suggests === false && state !== "error" && state !== "disabled") {
      const detail = joined(document.reason, document.nextStep);
      this.set("No suggestions in this file.", detail, LanguageStatusSeverity.Warning, false, LOGS);
      return;
    }
    const detail = joined(status.reason, status.nextStep, status.model, ...status.notes);
    const busy = state === "loading" || state === "indexing";
    this.set(status.message, detail, SEVERITY[state] ?? LanguageStatusSeverity.Information, busy, STEP[state]);
  }

  dispose(): void {
    this.item.dispose();
  }

  private set(text: string, detail: string, severity: LanguageStatusSeverity, busy: boolean, step: Command): void {
    this.item.text = `hef-lsp: ${text}`;
    this.item.detail = detail;
    this.item.severity = severity;
    this.item.busy = busy;
    this.item.command = step;
  }
}

function joined(...parts: string[]): string {
  return parts.filter(Boolean).join(" · ");
}
