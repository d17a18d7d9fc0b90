import { type ExtensionContext, commands, window, workspace } from "vscode";
import { type Used, showContext } from "./context";
import { Doctor } from "./doctor";
import { type Rates, showRates } from "./rates";
import { Server } from "./server";
import {
  OWN_NAMES,
  SECTION,
  addLanguage,
  isServed,
  toggleLanguage,
  toggleSubtle,
  toggleSuggestions,
} from "./settings";
import { chooseSnooze } from "./snooze";
import type { Status } from "./status";

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
    on("toggleSubtle", async () =>
      say((await toggleSubtle()) ? "suggestions wait until you ask for them" : "suggestions come by themselves"),
    ),
    on("snoozeSuggestions", () => snooze(running)),
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
  const isOn = await toggleSuggestions(where);
  const document = window.activeTextEditor?.document;
  const isElsewhere = isOn && document !== undefined && !isServed(document);
  const except = isElsewhere ? `, but not in ${document.languageId} (hef-lsp.languages)` : "";
  say(isOn ? `suggestions are on${except}` : "suggestions are off");
}

async function toggleHere(): Promise<void> {
  const document = window.activeTextEditor?.document;
  if (document === undefined) {
    void window.showInformationMessage("hef-lsp: open a file of the language first.");
  } else if (!isServed(document)) {
    await offerLanguage(document.languageId);
  } else {
    const { languageId } = document;
    say(`suggestions are ${(await toggleLanguage(languageId)) ? "on" : "off"} in ${languageId}`);
  }
}

/** There is nothing to turn on or off in a language that the server is not asked about. */
async function offerLanguage(language: string): Promise<void> {
  const sentence = `hef-lsp: no suggestions are made in ${language}, which hef-lsp.languages does not name.`;
  if ((await window.showInformationMessage(sentence, "Add It")) === "Add It") {
    await addLanguage(language);
  }
}

async function snooze(running: Server): Promise<void> {
  const { snoozed } = await running.execute<Status>("status");
  const minutes = await chooseSnooze(snoozed ?? "");
  if (minutes !== undefined) {
    await running.execute("snooze", ...minutes);
  }
}

function say(news: string): void {
  window.setStatusBarMessage(`hef-lsp: ${news}`, BRIEFLY_MS);
}
