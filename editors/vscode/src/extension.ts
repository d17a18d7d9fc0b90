import { type ExtensionContext, commands, window, workspace } from "vscode";
import { type Used, showContext } from "./context";
import { Doctor } from "./doctor";
import { type Counts, Tally, told } from "./rates";
import { Server } from "./server";
import { OWN_NAMES, SECTION, toggleLanguage, toggleSuggestions } from "./settings";
import { Suggestions } from "./suggestions";

const COUNTS = "counts"; // their place in this workspace's state; they never leave the machine
const BRIEFLY_MS = 3000;

let server: Server | undefined; // VS Code calls `deactivate` without a context

export function activate(context: ExtensionContext): void {
  const log = window.createOutputChannel("hef-lsp", { log: true });
  const store = context.workspaceState;
  const tally = new Tally(store.get<Counts>(COUNTS), (counts) => void store.update(COUNTS, counts));
  const suggestions = new Suggestions(tally);
  const doctor = new Doctor();
  const running = new Server(log, suggestions);
  server = running;
  const on = (name: string, call: () => unknown) => commands.registerCommand(`${SECTION}.${name}`, call);
  context.subscriptions.push(
    log,
    suggestions,
    doctor,
    running,
    on("restart", () => running.restart()),
    on("showLogs", () => log.show()),
    on("showContext", async () => showContext(await running.execute<Used | null>("context"))),
    on("doctor", async () => doctor.examine(await running.locate())),
    on("showRates", () => showRates(tally)),
    on("toggle", () => toggle("everywhere")),
    on("toggleWorkspace", () => toggle("workspace")),
    on("toggleLanguage", () => toggleHere()),
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

async function showRates(tally: Tally): Promise<void> {
  const sentence = `hef-lsp: ${told(tally.counts)} Counted in this workspace, on this machine only.`;
  if ((await window.showInformationMessage(sentence, "Reset")) === "Reset") {
    tally.reset();
  }
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
