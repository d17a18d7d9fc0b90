import { type Disposable, type LogOutputChannel, commands, languages, window, workspace } from "vscode";
import {
  type DocumentSelector,
  DidChangeConfigurationNotification,
  LanguageClient,
  type Middleware,
  State,
} from "vscode-languageclient/node";
import { ServerMissing, locateServer } from "./locate";
import { SECTION, extensionSettings, forServer } from "./settings";
import { type Status, StatusItem } from "./status";

/** The one server of this window. Starts, stops and restarts go one after the other. */
export class Server implements Disposable {
  private readonly status = new StatusItem();
  private client: LanguageClient | undefined;
  private isWanted = false;
  private last: Promise<void> = Promise.resolve();
  private isRestartQueued = false;

  constructor(private readonly log: LogOutputChannel) {}

  /** Start once a document is open that suggestions are made in. What failed is not tried again unasked. */
  startIfNeeded(): void {
    const selector = documentSelector();
    if (!this.isWanted && workspace.textDocuments.some((document) => languages.match(selector, document) > 0)) {
      void this.restart();
    }
  }

  /** Restart; those who ask while one is waiting share it. */
  restart(): Promise<void> {
    this.isWanted = true;
    if (!this.isRestartQueued) {
      this.isRestartQueued = true;
      void this.enqueue(async () => {
        this.isRestartQueued = false;
        await this.stop();
        await this.start();
      });
    }
    return this.last;
  }

  /** The result of a command that the server offers. Rejects when it does not run. */
  async execute<Result>(name: string): Promise<Result> {
    return await commands.executeCommand<Result>(`${SECTION}.${name}`);
  }

  /** Ends the server, and waits for it. */
  shutdown(): Promise<void> {
    return this.enqueue(() => this.stop());
  }

  dispose(): void {
    this.status.dispose();
  }

  private enqueue(work: () => Promise<void>): Promise<void> {
    this.last = this.last.then(work).catch((error: unknown) => this.tell(error));
    return this.last;
  }

  private async start(): Promise<void> {
    const selector = documentSelector();
    this.status.select(selector);
    this.status.starting();
    const client = this.create(selector);
    this.client = client;
    client.onNotification("hef-lsp/status", (status: Status) => this.status.show(status));
    client.onDidChangeState(({ newState }) => this.follow(client, newState));
    await client.start();
  }

  /** The client restarts a server that has crashed, a few times. */
  private follow(client: LanguageClient, state: State): void {
    if (client !== this.client) {
      return;
    }
    void commands.executeCommand("setContext", "hef-lsp.running", state === State.Running);
    if (state === State.Starting) {
      this.status.starting();
    } else if (state === State.Stopped) {
      this.status.failed("It has stopped; the command `hef-lsp: Restart Server` starts it again.");
    }
  }

  private create(selector: DocumentSelector): LanguageClient {
    const { path, args } = extensionSettings();
    const command = locateServer(path);
    this.log.info(`Starting ${command}`);
    return new LanguageClient(
      SECTION,
      "hef-lsp",
      { command, args: [...args] },
      { documentSelector: selector, outputChannel: this.log, middleware: this.middleware() },
    );
  }

  /** The server asks for its settings, and is told only that they have changed. */
  private middleware(): Middleware {
    return {
      workspace: {
        configuration: async (params, token, next) => {
          const answers = await next(params, token);
          return Array.isArray(answers) ? answers.map(forServer) : answers;
        },
        didChangeConfiguration: async () => {
          await this.client?.sendNotification(DidChangeConfigurationNotification.type, { settings: null });
        },
      },
    };
  }

  private async stop(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    await commands.executeCommand("setContext", "hef-lsp.running", false);
    await client?.dispose();
  }

  private tell(error: unknown): void {
    const sentence = error instanceof Error ? error.message : String(error);
    this.log.error(sentence);
    this.status.failed(sentence);
    const button = error instanceof ServerMissing ? "Open Settings" : "Show Logs";
    void window.showErrorMessage(sentence, button).then((pressed) => {
      if (pressed === "Open Settings") {
        void commands.executeCommand("workbench.action.openSettings", "hef-lsp.path");
      } else if (pressed === "Show Logs") {
        this.log.show();
      }
    });
  }
}

function documentSelector(): { scheme: string; language?: string }[] {
  const { languages: ids } = extensionSettings();
  return ["file", "untitled"].flatMap((scheme) =>
    ids.map((language) => (language === "*" ? { scheme } : { scheme, language })),
  );
}
