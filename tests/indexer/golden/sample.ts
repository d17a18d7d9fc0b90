import { Base } from "./base";

export type Id = string | number;
export enum Level { Low, High = 2 }
export interface Store<T> extends Base {
  get(id: Id): Promise<T>;
  readonly size: number;
}

/**
 * Keeps things.
 */
@Injectable()
export class Shelf<T> implements Store<T> {
  private items = new Map<Id, T>();
  onChange = (id: Id) => {
    this.items.delete(id);
  };

  constructor(
    private readonly limit: number, // how many
  ) {
    super();
  }

  async get(id: Id): Promise<T> {
    const found = this.items.get(id);
    if (!found) {
      throw new Error(`none ${id}`);
    }
    return found;
  }
}

namespace inner {
  export const depth = 3;
  export function reach(): number {
    return depth;
  }
}

export const LIMIT = 10;
export const total = (items: number[]): number => {
  let sum = 0;
  for (const item of items) {
    sum += item;
  }
  return sum;
};
declare function ambient(a: number): void;
