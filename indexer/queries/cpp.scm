; What C++ has beyond C.

(try_statement (catch_clause) @statement)

; Definitions:
(template_declaration (_) @inner) @outer

(namespace_definition) @definition.scope
(class_specifier name: (_) body: (_)) @definition.class
(alias_declaration) @definition.type
(concept_definition) @definition.type

(function_definition declarator: (reference_declarator) @name) @definition.function
; What is said of a class's function outside of it.
(function_definition declarator: (function_declarator declarator: (qualified_identifier) @name)) @definition.method
(function_definition declarator: (_ (function_declarator declarator: (qualified_identifier) @name))) @definition.method

(field_declaration declarator: (function_declarator) @name) @definition.method
(field_declaration declarator: (_ (function_declarator)) @name) @definition.method
(declaration declarator: (function_declarator declarator: [(operator_name) (destructor_name)] @name)) @definition.function
(declaration declarator: (reference_declarator (function_declarator) @name)) @definition.function
(declaration declarator: (reference_declarator (identifier) @name)) @definition.variable

; A macro before the type, as in `API int (*f)(int a);` and `API void (f)(int a);`, makes the type what is declared.
((declaration declarator: (init_declarator
  declarator: (identifier) @type
  value: (argument_list . (pointer_expression argument: (identifier) @name) .))) @definition.variable
  (#any-of? @type "bool" "char" "double" "float" "int" "long" "short" "size_t" "unsigned" "void"))
((declaration declarator: (function_declarator declarator: (function_declarator
  declarator: (identifier) @type
  parameters: (parameter_list . (parameter_declaration type: (type_identifier) @name) .)))) @definition.function
  (#any-of? @type "bool" "char" "double" "float" "int" "long" "short" "size_t" "unsigned" "void"))
