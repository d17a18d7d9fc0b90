import { type Command, type Disposable, type DocumentSelector, LanguageStatusSeverity, languages } from "vscode";

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
    const detail = [status.reason, status.nextStep, status.model, ...status.notes].filter(Boolean).join(" · ");
    const busy = status.state === "loading" || status.state === "indexing";
    const severity = SEVERITY[status.state] ?? LanguageStatusSeverity.Information;
    this.set(status.message, detail, severity, busy, STEP[status.state]);
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
