; What a chunk of Python is made of. The captures, for every language (`outline.py` reads them):
;   @statement   a line that begins one may begin a chunk; what stands in the file itself is found without
;   @first       the first statement of a block stays with the header above it
;   @comment     lines of comments and attributes belong to the statement below them
;   @outer       what begins a definition before @inner, the definition itself, does: decorators, `export`
;   @block       a variable in one is nobody else's, unless it is a @file: a block that is as good as the file
;   @definition  a chunk of its own unless tiny, and a symbol named by @name, else by the node's field "name"; what comes
;                before @body, else the field "body", is its header. Its kind:
;                  .class .members .scope   may be opened up; functions in the first two are methods, and only a class
;                                           is a symbol; a scope (a namespace) is cut like what is in it
;                  .function .method        what is defined in them is nobody else's
;                  .type                    any other name of a type
;                  .variable .constant      no chunks; a constant may stand in a block, such as an enumeration's

(block (_) @statement)
(block . (_) @first)

[
  (elif_clause)
  (else_clause)
  (except_clause)
  (finally_clause)
  (case_clause)
] @statement

(comment) @comment

[(block) (ERROR)] @block

; Definitions:
(decorated_definition [(function_definition) (class_definition)] @inner) @outer
(function_definition) @definition.function
(class_definition) @definition.class
(expression_statement (assignment left: (identifier) @name)) @definition.variable
