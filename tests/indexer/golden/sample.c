#include <stdio.h>
#include "shelf.h"

#define LIMIT 10
#define MAX(a, b) ((a) > (b) ? (a) : (b))

typedef unsigned long id_t;
typedef int (*compare_fn)(const void *, const void *);
typedef struct shelf {
    id_t *items;
    size_t n;
} shelf_t;
enum level { LOW, HIGH = 2 };
union number { int i; float f; };

static const char *names[] = { "a", "b" };
int (*on_change)(int);
extern int total;
static int find(shelf_t *s, id_t id);

/* Finds one.
 * Or none. */
static int
find(shelf_t *s, id_t id)
{
    size_t i;
    for (i = 0; i < s->n; i++)
        if (s->items[i] == id)
            return (int)i;
    return -1;
}

#ifdef WITH_COPY
shelf_t *copy_of(const shelf_t *s)
{
    shelf_t *made = malloc(sizeof *made);
    if (made == NULL)
        return NULL;
    *made = *s;
    return made;
}
#endif

void (*handler_of(int level))(int) {
    return level ? NULL : on_change;
}
