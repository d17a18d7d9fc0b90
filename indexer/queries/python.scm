; What a chunk of Python is made of. Captures:
;   @statement   a line that begins one may begin a chunk
;   @first       the first statement of a block stays with the header above it
;   @comment     comment lines belong to the statement below them
;   @definition  a function or class: a chunk of its own unless tiny, and a symbol
; Statements of the module, and the names that they bind, are found without it.

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

[
  (function_definition)
  (class_definition)
] @definition
