import { window } from "vscode";

/** What a status says of a document. `reason` is empty where something is suggested. */
export interface DocumentStatus {
  readonly uri: string;
  /** Whether anything may be suggested in it, wherever the cursor is. */
  readonly suggests: boolean;
  readonly code: string;
  readonly reason: string;
  readonly nextStep: string;
}

/** Of the document that the user is in: another one's reasons say nothing here. */
export function ofThisDocument(document: DocumentStatus | undefined): DocumentStatus | undefined {
  return document?.uri === window.activeTextEditor?.document.uri.toString() ? document : undefined;
}

/** Of these no setting would make a difference, and the next key may. */
const PASSING = ["nothing", "superseded", "loading"];

/** What there is to say with why the newest request brought nothing: first, where that is worth to be seen unasked. */
export function withReason(sentences: readonly string[], document: DocumentStatus | undefined, isReady: boolean): string[] {
  if (document === undefined) {
    return [...sentences];
  }
  const why = [document.reason, document.nextStep];
  return isReady && !PASSING.includes(document.code) ? [...why, ...sentences] : [...sentences, ...why];
}
