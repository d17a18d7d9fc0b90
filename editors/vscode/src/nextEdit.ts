import {
  CancellationTokenSource,
  Disposable,
  type DocumentSelector,
  type Position,
  Range,
  Selection,
  type TextDocument,
  type TextEditor,
  TextEditorRevealType,
  commands,
  languages,
  window,
  workspace,
} from "vscode";
import type {
  LanguageClient,
  Command as LspCommand,
  Range as LspRange,
  VersionedTextDocumentIdentifier,
} from "vscode-languageclient/node";
import { type Change, Marks } from "./marks";

const METHOD = "textDocument/copilotInlineEdit";
const SHOWN = "textDocument/didShowInlineEdit";
const EXECUTE = "workspace/executeCommand";
const OFFERED = "hef-lsp.nextEdit"; // the context that the keys are bound in
const QUIET_MS = 100; // after the last change, before the server is asked

/** As the server sends it. */
interface InlineEdit {
  readonly text: string;
  readonly range: LspRange;
  readonly textDocument: VersionedTextDocumentIdentifier;
  /** To be executed when the edit was applied. */
  readonly command: LspCommand;
}

/** What is on the screen: the nearest place first; all places of a renamed name come together. */
interface Offer {
  readonly client: LanguageClient;
  readonly edit: InlineEdit;
  readonly changes: readonly [Change, ...Change[]];
  readonly document: TextDocument;
  readonly version: number;
  /** Where the cursor was. */
  readonly asked: TextDocument;
}

/** Where an inline suggestion came up. */
interface Suggested {
  readonly document: TextDocument;
  readonly version: number;
  readonly position: Position;
}

type Items<Item, List> = Item[] | List | null | undefined;

/**
 * The next edit: what was just changed, offered at the next place where it applies. Never beside an inline suggestion:
 * the same keys take those.
 */
export class NextEdits implements Disposable {
  private readonly marks = new Marks();
  private readonly subscriptions: Disposable;
  private client: LanguageClient | undefined; // one that knows next edits
  private selector: DocumentSelector = [];
  private offer: Offer | undefined;
  private timer: NodeJS.Timeout | undefined;
  private asking: CancellationTokenSource | undefined;
  private suggesting: Promise<unknown> = Promise.resolve(); // the newest inline suggestion, on its way
  private suggested: Suggested | undefined;
  private accepting: Promise<void> = Promise.resolve();

  constructor() {
    this.subscriptions = Disposable.from(
      workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        if (contentChanges.length > 0) {
          this.follow(document);
        }
      }),
      workspace.onDidCloseTextDocument((document) => this.offer?.document === document && this.clear()),
      window.onDidChangeTextEditorSelection(({ textEditor }) => this.moved(textEditor)),
      window.onDidChangeActiveTextEditor((editor) => editor && this.moved(editor)),
      workspace.onDidChangeConfiguration((event) => event.affectsConfiguration("hef-lsp") && this.clear()),
    );
  }

  /** Offer edits of a server, in the documents that are selected; of none when it does not know them. */
  attach(client: LanguageClient, selector: DocumentSelector): void {
    this.client = refusing(client) === undefined ? undefined : client;
    this.selector = selector;
  }

  /** The server has gone. */
  detach(): void {
    this.client = undefined;
    this.clear();
  }

  /** The answer to a request for inline suggestions, which a next edit gives way to. */
  async beside<Item, List extends { readonly items: Item[] }>(
    document: TextDocument,
    position: Position,
    answer: Promise<Items<Item, List>>,
  ): Promise<Items<Item, List>> {
    const { version } = document;
    this.suggesting = answer.catch(() => undefined);
    const found = await answer;
    const items = Array.isArray(found) ? found : (found?.items ?? []);
    if (items.length > 0) {
      this.suggested = { document, version, position };
      this.clear();
    }
    return found;
  }

  /** Go to the offered edit; at it, make it: one step to undo, all its places together. Keys take their turns. */
  accept(): Promise<void> {
    this.accepting = this.accepting.then(() => this.acceptNow()).catch(() => undefined);
    return this.accepting;
  }

  /** The server does not offer this change again. */
  async dismiss(): Promise<void> {
    const offer = this.current();
    this.clear();
    const refused = offer && refusing(offer.client);
    if (offer !== undefined && refused !== undefined) {
      await execute(offer, refused);
    }
  }

  dispose(): void {
    this.detach();
    this.subscriptions.dispose();
    this.marks.dispose();
  }

  private async acceptNow(): Promise<void> {
    const offer = this.current();
    if (offer === undefined) {
      return;
    }
    const { start } = offer.changes[0].range;
    const editor = window.activeTextEditor;
    if (editor?.document !== offer.document || editor.selection.active.line !== start.line) {
      const there = await window.showTextDocument(offer.document, { selection: new Range(start, start) });
      there.selection = new Selection(start, start); // known here before the editor tells of it
      there.revealRange(new Range(start, start), TextEditorRevealType.InCenterIfOutsideViewport);
      return;
    }
    this.clear();
    const isMade = await editor.edit((builder) => {
      offer.changes.forEach(({ range, text }) => builder.replace(range, text));
    });
    if (isMade) {
      await execute(offer, offer.edit.command.command);
    }
  }

  /** The offer, as long as it is about the text as it is. */
  private current(): Offer | undefined {
    const { offer } = this;
    return offer?.document.version === offer?.version && offer?.document.isClosed === false ? offer : undefined;
  }

  private clear(): void {
    clearTimeout(this.timer);
    this.asking?.cancel();
    if (this.offer !== undefined) {
      this.offer = undefined;
      this.marks.clear();
      void commands.executeCommand("setContext", OFFERED, false);
    }
  }

  private follow(document: TextDocument): void {
    if (document === this.offer?.document || document === window.activeTextEditor?.document) {
      this.clear();
      this.askSoon();
    }
  }

  /** The cursor has left a suggestion, or gone to the offered edit, or to where that is of no use. */
  private moved(editor: TextEditor): void {
    if (editor !== window.activeTextEditor) {
      return;
    }
    const offer = this.current();
    if (offer !== undefined && (editor.document === offer.document || editor.document === offer.asked)) {
      this.marks.draw(offer.document, offer.changes);
    } else {
      this.clear();
      this.askSoon();
    }
  }

  private askSoon(): void {
    if (this.client !== undefined) {
      this.timer = setTimeout(() => void this.ask(), QUIET_MS);
    }
  }

  private async ask(): Promise<void> {
    const { client } = this;
    const editor = window.activeTextEditor;
    if (client === undefined || editor === undefined || languages.match(this.selector, editor.document) === 0) {
      return;
    }
    const { document, selection } = editor;
    const asking = (this.asking = new CancellationTokenSource());
    const convert = client.code2ProtocolConverter;
    const textDocument = convert.asVersionedTextDocumentIdentifier(document);
    const params = { textDocument, position: convert.asPosition(selection.active) };
    try {
      const { edits } = await client.sendRequest<{ edits: InlineEdit[] }>(METHOD, params, asking.token);
      await this.suggesting; // it goes first
      if (!asking.token.isCancellationRequested && !this.isSuggestedAt(document, editor.selection.active)) {
        await this.show(client, document, edits);
      }
    } catch {
      // It was canceled, or the server ended: nothing is offered.
    }
  }

  private isSuggestedAt(document: TextDocument, position: Position): boolean {
    const { suggested } = this;
    return (
      suggested?.document === document &&
      suggested.version === document.version &&
      suggested.position.isEqual(position)
    );
  }

  private async show(client: LanguageClient, asked: TextDocument, edits: readonly InlineEdit[]): Promise<void> {
    const [edit] = edits;
    const uri = edit && client.protocol2CodeConverter.asUri(edit.textDocument.uri).toString();
    const document = workspace.textDocuments.find((open) => open.uri.toString() === uri);
    if (edit === undefined || document?.version !== edit.textDocument.version) {
      return; // nothing, or about another text
    }
    const [first, ...others] = edits.map(({ range, text }) => ({
      range: client.protocol2CodeConverter.asRange(range),
      text,
    }));
    if (first !== undefined) {
      const { version } = document;
      const offer: Offer = { client, edit, changes: [first, ...others], document, version, asked };
      this.offer = offer;
      await commands.executeCommand("setContext", OFFERED, true); // what is marked, the keys are for
      if (this.current() === offer) {
        this.marks.draw(document, offer.changes);
        await client.sendNotification(SHOWN, { item: edit });
      }
    }
  }
}

/** The server's command that refuses an offer, undefined where it knows no next edits. */
function refusing(client: LanguageClient): string | undefined {
  const experimental = client.initializeResult?.capabilities.experimental as
    | { readonly copilotInlineEdit?: { readonly refused: string } }
    | undefined;
  return experimental?.copilotInlineEdit?.refused;
}

async function execute({ client, edit }: Offer, command: string): Promise<void> {
  await client.sendRequest(EXECUTE, { command, arguments: edit.command.arguments ?? [] });
}
