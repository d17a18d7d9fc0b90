package org.example.shelf;

import java.util.Map;

/**
 * Keeps things.
 */
public final class Sample<T extends Comparable<T>> extends Base implements Keeper<T> {
    public static final int LIMIT = 10;
    private final Map<String, T> items;

    public Sample(final Map<String, T> items) {
        this.items = items;
    }

    @Override
    @Deprecated
    public T get(final String id) throws NoneException {
        final T found = items.get(id);
        if (found == null) {
            throw new NoneException(id);
        }
        return found;
    }

    enum Level {
        LOW, HIGH { @Override int rank() { return 2; } };

        int rank() {
            return 1;
        }
    }

    interface Visitor<R> {
        R visit(Sample<?> sample);
    }

    record Point(int x, int y) { }

    @interface Marked {
        int value() default 1;
    }
}
