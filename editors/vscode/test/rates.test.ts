import * as assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Counts, NOTHING, Tally, shifted, told } from "../src/rates";

describe("Tally", () => {
  test("counts an offer once, however often it is shown along the typing", () => {
    const tally = new Tally();
    [1, 1, 1, 2, 2].forEach((number) => tally.offered(number));
    assert.equal(tally.counts.offered, 2);
  });

  test("counts a server's numbers again after it was restarted", () => {
    const tally = new Tally();
    [7, 1, 2].forEach((number) => tally.offered(number));
    assert.equal(tally.counts.offered, 3);
  });

  test("an offer taken by words is taken in part, and whole once its end is taken", () => {
    const tally = new Tally();
    tally.offered(1);
    tally.takenInPart();
    tally.takenInPart();
    assert.deepEqual(tally.counts, { ...NOTHING, offered: 1, inPart: 1 });
    tally.accepted(1);
    tally.accepted(1);
    assert.deepEqual(tally.counts, { ...NOTHING, offered: 1, accepted: 1 });
  });

  test("an older offer cannot be accepted", () => {
    const tally = new Tally();
    tally.offered(1);
    tally.offered(2);
    tally.accepted(1);
    assert.equal(tally.counts.accepted, 0);
  });

  test("goes on from stored counts and tells of each change", () => {
    const seen: Counts[] = [];
    const tally = new Tally({ ...NOTHING, offered: 9, accepted: 4 }, (counts) => seen.push(counts));
    tally.checked(true);
    tally.checked(false);
    tally.reset();
    assert.deepEqual(seen.at(1), { offered: 9, accepted: 4, inPart: 0, checked: 2, kept: 1 });
    assert.deepEqual(seen.at(-1), NOTHING);
  });
});

describe("told", () => {
  const cases: [Partial<Counts>, string][] = [
    [{}, "No suggestion was offered yet."],
    [{ offered: 8, accepted: 2, inPart: 1 }, "8 offered, 2 accepted (25 %), 1 in part."],
    [
      { offered: 3, accepted: 3, checked: 3, kept: 2 },
      "3 offered, 3 accepted (100 %), 0 in part. A minute later 2 of 3 (67 %) were unchanged.",
    ],
  ];
  for (const [counts, sentence] of cases) {
    test(sentence, () => assert.equal(told({ ...NOTHING, ...counts }), sentence));
  }
});

describe("shifted", () => {
  const piece = { start: 10, length: 5 };
  const cases: [string, number, number, string, number | undefined][] = [
    ["an edit before moves it", 2, 3, "x", 8],
    ["an insertion right before moves it", 10, 0, "ab", 12],
    ["an edit behind leaves it", 15, 4, "", 10],
    ["an edit inside touches it", 12, 0, "x", undefined],
    ["an edit over its start touches it", 8, 3, "", undefined],
    ["an edit over its end touches it", 14, 3, "", undefined],
  ];
  for (const [name, rangeOffset, rangeLength, text, expected] of cases) {
    test(name, () => assert.equal(shifted(piece, { rangeOffset, rangeLength, text }), expected));
  }
});
