; What C and C++ have in common; what the captures mean is told in python.scm. A name is inside of its declarators: `int
; *f(void)` is a pointer, to what a function gives, called f. Whoever reads @name goes down to it.

(compound_statement (_) @statement)
(compound_statement . (_) @first)
(field_declaration_list (_) @statement)
(field_declaration_list . (_) @first)
(enumerator_list (_) @statement)
(enumerator_list . (_) @first)
(declaration_list (_) @statement)
(case_statement (_) @statement)

(preproc_ifdef (_) @statement)
(preproc_if (_) @statement)
(preproc_elif (_) @statement)
(preproc_else (_) @statement)
(else_clause) @statement

(comment) @comment

[(compound_statement) (ERROR)] @block

; Definitions:
(function_definition declarator: [(function_declarator) (pointer_declarator) (parenthesized_declarator)] @name)
  @definition.function
(declaration declarator: (function_declarator declarator: (identifier) @name)) @definition.function
(declaration declarator: (function_declarator declarator: (parenthesized_declarator (identifier) @name)))
  @definition.function
(declaration declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name)))
  @definition.function
(declaration declarator: (pointer_declarator declarator: (pointer_declarator declarator: (function_declarator
  declarator: (identifier) @name)))) @definition.function

(struct_specifier name: (_) body: (_)) @definition.class
(union_specifier name: (_) body: (_)) @definition.class
(enum_specifier name: (_) body: (_)) @definition.class
(type_definition type: (_ body: (_) @body) declarator: (type_identifier) @name) @definition.class
(type_definition declarator: (_) @name) @definition.type

(preproc_function_def value: (_) @body) @definition.function
(preproc_def value: (_)) @definition.constant
(enumerator) @definition.constant

((declaration declarator: [
  (identifier) @name
  (init_declarator declarator: (identifier) @name)
]) @definition.variable
  (#not-any-of? @name "bool" "char" "double" "float" "int" "long" "short" "size_t" "typedef" "unsigned" "void"))
(declaration declarator: [
  (array_declarator)
  (init_declarator declarator: [(array_declarator) (pointer_declarator) (function_declarator)])
  (function_declarator declarator: (parenthesized_declarator (pointer_declarator)))
  (pointer_declarator declarator: [(identifier) (array_declarator)])
  (pointer_declarator declarator: (pointer_declarator declarator: (identifier)))
] @name) @definition.variable
