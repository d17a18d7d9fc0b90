import * as os from "node:os";
import { type Disposable, type LogOutputChannel, commands, window, workspace } from "vscode";
import {
  CloseAction,
  DidChangeConfigurationNotification,
  ErrorAction,
  type ErrorHandler,
  LanguageClient,
  type Middleware,
  State,
} from "vscode-languageclient/node";
import { ServerMissing, locateServer } from "./locate";
import { NextEdits } from "./nextEdit";
import { PythonEnvironment } from "./python";
import { SECTION, type Selector, documentSelector, extensionSettings, forServer, isServed } from "./settings";
import { type Status, StatusItem } from "./status";

const MAX_RESTARTS = 4;
const RESTARTS_MS = 3 * 60_000;

/** The one server of this window. Starts, stops and restarts go one after the other. */
export class Server implements Disposable {
  readonly nextEdits = new NextEdits();
  private readonly status = new StatusItem();
  private readonly python: PythonEnvironment;
  private client: LanguageClient | undefined;
  private program: string | undefined; // that runs, or ran last
  private isWanted = false;
  private last: Promise<void> = Promise.resolve();
  private isRestartQueued = false;

  constructor(private readonly log: LogOutputChannel) {
    this.python = new PythonEnvironment(log, () => void this.followEnvironment());
  }

  /** Start once a document is open that suggestions are made in. What failed is not tried again unasked. */
  startIfNeeded(): void {
    if (!this.isWanted && workspace.textDocuments.some(isServed)) {
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
  async execute<Result>(name: string, ...given: unknown[]): Promise<Result> {
    return await commands.executeCommand<Result>(`${SECTION}.${name}`, ...given);
  }

  /** Show what the status is where the user is now: a document may have reasons of its own. */
  async refresh(): Promise<void> {
    this.status.follow();
    const { client } = this;
    if (client?.state === State.Running) {
      const uri = window.activeTextEditor?.document.uri.toString();
      const status = await this.execute<Status>("status", ...(uri === undefined ? [] : [uri]));
      if (client === this.client) {
        this.status.show(status);
      }
    }
  }

  /** The program that a start would run now. Throws ServerMissing. */
  async locate(): Promise<string> {
    const { path } = extensionSettings();
    const folders = workspace.workspaceFolders ?? [];
    return locateServer({
      configured: path,
      // An environment of a workspace that is not trusted must not even be asked for.
      interpreter: path || !workspace.isTrusted ? undefined : await this.python.interpreter(),
      environment: process.env,
      home: os.homedir(),
      platform: process.platform,
      untrusted: workspace.isTrusted ? [] : folders.map((folder) => folder.uri.fsPath),
    });
  }

  /** Tell the user all about the status. */
  explain(): Promise<void> {
    return this.status.explain();
  }

  /** Ends the server, and waits for it. */
  shutdown(): Promise<void> {
    return this.enqueue(() => this.stop());
  }

  dispose(): void {
    this.python.dispose();
    this.nextEdits.dispose();
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
    this.program = undefined;
    this.program = await this.locate();
    const client = this.create(this.program, selector);
    this.client = client;
    client.onNotification("hef-lsp/status", (status: Status) => {
      this.status.show(status);
      void this.refresh();
    });
    client.onDidChangeState(({ newState }) => this.follow(client, newState, selector));
    await client.start();
  }

  /** The client restarts a server that has crashed, a few times. */
  private follow(client: LanguageClient, state: State, selector: Selector): void {
    if (client !== this.client) {
      return;
    }
    if (state === State.Running) {
      this.nextEdits.attach(client, selector);
    } else {
      this.nextEdits.detach();
    }
    void commands.executeCommand("setContext", "hef-lsp.running", state === State.Running);
    if (state === State.Starting) {
      this.status.starting();
    } else if (state === State.Stopped) {
      this.status.failed("It has stopped; the command `hef-lsp: Restart Server` starts it again.");
    }
  }

  /** Another Python environment was chosen: it matters when it has a server of its own, or had the one that runs. */
  private async followEnvironment(): Promise<void> {
    const program = await this.locate().catch(() => undefined);
    if (this.isWanted && program !== undefined && program !== this.program) {
      await this.restart();
    }
  }

  private create(command: string, selector: Selector): LanguageClient {
    this.log.info(`Starting ${command}`);
    return new LanguageClient(
      SECTION,
      "hef-lsp",
      { command, args: [...extensionSettings().args] },
      {
        documentSelector: selector,
        outputChannel: this.log,
        errorHandler: crashes(),
        middleware: this.middleware(),
      },
    );
  }

  /** The server asks for its settings, and is told only that they have changed. */
  private middleware(): Middleware {
    return {
      provideInlineCompletionItems: (document, position, context, token, next) =>
        this.nextEdits.beside(document, position, Promise.resolve(next(document, position, context, token))),
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
    this.nextEdits.detach();
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

/** A server that ended is started again without a word, unless it keeps ending. */
function crashes(): ErrorHandler {
  let ended: number[] = [];
  return {
    error: (_error, _message, count) => ({
      action: (count ?? 0) <= 3 ? ErrorAction.Continue : ErrorAction.Shutdown,
      handled: true,
    }),
    closed: () => {
      ended = [...ended.filter((time) => Date.now() - time < RESTARTS_MS), Date.now()];
      const message = `The hef-lsp server ended ${ended.length} times in ${RESTARTS_MS / 60_000} minutes and stays off.`;
      return ended.length > MAX_RESTARTS
        ? { action: CloseAction.DoNotRestart, message }
        : { action: CloseAction.Restart, handled: true };
    },
  };
}
