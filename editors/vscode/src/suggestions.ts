import {
  type Disposable,
  EndOfLine,
  type InlineCompletionItem,
  type InlineCompletionList,
  type TextDocument,
  type TextDocumentChangeEvent,
  workspace,
} from "vscode";
import { type Tally, shifted } from "./rates";

const KEPT_MS = 60_000;

/** The last offer, in the form in which VS Code got it. */
interface Offer {
  readonly document: TextDocument;
  readonly number: number;
  readonly start: number;
  readonly text: string;
}

/** Accepted text that will be looked at again. `start` follows the edits before it. */
interface Accepted {
  readonly document: TextDocument;
  readonly text: string;
  readonly timer: NodeJS.Timeout;
  start: number;
}

/** Follows suggestions from their offer to a minute after they were accepted. */
export class Suggestions implements Disposable {
  private offer: Offer | undefined;
  private readonly kept = new Set<Accepted>();
  private readonly subscriptions = [
    workspace.onDidChangeTextDocument((event) => this.follow(event)),
    workspace.onDidCloseTextDocument((document) => this.closed(document)),
  ];

  constructor(private readonly tally: Tally) {}

  /** The server's answer for a place. */
  offered(document: TextDocument, answer: InlineCompletionItem[] | InlineCompletionList | null | undefined): void {
    const item = (Array.isArray(answer) ? answer : answer?.items)?.[0];
    const number = item?.command?.arguments?.[0] as unknown; // the server counts its offers
    if (item?.range === undefined || typeof item.insertText !== "string" || typeof number !== "number") {
      return;
    }
    const text = withLineEnds(item.insertText, document);
    this.offer = { document, number, start: document.offsetAt(item.range.start), text };
    this.tally.offered(number);
  }

  /** VS Code has put in the whole offer of this number. */
  accepted(number: number): void {
    this.tally.accepted(number);
    if (this.offer?.number === number) {
      const { document, start, text } = this.offer;
      const accepted: Accepted = { document, start, text, timer: setTimeout(() => this.check(accepted), KEPT_MS) };
      this.kept.add(accepted);
    }
  }

  dispose(): void {
    for (const subscription of this.subscriptions) {
      subscription.dispose();
    }
    for (const { timer } of this.kept) {
      clearTimeout(timer);
    }
  }

  private follow({ document, contentChanges }: TextDocumentChangeEvent): void {
    for (const change of contentChanges) {
      if (this.offer?.document === document && isPart(this.offer, change.rangeOffset, change.text)) {
        this.tally.takenInPart();
      }
      for (const accepted of this.kept) {
        if (accepted.document === document) {
          const start = shifted({ start: accepted.start, length: accepted.text.length }, change);
          accepted.start = start ?? accepted.start; // when it was touched, `check` will see
        }
      }
    }
  }

  private closed(document: TextDocument): void {
    for (const accepted of [...this.kept].filter((accepted) => accepted.document === document)) {
      this.check(accepted);
    }
  }

  private check(accepted: Accepted): void {
    clearTimeout(accepted.timer);
    this.kept.delete(accepted);
    const { document, start, text } = accepted;
    this.tally.checked(document.getText().startsWith(text, start));
  }
}

/** Whether an edit puts in a word or a line of an offer. A single character is typed, not taken. */
function isPart(offer: Offer, start: number, text: string): boolean {
  return start === offer.start && text.length > 1 && text.length < offer.text.length && offer.text.startsWith(text);
}

/** What is in the document when `text` was put in: VS Code gives it the document's own line ends. */
function withLineEnds(text: string, document: TextDocument): string {
  return text.replace(/\r?\n/g, document.eol === EndOfLine.CRLF ? "\r\n" : "\n");
}
