import { window } from "vscode";

/** The server's counts since it was started. They stay in its memory and are told to nobody else. */
export interface Rates {
  readonly offered: number;
  readonly accepted: number;
  /** Accepted ones whose text is still there. */
  readonly kept: number;
  /** Held back, as less sure than `hef-lsp.completion.minConfidence`. */
  readonly unsure: number;
}

export function showRates({ offered, accepted, kept, unsure }: Rates): void {
  const taken = `${accepted} accepted${share(accepted, offered)}, ${kept} of these still there${share(kept, accepted)}`;
  const shown = offered === 0 ? "no suggestion was shown yet" : `${offered} suggestions, ${taken}`;
  const sentence = `hef-lsp, since the server was started: ${shown}; ${unsure} were held back as unsure.`;
  void window.showInformationMessage(sentence);
}

function share(part: number, whole: number): string {
  return whole > 0 ? ` (${Math.round((100 * part) / whole)} %)` : "";
}
