import { window } from "vscode";

/** The server's counts since it was started. They stay in its memory and are told to nobody else. */
export interface Rates {
  readonly offered: number;
  readonly accepted: number;
  /** Accepted ones whose text is still there. */
  readonly kept: number;
}

export function showRates({ offered, accepted, kept }: Rates): void {
  const taken = `${accepted} accepted${share(accepted, offered)}, ${kept} of these still there${share(kept, accepted)}`;
  const sentence = offered === 0 ? "No suggestion was made yet." : `${offered} suggestions, ${taken}.`;
  void window.showInformationMessage(`hef-lsp, since the server was started: ${sentence}`);
}

function share(part: number, whole: number): string {
  return whole > 0 ? ` (${Math.round((100 * part) / whole)} %)` : "";
}
