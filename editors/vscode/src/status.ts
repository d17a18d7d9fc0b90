import {
  type Command,
  type Disposable,
  type DocumentSelector,
  LanguageStatusSeverity,
  MarkdownString,
  StatusBarAlignment,
  ThemeColor,
  commands,
  languages,
  window,
} from "vscode";
import { isServed } from "./settings";
import { type DocumentStatus, ofThisDocument, withReason } from "./silence";

/** What the notification `hef-lsp/status` carries. `reason` and `nextStep` are empty when nothing is wrong. */
export interface Status {
  readonly state: "loading" | "indexing" | "ready" | "paused" | "disabled" | "error";
  readonly message: string;
  readonly reason: string;
  readonly nextStep: string;
  readonly model: string;
  readonly notes: readonly string[];
  /** Until when nothing comes by itself; empty where it does. */
  readonly snoozed?: string;
  /** About the document that was asked about, in a notification by the newest request. */
  readonly document?: DocumentStatus;
}

const SEVERITY: Partial<Record<Status["state"], LanguageStatusSeverity>> = {
  error: LanguageStatusSeverity.Error,
  paused: LanguageStatusSeverity.Warning,
  disabled: LanguageStatusSeverity.Warning,
};

const DETAILS: Command = { command: "hef-lsp.showStatus", title: "Details" };
const LOGS: Command = { command: "hef-lsp.showLogs", title: "Show Logs" };
const DOCTOR: Command = { command: "hef-lsp.doctor", title: "Run Doctor" };
const SNOOZE: Command = { command: "hef-lsp.snoozeSuggestions", title: "Snooze" };
const RESTART: Command = { command: "hef-lsp.restart", title: "Restart" };

/** The next step in a state. */
const STEP: Record<Status["state"], Command | undefined> = {
  loading: undefined,
  indexing: { command: "hef-lsp.pause", title: "Pause" },
  ready: { command: "hef-lsp.showContext", title: "Last Suggestion's Context" },
  paused: { command: "hef-lsp.resume", title: "Resume" },
  disabled: { command: "hef-lsp.toggle", title: "Turn On" },
  error: DOCTOR,
};
const ICONS: Record<Status["state"], string> = {
  loading: "$(loading~spin)",
  indexing: "$(sync~spin)",
  ready: "$(sparkle)",
  paused: "$(debug-pause)",
  disabled: "$(circle-slash)",
  error: "$(error)",
};
const QUIET = "$(bell-slash)";
const BRIEF = 60; // characters; what is longer is cut off in the item

/**
 * The item in the status bar, where suggestions are made; the one beside the language's name, a line long; and all there
 * is to say, on request.
 */
export class StatusItem implements Disposable {
  private readonly item = languages.createLanguageStatusItem("hef-lsp.status", []);
  private readonly bar = window.createStatusBarItem("hef-lsp.status", StatusBarAlignment.Right, 100);
  private sentences: readonly string[] = ["Not started: no file is open that suggestions are made in."];
  private step: Command | undefined;

  constructor() {
    this.item.name = this.item.text = this.bar.name = "hef-lsp";
    this.bar.command = DETAILS.command;
  }

  /** Shown in the documents that are selected. */
  select(selector: DocumentSelector): void {
    this.item.selector = selector;
    this.follow();
  }

  /** The user looks at another document. */
  follow(): void {
    const document = window.activeTextEditor?.document;
    if (document !== undefined && isServed(document)) {
      this.bar.show();
    } else {
      this.bar.hide();
    }
  }

  starting(): void {
    this.set(["Starting."], undefined, LanguageStatusSeverity.Information, ICONS.loading);
    this.item.busy = true;
  }

  failed(sentence: string): void {
    this.set(["No server.", sentence], RESTART, LanguageStatusSeverity.Error, ICONS.error);
  }

  show(status: Status): void {
    const { state, message, reason, nextStep, model, notes } = status;
    const isWorse = state === "error" || state === "disabled";
    const document = isWorse ? undefined : ofThisDocument(status.document);
    if (document?.suggests === false) {
      const brief = document.reason.length <= BRIEF ? [] : ["No suggestions in this file."];
      const sentences = [...brief, document.reason, document.nextStep];
      this.set(sentences, undefined, LanguageStatusSeverity.Warning, ICONS.disabled);
    } else {
      const about = model && `Model: ${model}.`;
      const severity = SEVERITY[state] ?? LanguageStatusSeverity.Information;
      const quiet = status.snoozed && !isWorse ? `Suggestions are snoozed ${status.snoozed}.` : "";
      const sentences = [message, reason, nextStep, about, ...notes];
      if (quiet) {
        this.set([quiet, ...sentences], SNOOZE, LanguageStatusSeverity.Warning, QUIET);
      } else {
        this.set(withReason(sentences, document, state === "ready"), STEP[state], severity, ICONS[state]);
      }
      this.item.busy = state === "loading" || state === "indexing";
    }
  }

  /** Say all there is to say, with what can be done about it. */
  async explain(): Promise<void> {
    const steps = [...new Set([this.step, DOCTOR, LOGS])].filter((step) => step !== undefined);
    const said = this.sentences.map((sentence) => (/[.!?]$/.test(sentence) ? sentence : `${sentence}.`)).join(" ");
    const pressed = await window.showInformationMessage(`hef-lsp: ${said}`, ...steps.map(({ title }) => title));
    const step = steps.find(({ title }) => title === pressed);
    if (step !== undefined) {
      await commands.executeCommand(step.command);
    }
  }

  dispose(): void {
    this.item.dispose();
    this.bar.dispose();
  }

  private set(
    sentences: readonly string[],
    step: Command | undefined,
    severity: LanguageStatusSeverity,
    icon: string,
  ): void {
    this.sentences = sentences.filter(Boolean);
    this.bar.text = `${icon} hef-lsp`;
    this.bar.tooltip = new MarkdownString().appendText(this.sentences.join("\n"));
    this.bar.accessibilityInformation = { label: `hef-lsp: ${this.sentences.join(" ")}` };
    this.bar.backgroundColor =
      severity === LanguageStatusSeverity.Error ? new ThemeColor("statusBarItem.errorBackground") : undefined;
    this.step = step;
    this.item.detail = this.sentences[0] ?? "";
    this.item.severity = severity;
    this.item.busy = false;
    // What only has to be pressed once can be pressed here.
    this.item.command = severity === LanguageStatusSeverity.Warning && step !== undefined ? step : DETAILS;
  }
}
