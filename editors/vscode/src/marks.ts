import {
  type DecorationOptions,
  type Disposable,
  MarkdownString,
  OverviewRulerLane,
  Range,
  type TextDocument,
  type TextEditor,
  ThemeColor,
  window,
} from "vscode";

/** What would be written over a range of a document. */
export interface Change {
  readonly range: Range;
  readonly text: string;
}

const NO_BREAK_SPACE = "\u00a0"; // an attachment shows several plain spaces as one
const LINE_END = "↵";
const KEYS = "Tab goes here, Tab again makes the change, Esc dismisses it.";

/** Draws changes that are offered: what stands there is marked, and what would stand there follows it. */
export class Marks implements Disposable {
  private readonly before = window.createTextEditorDecorationType({
    backgroundColor: new ThemeColor("diffEditor.removedTextBackground"),
    textDecoration: "line-through",
    overviewRulerColor: new ThemeColor("editorOverviewRuler.modifiedForeground"),
    overviewRulerLane: OverviewRulerLane.Center,
  });
  private readonly hint = window.createTextEditorDecorationType({
    after: { color: new ThemeColor("editorGhostText.foreground"), margin: "0 0 0 2em" },
  });

  /** `changes` in all editors of their document, and at the cursor where the first of them is. */
  draw(document: TextDocument, changes: readonly Change[]): void {
    const [first] = changes;
    for (const editor of window.visibleTextEditors) {
      editor.setDecorations(this.before, editor.document === document ? changes.map(mark) : []);
      const isPointing = first !== undefined && editor === window.activeTextEditor;
      editor.setDecorations(this.hint, isPointing ? pointers(editor, document, first) : []);
    }
  }

  clear(): void {
    for (const editor of window.visibleTextEditors) {
      editor.setDecorations(this.before, []);
      editor.setDecorations(this.hint, []);
    }
  }

  dispose(): void {
    this.before.dispose();
    this.hint.dispose();
  }
}

function mark({ range, text }: Change): DecorationOptions {
  return {
    range,
    hoverMessage: new MarkdownString(KEYS).appendCodeblock(text),
    renderOptions: {
      after: {
        contentText: text.replaceAll(/\r?\n/g, LINE_END).replaceAll(/\s/g, NO_BREAK_SPACE),
        backgroundColor: new ThemeColor("diffEditor.insertedTextBackground"),
      },
    },
  };
}

/** Nothing where the cursor is in the line of the change already. */
function pointers(editor: TextEditor, document: TextDocument, change: Change): DecorationOptions[] {
  const { line } = editor.selection.active;
  const isHere = editor.document === document;
  if (isHere && line === change.range.start.line) {
    return [];
  }
  const file = isHere ? "" : ` of ${document.uri.path.replace(/^.*\//, "")}`;
  const contentText = `⇥ next edit: line ${change.range.start.line + 1}${file}`.replaceAll(" ", NO_BREAK_SPACE);
  const end = editor.document.lineAt(line).range.end;
  return [{ range: new Range(end, end), renderOptions: { after: { contentText } } }];
}
