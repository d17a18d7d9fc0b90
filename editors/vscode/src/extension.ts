import { type ExtensionContext, commands, window, workspace } from "vscode";
import { type Used, showContext } from "./context";
import { Doctor } from "./doctor";
import { type Rates, showRates } from "./rates";
import { Server } from "./server";
import { OWN_NAMES, SECTION, toggleLanguage, toggleSuggestions } from "./settings";

const BRIEFLY_MS = 3000;
const SETTLED_MS = 500; // the server takes over new settings meanwhile

let server: Server | undefined; // VS Code calls `deactivate` without a context

export function activate(context: ExtensionContext): void {
  const log = window.createOutputChannel("hef-lsp", { log: true });
  const doctor = new Doctor();
  const running = new Server(log);
  server = running;
  const on = (name: string, call: () => unknown) => commands.registerCommand(`${SECTION}.${name}`, call);
  context.subscriptions.push(
    log,
    doctor,
    running,
    on("restart", () => running.restart()),
    on("showStatus", () => running.explain()),
    on("showLogs", () => log.show()),
    on("showContext", async () => showContext(await running.execute<Used | null>("context"))),
    on("doctor", async () => doctor.examine(await running.locate())),
    on("showRates", async () => showRates((await running.execute<{ suggestions: Rates }>("status")).suggestions)),
    on("acceptNextEdit", () => running.nextEdits.accept()),
    on("dismissNextEdit", () => running.nextEdits.dismiss()),
    on("toggle", () => toggle("everywhere")),
    on("toggleWorkspace", () => toggle("workspace")),
    on("toggleLanguage", () => toggleHere()),
    workspace.onDidOpenTextDocument(() => running.startIfNeeded()),
    window.onDidChangeActiveTextEditor(() => running.refresh()),
    workspace.onDidGrantWorkspaceTrust(() => running.restart()),
    workspace.onDidChangeConfiguration((event) => {
      if (OWN_NAMES.some((name) => event.affectsConfiguration(name))) {
        void running.restart();
      } else if (event.affectsConfiguration(SECTION)) {
        setTimeout(() => void running.refresh(), SETTLED_MS);
      }
    }),
  );
  running.startIfNeeded();
}

export async function deactivate(): Promise<void> {
  await server?.shutdown();
}

async function toggle(where: "everywhere" | "workspace"): Promise<void> {
  say((await toggleSuggestions(where)) ? "suggestions are on" : "suggestions are off");
}

async function toggleHere(): Promise<void> {
  const language = window.activeTextEditor?.document.languageId;
  if (language === undefined) {
    void window.showInformationMessage("hef-lsp: open a file of the language first.");
  } else {
    say((await toggleLanguage(language)) ? `suggestions are on in ${language}` : `suggestions are off in ${language}`);
  }
}

function say(news: string): void {
  window.setStatusBarMessage(`hef-lsp: ${news}`, BRIEFLY_MS);
}
