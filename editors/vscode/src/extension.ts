import { type ExtensionContext, commands, window, workspace } from "vscode";
import { type Used, showContext } from "./context";
import { Server } from "./server";
import { OWN_NAMES, toggleSuggestions } from "./settings";

let server: Server | undefined; // VS Code calls `deactivate` without a context

export function activate(context: ExtensionContext): void {
  const log = window.createOutputChannel("hef-lsp", { log: true });
  const running = new Server(log);
  server = running;
  context.subscriptions.push(
    log,
    running,
    commands.registerCommand("hef-lsp.restart", () => running.restart()),
    commands.registerCommand("hef-lsp.showLogs", () => log.show()),
    commands.registerCommand("hef-lsp.showContext", async () => {
      await showContext(await running.execute<Used | null>("context"));
    }),
    commands.registerCommand("hef-lsp.toggle", async () => {
      const on = await toggleSuggestions();
      window.setStatusBarMessage(`hef-lsp: suggestions are ${on ? "on" : "off"}`, 3000);
    }),
    workspace.onDidOpenTextDocument(() => running.startIfNeeded()),
    workspace.onDidGrantWorkspaceTrust(() => running.restart()),
    workspace.onDidChangeConfiguration((event) => {
      if (OWN_NAMES.some((name) => event.affectsConfiguration(name))) {
        void running.restart();
      }
    }),
  );
  running.startIfNeeded();
}

export async function deactivate(): Promise<void> {
  await server?.shutdown();
}
