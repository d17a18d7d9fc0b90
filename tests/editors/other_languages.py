"""Small repositories in TypeScript and Go, whose next line stands in another file of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """`other` is a file that has `line` behind the lines that `begun` ends with; `name` is the file that is written."""

    other_name: str
    other: str
    name: str
    begun: str  # up to the cursor, which stands where `line` is to come
    typed: str  # what is typed of it
    line: str

    def prepare(self, repository: Path) -> None:
        """Put the files there, the one that is written as far as it is."""
        for name, text in ((self.other_name, self.other), (self.name, self.begun)):
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            (repository / name).write_text(text, encoding="utf-8")


TYPESCRIPT = Sample(
    "src/orders.ts",
    """import { Ledger } from "./ledger";

export function closeOrder(ledger: Ledger, id: string): number {
  const order = ledger.find(id);
  if (order === undefined) {
    throw new UnknownOrderError(id);
  }
  ledger.settleOutstanding(order, { force: true });
  return order.total;
}

export function cancelOrder(ledger: Ledger, id: string): number {
  const order = ledger.find(id);
  if (order === undefined) {
    throw new UnknownOrderError(id);
  }
  ledger.settleOutstanding(order, { force: true });
  return 0;
}
""",
    "src/refunds.ts",
    """import { Ledger } from "./ledger";

export function refundOrder(ledger: Ledger, id: string): number {
  const order = ledger.find(id);
  if (order === undefined) {
    throw new UnknownOrderError(id);
  }
""",
    "  led",
    "  ledger.settleOutstanding(order, { force: true });",
)
GO = Sample(
    "orders.go",
    """package shop

func CloseOrder(ledger *Ledger, id string) (int, error) {
\torder, err := ledger.Find(id)
\tif err != nil {
\t\treturn 0, fmt.Errorf("close order %s: %w", id, err)
\t}
\tledger.SettleOutstanding(order, WithForce(true))
\treturn order.Total, nil
}

func CancelOrder(ledger *Ledger, id string) (int, error) {
\torder, err := ledger.Find(id)
\tif err != nil {
\t\treturn 0, fmt.Errorf("close order %s: %w", id, err)
\t}
\tledger.SettleOutstanding(order, WithForce(true))
\treturn 0, nil
}
""",
    "refunds.go",
    """package shop

func RefundOrder(ledger *Ledger, id string) (int, error) {
\torder, err := ledger.Find(id)
\tif err != nil {
\t\treturn 0, fmt.Errorf("close order %s: %w", id, err)
\t}
""",
    "\tled",
    "\tledger.SettleOutstanding(order, WithForce(true))",
)
