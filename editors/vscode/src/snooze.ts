import { type QuickPickItem, window } from "vscode";

/** `minutes`: what the server's command `hef-lsp.snooze` is given; nothing stands for until it is restarted. */
interface Choice extends QuickPickItem {
  readonly minutes: readonly number[];
}

const CHOICES: readonly Choice[] = [
  { label: "5 minutes", minutes: [5] },
  { label: "30 minutes", minutes: [30] },
  { label: "Until the server is restarted", minutes: [] },
];
const END: Choice = { label: "End the snooze", minutes: [0] };

/** What the user chooses for how long nothing comes by itself, undefined for no change. `until`: when it ends now. */
export async function chooseSnooze(until: string): Promise<readonly number[] | undefined> {
  const chosen = await window.showQuickPick(until ? [END, ...CHOICES] : CHOICES, {
    title: until ? `Suggestions are snoozed ${until}` : "Snooze suggestions",
    placeHolder: "Until then nothing comes by itself; asking by a key still works",
  });
  return chosen?.minutes;
}
