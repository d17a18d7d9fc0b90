/** What became of suggestions. Counts only: no text is kept. */
export interface Counts {
  readonly offered: number;
  readonly accepted: number;
  /** Taken by words or lines, and not to the end. */
  readonly inPart: number;
  /** Accepted ones that were looked at again, a minute later or when their document was closed. */
  readonly checked: number;
  /** Of these, the ones that were still there unchanged. */
  readonly kept: number;
}

export const NOTHING: Counts = { offered: 0, accepted: 0, inPart: 0, checked: 0, kept: 0 };

type Taken = "not" | "part" | "whole";

/** Counts what becomes of offers. The same offer comes many times, shortened, while it is typed along. */
export class Tally {
  private number: number | undefined;
  private taken: Taken = "not";

  constructor(
    private current: Counts = NOTHING,
    private readonly changed: (counts: Counts) => void = () => undefined,
  ) {}

  get counts(): Counts {
    return this.current;
  }

  offered(number: number): void {
    if (number !== this.number) {
      this.number = number;
      this.taken = "not";
      this.add({ offered: 1 });
    }
  }

  /** A word or a line of the last offer was taken. */
  takenInPart(): void {
    if (this.taken === "not") {
      this.taken = "part";
      this.add({ inPart: 1 });
    }
  }

  accepted(number: number): void {
    if (number !== this.number || this.taken === "whole") {
      return;
    }
    this.add({ accepted: 1, inPart: this.taken === "part" ? -1 : 0 });
    this.taken = "whole";
  }

  checked(isKept: boolean): void {
    this.add({ checked: 1, kept: isKept ? 1 : 0 });
  }

  reset(): void {
    this.current = NOTHING;
    this.changed(NOTHING);
  }

  private add(more: Partial<Counts>): void {
    const sum = { ...this.current };
    for (const [key, count] of Object.entries(more) as [keyof Counts, number][]) {
      sum[key] += count;
    }
    this.current = sum;
    this.changed(sum);
  }
}

/** The counts as a sentence or two. */
export function told(counts: Counts): string {
  const { offered, accepted, inPart, checked, kept } = counts;
  if (offered === 0) {
    return "No suggestion was offered yet.";
  }
  const taken = `${offered} offered, ${accepted} accepted${share(accepted, offered)}, ${inPart} in part.`;
  return checked === 0 ? taken : `${taken} A minute later ${kept} of ${checked}${share(kept, checked)} were unchanged.`;
}

function share(part: number, whole: number): string {
  return ` (${Math.round((100 * part) / whole)} %)`;
}

/** Where a piece of a document is after a change of it; undefined when the change touches it. Offsets count UTF-16. */
export function shifted(
  piece: { readonly start: number; readonly length: number },
  change: { readonly rangeOffset: number; readonly rangeLength: number; readonly text: string },
): number | undefined {
  if (change.rangeOffset >= piece.start + piece.length) {
    return piece.start;
  }
  const isBefore = change.rangeOffset + change.rangeLength <= piece.start;
  return isBefore ? piece.start + change.text.length - change.rangeLength : undefined;
}
